"""The abdominal CT challenge (BTCV, on Synapse) in our layout, with the splits of the literature."""

from __future__ import annotations

import dataclasses
import functools
import os
import warnings
from collections.abc import Callable
from pathlib import Path

from fewlabel.data.public.preparation import Scan, Source
from fewlabel.data.public.published_splits import Published, prepare_published, published_lists
from fewlabel.data.public.source_files import Sources
from fewlabel.data.public.synapse_labels import EIGHT, NUMBERINGS, THIRTEEN, check_numbering, renumber
from fewlabel.data.public.synapse_sources import NOMINAL_SPACING, find_synapse
from fewlabel.listing import first_few

_ORGANS = {8: EIGHT, 13: THIRTEEN}
_SPLITS = ("18-12", "24-6")


def prepare_synapse(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    allow_missing: bool = False,
    report: Callable[[str], None] = print,
    organs: int = 8,
    split: str = "18-12",
    numbering: str = "transunet",
    validation: int = 0,
) -> Path:
    """Write the abdominal CT of "Multi-Atlas Labeling Beyond the Cranial Vault" (2015) in our layout.

    The split 18-12 is TransUNet's (Chen et al., 2021), which studies with CS-Unet and MCSC take over: 18 scans for
    training, 12 for the test, none for validation, eight organs. Which scans are labeled when 4, 2 or 1 of the 18 are
    was not published: here they are the first of TransUNet's list, 0031, 0007, 0009, 0005. The split 24-6 is that of
    the sample list that came with UNETR: scans 35 to 40 for the test, the others in the order of their numbers. A
    second run verifies what is finished and continues.

    Args:
        raw: the download, in one of the forms of :func:`fewlabel.data.public.synapse_sources.find_synapse`.
        out: the dataset's folder; new, empty, or of an earlier run.
        allow_missing: prepare the scans that are there although the published lists name more.
        report: receives the progress, one line at a time.
        organs: 8, numbered as TransUNet's files, or the challenge's 13.
        split: ``18-12`` or ``24-6``.
        numbering: how TransUNet-like files number organs: ``transunet``; ``challenge`` when others made them of eight
            organs in the challenge's order; ``thirteen`` when they hold all. What contradicts the organs' sizes is
            refused. The challenge's own files need no word.
        validation: hold out so many scans at the end of the training list; the papers hold out none.

    Raises:
        FileNotFoundError: when ``raw`` holds no scan, or scans of the published lists are missing.
        FileExistsError: when ``out`` holds other files.
        ValueError: when an option or a source file is wrong; it names it.

    """
    for name, value, choices in (
        ("organs", organs, _ORGANS), ("split", split, _SPLITS), ("numbering", numbering, NUMBERINGS)
    ):  # fmt: skip
        if value not in choices:
            raise ValueError(f"{name} is {value!r}, but it must be one of {', '.join(map(str, choices))}")
    form, sources = find_synapse(Path(raw))
    if form == "transunet":
        check_numbering(sources, numbering)
        _check_slices(sources)
    named = THIRTEEN if form == "challenge" else NUMBERINGS[numbering]
    if organs == 13 and named != THIRTEEN:
        raise ValueError(f"{raw} holds eight organs: prepare them with --organs 8, or the challenge's NIfTI files")
    wanted = _ORGANS[organs]
    published = Published(
        name=f"Synapse, {organs} organs, {split}",
        description="Multi-atlas labeling beyond the cranial vault: contrast-enhanced abdominal CT",
        labels={name: value for value, name in enumerate(wanted)},
        modality="CT",
        split="synapse.json",
        part=split,
        num_validation=validation,
    )
    numbered = {name: _numbered(source, named, wanted) for name, source in sources.items()}
    facts = {"form": form, "split": split, "labeled order": "TransUNet's list; the studies publish none"}
    if form == "transunet":
        facts["spacing"] = f"nominal {NOMINAL_SPACING} mm, the files hold none"
        report(f"these files hold no spacing: {NOMINAL_SPACING} mm is written, so distances are in voxels")
    return prepare_published(published, Path(raw), Path(out), numbered, facts, allow_missing, report)


def _check_slices(sources: Sources) -> None:
    """Warn of scans with other numbers of slices than TransUNet's, such as of a copy that stopped half-way."""
    counts = published_lists("synapse.json")["slices"]
    short = [
        f"{name} ({len(source.files)} of {counts[name]})"
        for name, source in sources.items()
        if source.files[0].suffix == ".npz" and name in counts and len(source.files) != counts[name]
    ]
    if short:
        what = "scans have other numbers of slices than TransUNet's"
        warnings.warn(f"{len(short)} {what}: {first_few(short)}", stacklevel=3)


def _numbered(source: Source, names: tuple[str, ...], wanted: tuple[str, ...]) -> Source:
    if names == wanted:
        return source
    recipe = ", ".join(filter(None, (source.recipe, f"organs numbered {', '.join(wanted[1:])}")))
    return dataclasses.replace(source, read=functools.partial(_read, source, names, wanted), recipe=recipe)


def _read(source: Source, names: tuple[str, ...], wanted: tuple[str, ...]) -> Scan:
    scan = source.read()
    return dataclasses.replace(scan, label=renumber(scan.label, names, wanted))
