"""Find the DICOM series in a folder, and tell them apart."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fewlabel.data.files.formats import split_ending
from fewlabel.links import absence

_ENDINGS = (".dcm", ".dicom", ".ima")
_OTHER_ENDING = re.compile(r"\.[A-Za-z]\w*$")  # scanners name slices by their UID, 1.2.840.113619, or IM.0001
# what travels beside scans and has pixels of its own, but is none
_NO_SCAN = ("SEG", "RTDOSE", "PR", "KO", "SR", "RTSTRUCT", "RTPLAN", "RWV")


@dataclass(frozen=True)
class Series:
    """One DICOM series in a folder.

    Args:
        folder: the folder.
        files: its files, in the order of GDCM.
        number: the series number of the first file's header; may be empty.
        uid: the SeriesInstanceUID.
        alone: whether it is the folder's only one, those that are no scan counted.
    """

    folder: Path
    files: tuple[str, ...]
    number: str
    uid: str
    alone: bool


def find_series(root: str | os.PathLike[str]) -> list[Series]:
    """Return the DICOM series in a folder and below, by SeriesInstanceUID, in order of folders.

    Whether a file is DICOM is told by its ending or, as scanners leave endings away, by the four letters behind its
    preamble. Hidden folders and files are passed over, as are segmentations, doses and reports that lie beside scans.

    Raises:
        ImportError: there are DICOM files, and SimpleITK is not installed.
    """
    return [series for folder in _folders(Path(root)) for series in _series_in(folder)]


def looks_like_dicom(path: Path) -> bool:
    """Whether a file is DICOM, by its ending or its magic number; a DICOMDIR, an index of files, is not."""
    if path.name.startswith(".") or path.name.upper() == "DICOMDIR" or split_ending(path.name) is not None:
        return False
    if path.name.lower().endswith(_ENDINGS):
        return True
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def find_absent(root: str | os.PathLike[str]) -> dict[Path, list[Path]]:
    """Return what may be slices or folders of them in a folder and below, and whose content was not fetched, by folder.

    That are links which point nowhere and pointers of git, see :func:`fewlabel.links.absence`, with an ending of DICOM
    or none.
    """
    found = {folder: absent_slices(folder, files) for folder, files in _walk(Path(root))}
    return {folder: files for folder, files in found.items() if files}


def absent_slices(folder: Path, files: Iterable[str]) -> list[Path]:
    """Return the files of a folder, of those of these names, that may be slices and whose content was not fetched."""
    names = sorted(name for name in files if not name.startswith(".") and name.upper() != "DICOMDIR")
    slices = [folder / name for name in names if name.lower().endswith(_ENDINGS) or not _OTHER_ENDING.search(name)]
    return [path for path in slices if absence(path)]


def _folders(root: Path) -> Iterator[Path]:
    """Folders that hold DICOM files; links are followed, once."""
    for folder, files in _walk(root):
        if any(looks_like_dicom(folder / file) for file in files if (folder / file).is_file()):
            yield folder


def _walk(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below with the names of their files; links are followed, once, and hidden ones left out."""
    seen = set()
    for name, below, files in os.walk(root, followlinks=True):
        folder = Path(name)
        real = folder.resolve()
        below[:] = [] if real in seen else sorted(part for part in below if not part.startswith("."))
        if real not in seen:
            yield folder, files
        seen.add(real)


def _series_in(folder: Path) -> list[Series]:
    sitk = _simpleitk(folder)
    uids = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    found = []
    for uid in uids:
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        modality, number = _tags(files[0], sitk, "0008|0060", "0020|0011")
        if modality not in _NO_SCAN:
            found.append(Series(folder, tuple(files), number, uid, alone=len(uids) == 1))
    return found


def _tags(file: str, sitk: Any, *keys: str) -> list[str]:
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return [reader.GetMetaData(key).strip() if reader.HasMetaDataKey(key) else "" for key in keys]


def _simpleitk(folder: Path) -> Any:
    try:
        import SimpleITK
    except ImportError as error:
        raise ImportError(
            f"{folder}: reading DICOM needs SimpleITK: pip install '.[formats]' in a checkout of fewlabel, or convert "
            "the series to NIfTI"
        ) from error
    return SimpleITK
