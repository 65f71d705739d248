"""Pancreas-CT of the Cancer Imaging Archive in our layout, with the split of the semi-supervised papers."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from fewlabel.data.public.cropping import crop_to_label, resample
from fewlabel.data.public.preparation import Scan, Source
from fewlabel.data.public.published_splits import Published, prepare_published
from fewlabel.data.public.source_files import Sources, add_source, read_dicom_with_label

WINDOW = (-125, 275)  # Hounsfield units
SPACING = 1.0  # millimeters
MARGIN = 25
PANCREAS = Published(
    name="Pancreas-CT",
    description="Pancreas-CT of the Cancer Imaging Archive: contrast-enhanced abdominal CT",
    labels={"background": 0, "pancreas": 1},
    modality="CT",
    split="pancreas.json",
)

_FOLDER = re.compile(r"PANCREAS_(\d{4})", re.IGNORECASE)


def prepare_pancreas(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    allow_missing: bool = False,
    report: Callable[[str], None] = print,
    margin: int | None = MARGIN,
) -> Path:
    """Write Pancreas-CT (Roth et al., 2016) in our layout, prepared as the semi-supervised papers describe it.

    Unverified: the papers publish their preprocessed files but no script, so what stands here follows their words.
    Intensities are cut to -125 to 275 HU, voxels resampled to 1 mm, and scans cut to the label's bounding box with 25
    voxels around it, a region that is derived from the labels, those of test scans too. The split has 62 scans for
    training in their order, of which the last four are for validation here, and 20 for the test. The archive
    has withdrawn the scans 0025 and 0070, which the lists name: such a download needs ``allow_missing``.

    Args:
        raw: the download: ``PANCREAS_0001/.../*.dcm`` and ``label0001.nii.gz``, at any depth.
        out: the dataset's folder; new, empty, or of an earlier run.
        allow_missing: prepare the scans that are there although the published lists name more.
        report: receives the progress, one line at a time.
        margin: voxels around the label's box; None keeps scans whole.

    Raises:
        FileNotFoundError: when ``raw`` holds no scan of the archive, or scans of the published lists are missing.
        FileExistsError: when ``out`` holds other files.
        ValueError: when a source file is damaged or inconsistent; it names the file.

    """
    region = "whole" if margin is None else f"from the label, margin {margin}"
    recipe = f"cut to {WINDOW} HU, resampled to {SPACING} mm, region {region}"
    sources = {
        name: dataclasses.replace(source, read=functools.partial(_prepared, source, margin), recipe=recipe)
        for name, source in find_pancreas(Path(raw)).items()
    }
    facts = {"form": "dicom", "recipe": recipe, "verified": "no: the papers publish no script"}
    return prepare_published(PANCREAS, Path(raw), Path(out), sources, facts, allow_missing, report)


def find_pancreas(raw: Path) -> Sources:
    """Find the DICOM series and the label maps below a folder.

    Returns:
        The sources by the scans' numbers, four digits.

    Raises:
        FileNotFoundError: when the folder does not exist or holds no series.
        ValueError: when a scan is there twice or has no label map.

    """
    if not raw.is_dir():
        raise FileNotFoundError(f"the raw folder {raw} does not exist: expected the unpacked Pancreas-CT download")
    labels = {path.name: path for path in sorted(raw.rglob("label*.nii*"))}
    sources: Sources = {}
    for series in sorted({path.parent for path in raw.rglob("*.dcm")}):
        named = next((match for part in series.parts if (match := _FOLDER.fullmatch(part))), None)
        if named is None:
            continue
        label = labels.get(f"label{named[1]}.nii.gz") or labels.get(f"label{named[1]}.nii")
        if label is None:
            raise ValueError(f"{series} has no label map: expected label{named[1]}.nii.gz somewhere below {raw}")
        files = (*sorted(series.glob("*.dcm")), label)
        add_source(sources, Source(named[1], files, functools.partial(read_dicom_with_label, series, label)))
    if not sources:
        raise FileNotFoundError(
            f"{raw} holds no Pancreas-CT scan: expected PANCREAS_0001/.../*.dcm and label0001.nii.gz"
        )
    return sources


def _prepared(source: Source, margin: int | None) -> Scan:
    scan = source.read()
    if scan.image.shape != scan.label.shape:
        raise ValueError(f"the series has the shape {scan.image.shape}, its label map {scan.label.shape}")
    scan = resample(dataclasses.replace(scan, image=np.clip(scan.image, *WINDOW)), SPACING)
    scan = dataclasses.replace(scan, image=np.rint(scan.image).astype(np.int16))
    return scan if margin is None else crop_to_label(scan, margin)
