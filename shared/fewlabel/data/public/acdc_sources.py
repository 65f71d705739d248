"""The forms in which people have ACDC: the challenge's folders, the community's h5 files, plain NIfTI folders."""

from __future__ import annotations

import re
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from fewlabel.data.files.volumes import read_header
from fewlabel.data.public.preparation import Scan, Source
from fewlabel.data.public.slice_files import numbered_slices, stacked
from fewlabel.data.public.source_files import Sources, add_source

NOMINAL_SPACING = (1.5, 1.5, 10.0)  # the h5 files hold none; ACDC's lies between 0.7 and 1.9 in plane, 5 and 10 across

_ANNOTATION = re.compile(r"(patient\d{3})_frame(\d+)_gt\.nii(\.gz)?")
_FRAME = re.compile(r"(patient\d{3}_frame0[12])\.(nii|nii\.gz|h5)")
_SLICE = re.compile(r"(patient\d{3}_frame0[12])_slice_(\d+)\.h5")


def find_acdc(raw: Path) -> tuple[str, Sources]:
    """Find ACDC's annotated frames below a folder.

    The forms, and the first that is found counts (those with a known spacing come first):

    - ``challenge``: ``patientXXX/patientXXX_frameYY.nii.gz`` with ``_gt`` and ``Info.cfg``, at any depth, without
      the 4D files;
    - ``nifti``: ``images/patientXXX_frame0Y.nii[.gz]`` and ``labels/`` with the same names;
    - ``h5 volumes``: ``patientXXX_frame0Y.h5`` with ``image`` and ``label``, at any depth;
    - ``h5 slices``: ``patientXXX_frame0Y_slice_N.h5``, at any depth;
    - ``h5 volumes and slices``: both. Copies in circulation hold the training patients as slices only; a frame that is
      there in both ways is taken from its volume.

    Returns:
        The form, and the sources by our volume names, ``patientXXX_frame01`` (end-diastole) and ``_frame02``
        (end-systole).

    Raises:
        FileNotFoundError: When the folder does not exist or holds none of the forms.
        ValueError: When a frame is there twice, has no image or label map, or the annotated frames are not the two
            of ``Info.cfg``.

    """
    if not raw.is_dir():
        raise FileNotFoundError(f"the raw folder {raw} does not exist: expected the unpacked ACDC download")
    for form, find in (("challenge", _challenge), ("nifti", _nifti)):
        if sources := find(raw):
            return form, sources
    volumes = _h5_volumes(raw)
    slices = _h5_slices(raw, set(volumes))
    if volumes or slices:
        form = " and ".join(kind for kind, found in (("volumes", volumes), ("slices", slices)) if found)
        return f"h5 {form}", {**volumes, **slices}
    raise FileNotFoundError(
        f"{raw} holds no ACDC data: expected patientXXX/patientXXX_frameYY_gt.nii.gz (the challenge's folders), "
        "images/ and labels/ with patientXXX_frame0Y.nii.gz, patientXXX_frame0Y.h5 or patientXXX_frame0Y_slice_N.h5"
    )


def _challenge(raw: Path) -> Sources:
    annotated: dict[Path, dict[int, Path]] = defaultdict(dict)
    for path in sorted(raw.rglob("patient*_frame*_gt.nii*")):
        if (match := _ANNOTATION.fullmatch(path.name)) and path.is_file():
            annotated[path.parent / match[1]][int(match[2])] = path
    sources: Sources = {}
    for patient, frames in annotated.items():
        for position, (frame, phase) in enumerate(_phases(patient.parent, frames), start=1):
            label = frames[frame]
            image = label.with_name(label.name.replace("_gt.nii", ".nii"))
            if not image.is_file():
                raise ValueError(f"{label} has no image beside it: expected {image.name}")
            name = f"{patient.name}_frame{position:02d}"
            add_source(
                sources, Source(name, (image, label), partial(_read_nifti, image, label), f"frame {frame}, {phase}")
            )
    return sources


def _phases(folder: Path, frames: dict[int, Path]) -> list[tuple[int, str]]:
    """The numbers of the two annotated frames, end-diastole first as in Info.cfg, or in order where there is none."""
    record = folder / "Info.cfg"
    if not record.is_file():
        if len(frames) != 2:
            raise ValueError(f"{folder} holds {len(frames)} annotated frames {sorted(frames)}, but ACDC annotates two")
        return [(frame, "phase unknown, no Info.cfg") for frame in sorted(frames)]
    info = dict(re.findall(r"^\s*(ED|ES)\s*:\s*(\d+)\s*$", record.read_text(), flags=re.MULTILINE))
    if set(info) != {"ED", "ES"}:
        raise ValueError(f"{record} does not name the frames: expected the lines `ED: <frame>` and `ES: <frame>`")
    phases = [(int(info["ED"]), "ED"), (int(info["ES"]), "ES")]
    for frame, phase in phases:
        if frame not in frames:
            raise ValueError(
                f"{record} names frame {frame} as {phase}, but {folder} has annotations of {sorted(frames)} only"
            )
    return phases


def _nifti(raw: Path) -> Sources:
    sources: Sources = {}
    for image in sorted((raw / "images").glob("patient*")):
        if match := _FRAME.fullmatch(image.name):
            labels = [raw / "labels" / f"{match[1]}{ending}" for ending in (".nii.gz", ".nii")]
            label = next((path for path in labels if path.is_file()), None)
            if label is None:
                raise ValueError(f"{image} has no label map: expected {labels[0]}")
            add_source(sources, Source(match[1], (image, label), partial(_read_nifti, image, label)))
    return sources


def _h5_volumes(raw: Path) -> Sources:
    sources: Sources = {}
    for path in sorted(raw.rglob("patient*.h5")):
        if match := _FRAME.fullmatch(path.name):
            add_source(sources, Source(match[1], (path,), partial(_read_h5, (path,))))
    return sources


def _h5_slices(raw: Path, whole: set[str]) -> Sources:
    """The frames that are there as slices only, each in the order of its slices' numbers."""
    found = {
        name: paths for name, paths in numbered_slices(raw, "patient*_slice_*.h5", _SLICE).items() if name not in whole
    }
    return {name: Source(name, paths, partial(_read_h5, paths)) for name, paths in found.items()}


def _read_nifti(image_path: Path, label_path: Path) -> Scan:
    for path in (image_path, label_path):
        read_header(path)  # refuses what memory does not hold
    image, label = nib.load(image_path), nib.load(label_path)
    if image.shape == label.shape and not np.allclose(image.affine, label.affine, atol=1e-3):
        warnings.warn(f"{label_path} lies elsewhere than its image: the image's geometry is taken", stacklevel=2)
    return Scan(np.asarray(image.dataobj), np.asarray(label.dataobj), image.affine, image.header)


def _read_h5(paths: tuple[Path, ...]) -> Scan:
    """Read one volume ``(z, y, x)`` or its slices ``(y, x)``; the axes are reversed to ours, ``(x, y, z)``."""
    try:
        import h5py
    except ImportError as error:
        raise ImportError("h5 files need h5py: pip install '.[formats]' in a checkout of fewlabel") from error
    arrays: dict[str, list[NDArray[Any]]] = {"image": [], "label": []}
    for path in paths:
        with h5py.File(path, "r") as file:
            for key, parts in arrays.items():
                parts.append(np.asarray(file[key]))
    image, label = (stacked(paths, parts) if parts[0].ndim == 2 else parts[0] for parts in arrays.values())
    return Scan(image.T, label.T, np.diag([*NOMINAL_SPACING, 1.0]))
