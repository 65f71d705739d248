from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, RandFlipd, RandRotate90d, RandSpatialCropd, SpatialPadd

from fewlabel.data import PatchDataset, TwoStreamLoader

Item = dict[str, Any]
KEYS = ["image", "label"]


def load() -> Compose:
    return Compose([LoadImaged(KEYS, ensure_channel_first=True, allow_missing_keys=True)])


def crop(size: tuple[int, int, int] = (4, 4, 4)) -> Compose:
    return Compose(
        [
            SpatialPadd(KEYS, size, allow_missing_keys=True),
            RandSpatialCropd(KEYS, size, random_size=False, allow_missing_keys=True),
            RandRotate90d(KEYS, prob=0.75, max_k=3, allow_missing_keys=True),
            RandFlipd(KEYS, prob=0.5, spatial_axis=0, allow_missing_keys=True),
        ]
    )


@pytest.fixture
def items(tmp_path: Path) -> list[Item]:
    """Three volumes whose every voxel has a value of its own; the label is the parity of the image."""
    made = []
    for number in range(3):
        shape = (9, 8, 7 + number)
        image = np.random.default_rng(number).permutation(np.prod(shape)).reshape(shape).astype(np.float32)
        for key, voxels in (("image", image), ("label", image % 2)):
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / f"{key}{number}.nii")
        paths = {key: str(tmp_path / f"{key}{number}.nii") for key in KEYS}
        made.append({**paths, "case": f"case {number}", "volume": f"volume {number}"})
    return made


def unlabeled(items: list[Item]) -> list[Item]:
    return [{key: value for key, value in item.items() if key != "label"} for item in items]


def volume(item: Item) -> np.ndarray:
    return np.asarray(nib.load(item["image"]).dataobj)


def test_a_patch_is_a_turned_or_mirrored_part_of_its_volume_and_the_label_goes_with_it(items: list[Item]) -> None:
    dataset = PatchDataset(items, load(), crop())
    whole = volume(items[1])
    seen = set()
    for seed in range(30):
        patch = dataset[1, seed]
        values = patch["image"][0].numpy()
        places = np.array([np.argwhere(whole == value)[0] for value in values.ravel()])
        low, high = places.min(0), places.max(0)
        assert (high - low).tolist() == [3, 3, 3]
        part = whole[tuple(slice(a, b + 1) for a, b in zip(low, high, strict=True))]
        turned = [np.rot90(mirrored, k) for mirrored in (part, part[::-1]) for k in range(4)]
        seen |= {k for k, one in enumerate(turned) if np.array_equal(one, values)}
        np.testing.assert_array_equal(patch["label"][0].numpy(), values % 2)
        assert (patch["case"], patch["volume"]) == ("case 1", "volume 1")
    assert seen == set(range(8))  # every symmetry of the square


def test_an_item_and_a_seed_give_the_same_patch_in_any_order(items: list[Item]) -> None:
    dataset = PatchDataset(items, load(), crop())
    pairs = [(0, 5), (1, 5), (0, 6), (2, 2**32 - 1)]
    first = {pair: dataset[pair]["image"] for pair in pairs}
    for pair in reversed(pairs):
        assert torch.equal(dataset[pair]["image"], first[pair])
    assert not torch.equal(first[0, 5], first[0, 6])


def test_a_patch_holds_its_own_bytes_only_and_may_be_written(items: list[Item]) -> None:
    dataset = PatchDataset(items, load(), Compose([RandSpatialCropd(KEYS, (2, 2, 2), random_size=False)]))
    patch = dataset[0, 1]["image"]
    assert patch.untyped_storage().nbytes() == 8 * 4
    before = patch.clone()
    patch.zero_()
    assert torch.equal(dataset[0, 1]["image"], before)


def test_a_volume_smaller_than_the_patch_is_padded(items: list[Item]) -> None:
    patch = PatchDataset(items, load(), crop((16, 16, 16)))[0, 3]
    assert patch["image"].shape == (1, 16, 16, 16)
    assert patch["image"].sum() == volume(items[0]).sum()


def test_without_a_transform_volumes_come_whole_and_once(items: list[Item]) -> None:
    dataset = PatchDataset(items, load())
    assert len(dataset) == 3
    for index, item in enumerate(items):
        np.testing.assert_array_equal(dataset[index]["image"][0].numpy(), volume(item))


def test_a_label_that_is_not_asked_for_is_never_opened(items: list[Item]) -> None:
    Path(items[0]["label"]).write_bytes(b"no image at all")
    assert "label" not in PatchDataset(unlabeled(items[:1]), load(), crop())[0, 0]
    assert PatchDataset(items[:1], load(), keys=["image"])[0]["label"] == items[0]["label"], "a path, as it came"
    with pytest.raises(ValueError, match=r"label0\.nii is truncated or corrupt"):
        PatchDataset(items[:1], load(), crop())


def test_a_transform_that_fails_names_the_file(items: list[Item]) -> None:
    def fail(volumes: Any) -> Any:
        raise ZeroDivisionError("no voxels")

    with pytest.raises(ValueError, match=r"image2\.nii: the transform of a patch failed: no voxels"):
        PatchDataset(items, load(), fail)[2]


def test_a_stream_can_be_entered_anywhere_with_any_number_of_workers(items: list[Item], tmp_path: Path) -> None:
    def loader(workers: int) -> TwoStreamLoader:
        parts = [
            PatchDataset(data, load(), crop(), keys, tmp_path / "cache")
            for data, keys in ((items[:1], KEYS), (unlabeled(items[1:]), ["image"]))
        ]
        return TwoStreamLoader(*parts, 2, 1, steps_per_epoch=2, seed=4, num_workers=workers)

    through = loader(0)
    batches = [batch for _, batch in zip(range(4), through, strict=False)]
    resumed = loader(1)
    resumed.load_state_dict({**loader(0).state_dict(), "step": 2})
    for expected, found in zip(batches[2:], resumed, strict=False):
        for part in ("labeled", "unlabeled"):
            assert torch.equal(expected[part]["image"], found[part]["image"])
        assert torch.equal(expected["labeled"]["label"], found["labeled"]["label"])
        assert "label" not in found["unlabeled"]
    assert not torch.equal(batches[0]["labeled"]["image"], batches[1]["labeled"]["image"])
