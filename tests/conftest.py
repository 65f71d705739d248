from __future__ import annotations

import locale
import os
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.data.public.acdc import prepare_acdc
from helpers.paths import ROOT


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six synthetic hearts: four for training, one for validation, one for the test. Read only."""
    return write_phantom(tmp_path_factory.mktemp("phantom") / "cardiac", cases=6)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of archives with real scans; a test that asks for it is skipped where there is none."""
    folder = Path(os.environ.get("FEWLABEL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real scans in {folder}; name their folder in FEWLABEL_DATA")
    return folder


@pytest.fixture(scope="session")
def real_acdc(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ACDC in our layout, as far as the archive holds it."""
    folder = tmp_path_factory.mktemp("acdc")
    raw = unpacked(real_data / "acdc.tar.xz", folder / "raw")
    return prepare_acdc(raw, folder / "acdc", allow_missing=True, report=lambda line: None)


@pytest.fixture(scope="session")
def real_atria(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MR scans of left atria: `images` and `labels`, of equal names."""
    return unpacked(real_data / "la.tar.xz", tmp_path_factory.mktemp("la"))


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack an archive of real scans and return the folder that holds its images and labels."""
    if not archive.is_file():
        pytest.skip(f"no {archive}")
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return next(path.parent for path in folder.rglob("images") if path.is_dir())


@pytest.fixture
def write_series() -> Callable[..., Path]:
    """Write voxels (X, Y, Z) as DICOM, a file per slice, in an order that is not that of the slices."""

    def write(
        folder: Path,
        voxels: np.ndarray,
        uid: str = "1.2.3.4",
        number: int = 7,
        heights: Sequence[float] | None = None,
        ending: str = ".dcm",
        row: tuple[float, float, float] = (1, 0, 0),
        shift: float = 0.0,
        modality: str = "MR",
        spacing: tuple[float, float] = (1.5, 1.25),
    ) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        writer = SimpleITK.ImageFileWriter()
        writer.KeepOriginalImageUIDOn()
        writer.SetImageIO("GDCMImageIO")
        heights = [3.0 + 8 * k for k in range(voxels.shape[2])] if heights is None else heights
        for k, height in enumerate(heights):
            image = SimpleITK.GetImageFromArray(voxels[:, :, k].T[None].astype(np.int16))
            image.SetSpacing((*spacing, 8.0))
            tags = {"0020|000d": "1.2.3", "0020|000e": uid, "0008|0018": f"{uid}.{k + 1}", "0008|0060": modality}
            tags |= {"0020|0011": str(number), "0020|0013": str(k + 1)}
            tags |= {"0020|0032": f"{-20 + shift * k}\\7\\{height}", "0020|0037": "\\".join(map(str, (*row, 0, 1, 0)))}
            for tag, value in tags.items():
                image.SetMetaData(tag, value)
            file = folder / f"{uid}_{(k * 7 + 3) % 11:02d}_{k}.dcm"
            writer.SetFileName(str(file))
            speech = locale.setlocale(locale.LC_ALL)
            writer.Execute(image)
            # writing DICOM leaves the process in the locale "C", in which Python reads files as ASCII
            locale.setlocale(locale.LC_ALL, speech)
            file.rename(file.with_suffix(ending))
        return folder

    return write
