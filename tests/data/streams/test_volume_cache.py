from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from monai.transforms import LoadImaged

from fewlabel.data import PatchDataset

KEYS = ["image", "label"]


@pytest.fixture
def items(tmp_path: Path) -> list[dict[str, str]]:
    made = []
    for number in range(2):
        item = {key: str(tmp_path / f"{key}{number}.nii") for key in KEYS}
        image = np.random.default_rng(number).random((6, 5, 4)).astype(np.float32)
        for key, voxels in (("image", image), ("label", (image > 0.5).astype(np.float32))):
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), item[key])
        made.append(item)
    return made


def served(items: list[dict[str, str]], cache: Path) -> list[dict[str, np.ndarray]]:
    loading = LoadImaged(KEYS, ensure_channel_first=True)
    return [{key: item[key].numpy() for key in KEYS} for item in PatchDataset(items, loading, cache_dir=cache)]


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def zero_voxels(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[128 : 128 + 6 * 5 * 4 * 4] = bytes(6 * 5 * 4 * 4)
    file.write_bytes(content)


def keep_time(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def changed(file: Path) -> None:
        status = file.stat()
        change(file)
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    return changed


@pytest.mark.parametrize(
    "damage", [truncate, zero_voxels, keep_time(zero_voxels)], ids=["truncated", "zeroed", "zeroed, its time kept"]
)
@pytest.mark.parametrize("key", KEYS)
def test_a_damaged_entry_is_made_again_with_one_line_that_names_it(
    items: list[dict[str, str]], tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Any, key: str
) -> None:
    cache = tmp_path / "cache"
    before = served(items, cache)
    [file] = [file for file in cache.glob(f"*_{key}.npy") if np.array_equal(np.load(file), before[1][key])]
    damage(file)
    other = {path: path.stat().st_mtime_ns for path in cache.iterdir() if path.name[:24] != file.name[:24]}
    caplog.clear()
    after = served(items, cache)
    [line] = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert line.startswith(f"{file}: damaged or changed since it was written; preprocessing {items[1][key]} again")
    for first, second in zip(before, after, strict=True):
        for name in KEYS:
            np.testing.assert_array_equal(first[name], second[name])
    assert {path: path.stat().st_mtime_ns for path in other} == other
    caplog.clear()
    served(items, cache)
    assert not caplog.records


def test_an_entry_that_is_damaged_while_it_is_used_is_named(items: list[dict[str, str]], tmp_path: Path) -> None:
    dataset = PatchDataset(items, LoadImaged(KEYS, ensure_channel_first=True), cache_dir=tmp_path / "cache")
    for file in (tmp_path / "cache").glob("*_image.npy"):
        truncate(file)
    with pytest.raises(ValueError, match=r"_image\.npy: this preprocessed volume was removed or changed during the"):
        dataset[0]
