"""ACDC, the automated cardiac diagnosis challenge, in our layout with the published splits."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from fewlabel.data.public.acdc_sources import NOMINAL_SPACING, find_acdc
from fewlabel.data.public.preparation import Preparation, same_path
from fewlabel.listing import first_few

LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}


def acdc_splits() -> dict[str, Any]:
    """The published patient lists: 70 ``labeled`` in order, 10 ``validation``, 20 ``test``, ``slices_per_frame``.

    >>> acdc_splits()["labeled"][:3]
    ['patient099', 'patient038', 'patient050']
    """
    lists: dict[str, Any] = json.loads((resources.files("fewlabel.data.public") / "splits" / "acdc.json").read_text())
    return lists


def prepare_acdc(
    raw: str | os.PathLike[str],
    out: str | os.PathLike[str],
    allow_missing: bool = False,
    report: Callable[[str], None] = print,
) -> Path:
    """Write ACDC (Bernard et al., IEEE TMI 2018) in our layout, with the 70/10/20 split of the semi-supervised papers.

    The two annotated frames of a patient become ``patientXXX_frame01`` and ``_frame02`` and form one case. Intensities,
    spacing and orientation are kept, nothing is resampled or scaled; label maps become ``uint8``. The h5 files hold no
    spacing: 1.5 x 1.5 x 10 mm is taken and noted in ``manifest.json``, so millimeters are nominal there.
    A second run verifies what is finished and continues; ``dataset.json`` and ``splits.json`` come last.

    Args:
        raw: The download, in one of the forms of :func:`fewlabel.data.public.acdc_sources.find_acdc`.
        out: The dataset's folder; new, empty, or of an earlier run.
        allow_missing: Prepare the patients that are there although the published lists name more.
        report: Receives the progress, one line at a time.

    Returns:
        ``out`` as a path.

    Raises:
        FileNotFoundError: When ``raw`` holds no ACDC data, or frames of the published lists are missing.
        FileExistsError: When ``out`` holds other files.
        ValueError: When a source file is damaged or inconsistent; it names the file.

    """
    raw, out = Path(raw), Path(out)
    if not isinstance(allow_missing, bool):
        raise ValueError(f"allow_missing is {allow_missing!r}, but it must be True or False")
    if same_path(raw, out):
        raise ValueError(f"raw and out are the same folder {raw}: choose another one for out")
    form, sources = find_acdc(raw)
    report(f"found {len(sources)} annotated frames in {raw} ({form})")
    lists = acdc_splits()
    cases = {
        patient: [name for name in (f"{patient}_frame01", f"{patient}_frame02") if name in sources]
        for part in ("labeled", "validation", "test")
        for patient in lists[part]
    }
    _check_missing(raw, lists, cases, allow_missing, report)
    cases = {patient: names for patient, names in cases.items() if names}
    if extra := sorted(set(sources) - {name for names in cases.values() for name in names}):
        report(f"left out, since the published lists do not name them: {first_few(extra)}")
    nominal = f"nominal {NOMINAL_SPACING} mm, the h5 files hold none" if form.startswith("h5") else "of the files"
    with Preparation(out, "ACDC", raw, {"form": form, "spacing": nominal}, report) as preparation:
        preparation.check_only({name for names in cases.values() for name in names})
        for position, (patient, names) in enumerate(cases.items(), start=1):
            report(f"[{position}/{len(cases)}] {patient}")
            for name in names:
                part = "Ts" if patient in lists["test"] else "Tr"
                slices = preparation.volume(sources[name], part, len(LABELS))
                expected = lists["slices_per_frame"].get(patient, slices)
                if slices != expected:
                    warnings.warn(f"{name} has {slices} slices, but the published lists count {expected}", stacklevel=2)
        splits = {
            part: [patient for patient in lists[part] if patient in cases] for part in ("labeled", "validation", "test")
        }
        training = sum(len(cases[patient]) for part in ("labeled", "validation") for patient in splits[part])
        dataset = {
            "name": "ACDC",
            "description": "Automated cardiac diagnosis challenge: cine MR at end-diastole and end-systole, short axis",
            "labels": LABELS,
            "channel_names": {"0": "MR"},
            "file_ending": ".nii.gz",
            "numTraining": training,
        }
        preparation.finish(dataset, {"labeled": splits["labeled"], "unlabeled": [], **splits, "cases": cases})
    report(f"{out}: {', '.join(f'{len(patients)} {part}' for part, patients in splits.items())} patients")
    return out


def _check_missing(
    raw: Path, lists: dict[str, Any], cases: dict[str, list[str]], allow_missing: bool, report: Callable[[str], None]
) -> None:
    missing = [
        f"{name} ({part})"
        for part in ("labeled", "validation", "test")
        for patient in lists[part]
        for name in (f"{patient}_frame01", f"{patient}_frame02")
        if name not in cases[patient]
    ]
    if missing and not allow_missing:
        raise FileNotFoundError(
            f"{raw} lacks {len(missing)} frames of the published lists: {first_few(missing)}. "
            "Complete the download, or prepare what is there with --allow_missing true"
        )
    if not any(cases[patient] for patient in lists["labeled"]):
        raise FileNotFoundError(f"{raw} holds none of the 70 training patients of the published lists")
    if missing:
        report(f"missing, allowed: {first_few(missing)}")
