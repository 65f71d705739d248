"""The left atrium of the 2018 challenge in our layout, with the split of the semi-supervised papers."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

from fewlabel.data.public.cropping import crop_to_label
from fewlabel.data.public.preparation import Scan, Source
from fewlabel.data.public.published_splits import Published, prepare_published
from fewlabel.data.public.source_files import Sources, add_source, read_h5_pair, read_pair

SPACING = (0.625, 0.625, 0.625)  # of all scans of the challenge; the h5 files hold none
SMALLEST = 112  # the published crop keeps room for the window of 112 x 112 x 80
LEFT_ATRIUM = Published(
    name="Left atrium",
    description="2018 atrial segmentation challenge: late gadolinium-enhanced MR",
    labels={"background": 0, "left atrium": 1},
    modality="MR",
    split="la.json",
)

_CASE = re.compile(r"[0-9A-Z]{20}")


def prepare_la(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    allow_missing: bool = False,
    report: Callable[[str], None] = print,
    margin: int | None = None,
) -> Path:
    """Write the left-atrium challenge (Xiong et al., Medical Image Analysis 2021) in our layout.

    The split is that of Yu et al., MICCAI 2019, and its successors: 80 scans for training in their order, 20 for the
    test. These papers validate on the test scans, if at all; here the last four of the 80 are for validation.
    Intensities are kept, nothing is resampled. A second run verifies what is finished and continues.

    Args:
        raw: the download, in one of the forms of :func:`find_la`.
        out: the dataset's folder; new, empty, or of an earlier run.
        allow_missing: prepare the scans that are there although the published lists name more.
        report: receives the progress, one line at a time.
        margin: cut each scan in x and y to its label's bounding box with so many voxels around it, at least 112 in
            all, as the published preparation does with a random margin of 10 to 19; z is kept whole. The region is
            derived from the labels, those of test scans too. None keeps scans whole.

    Raises:
        FileNotFoundError: when ``raw`` holds no scan of the challenge, or scans of the published lists are missing.
        FileExistsError: when ``out`` holds other files.
        ValueError: when a source file is damaged or inconsistent; it names the file.

    """
    form, sources = find_la(Path(raw))
    if margin is not None:
        sources = {name: _cropped(source, margin) for name, source in sources.items()}
    facts = {"form": form, "region": "whole" if margin is None else f"from the label, margin {margin}"}
    if form == "h5":
        facts["spacing"] = f"nominal {SPACING} mm, the h5 files hold none"
    return prepare_published(LEFT_ATRIUM, Path(raw), Path(out), sources, facts, allow_missing, report)


def find_la(raw: Path) -> tuple[str, Sources]:
    """Find the scans below a folder.

    The forms, and the first that is found counts:

    - ``challenge``: ``<scan>/lgemri.nrrd`` with ``laendo.nrrd``, at any depth;
    - ``nifti``: ``images/<scan>.nii[.gz]`` and ``labels/`` with the same names;
    - ``h5``: ``<scan>/mri_norm2.h5``, at any depth: cropped and standardized by the community.

    Returns:
        The form, and the sources by the scans' names, twenty letters and digits.

    Raises:
        FileNotFoundError: when the folder does not exist or holds none of the forms.
        ValueError: when a scan is there twice or has no label map.

    """
    if not raw.is_dir():
        raise FileNotFoundError(f"the raw folder {raw} does not exist: expected the unpacked challenge data")
    for form, find in (("challenge", _challenge), ("nifti", _nifti), ("h5", _h5)):
        if sources := find(raw):
            return form, sources
    raise FileNotFoundError(
        f"{raw} holds no scan of the left-atrium challenge: expected <scan>/lgemri.nrrd with laendo.nrrd, images/ and "
        "labels/ with <scan>.nii.gz, or <scan>/mri_norm2.h5"
    )


def _challenge(raw: Path) -> Sources:
    sources: Sources = {}
    for image in sorted(raw.rglob("lgemri.nrrd")):
        if _CASE.fullmatch(image.parent.name):
            label = image.with_name("laendo.nrrd")
            if not label.is_file():
                raise ValueError(f"{image} has no label map beside it: expected {label.name}")
            add_source(sources, Source(image.parent.name, (image, label), functools.partial(read_pair, image, label)))
    return sources


def _nifti(raw: Path) -> Sources:
    sources: Sources = {}
    for image in sorted((raw / "images").glob("*.nii*")):
        name = image.name.partition(".")[0]
        if _CASE.fullmatch(name):
            labels = [raw / "labels" / f"{name}{ending}" for ending in (".nii.gz", ".nii")]
            label = next((path for path in labels if path.is_file()), None)
            if label is None:
                raise ValueError(f"{image} has no label map: expected {labels[0]}")
            add_source(sources, Source(name, (image, label), functools.partial(read_pair, image, label)))
    return sources


def _h5(raw: Path) -> Sources:
    sources: Sources = {}
    for path in sorted(raw.rglob("mri_norm2.h5")):
        if _CASE.fullmatch(path.parent.name):
            add_source(sources, Source(path.parent.name, (path,), functools.partial(read_h5_pair, path, SPACING)))
    return sources


def _cropped(source: Source, margin: int) -> Source:
    def read() -> Scan:
        return crop_to_label(source.read(), margin, axes=(0, 1), smallest=SMALLEST)

    return Source(source.name, source.files, read, source.note, f"cropped to the label, margin {margin}")
