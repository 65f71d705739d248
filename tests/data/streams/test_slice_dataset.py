from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.transforms import Compose, LoadImaged, RandGaussianNoised, ScaleIntensityd

from fewlabel.data import SliceDataset
from fewlabel.transforms import CheckCased

Item = dict[str, Any]
Write = Callable[..., str]


class Counted:
    """A preprocessing that counts its calls and notes what it was given."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, item: Mapping[Any, Any]) -> dict[Any, Any]:
        calls.append(dict(item))
        return {key: np.asarray(nib.load(path).dataobj)[None] * self.gain for key, path in item.items()}


calls: list[dict[Any, Any]] = []


@pytest.fixture(autouse=True)
def no_calls() -> None:
    calls.clear()
    return


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def save(name: str, array: np.ndarray | None = None, shape: tuple[int, ...] = (6, 5, 4)) -> str:
        values = np.random.default_rng(len(name)).normal(size=shape) if array is None else array
        path = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(values.astype(np.float32), np.eye(4)), path)
        return str(path)

    return save


@pytest.fixture
def item(write: Write) -> Item:
    label = np.random.default_rng(3).integers(0, 4, (6, 5, 4))
    return {"image": write("scan"), "label": write("mask", label), "case": "anna", "volume": "anna_1"}


def monai_preprocessing() -> Compose:
    load = LoadImaged(["image", "label"], ensure_channel_first=True, allow_missing_keys=True)
    return Compose([load, CheckCased(4), ScaleIntensityd("image")])


@pytest.mark.parametrize("axis", [-1, 0, 1, 2, -3])
def test_an_item_is_the_literal_slice_of_the_preprocessed_volume(item: Item, write: Write, axis: int) -> None:
    other = {"image": write("other scan", shape=(3, 7, 2)), "case": "bert"}
    dataset = SliceDataset([item, other], monai_preprocessing(), slice_axis=axis)
    expected = []
    for source in (item, other):
        volume = monai_preprocessing()(dict(source))
        for position in range(volume["image"].shape[1:][axis]):
            axis_of_array = axis + 1 if axis >= 0 else axis
            cut = {
                key: np.take(volume[key].numpy(), position, axis_of_array)
                for key in ("image", "label")
                if key in volume
            }
            expected.append({**cut, "case": source["case"], "slice": position})
    assert len(dataset) == len(expected)
    for served, wanted in zip((dataset[i] for i in range(len(dataset))), expected, strict=True):
        assert served["slice"] == wanted["slice"]
        assert served["case"] == wanted["case"]
        assert ("label" in served) == ("label" in wanted)
        for key in {"image", "label"} & set(served):
            np.testing.assert_array_equal(served[key].numpy(), wanted[key])


def test_a_volume_is_preprocessed_once_whatever_is_asked(item: Item, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    dataset = SliceDataset([item, item], Counted(), cache_dir=cache)
    for index in (0, 3, 1, 0, 7):
        dataset[index]
    assert len(calls) == 1
    again = SliceDataset([item], Counted(), cache_dir=cache)
    assert len(calls) == 1
    assert torch.equal(again[2]["image"], dataset[2]["image"])


def test_a_second_data_set_with_used_transforms_meets_the_same_cache(item: Item, write: Write, tmp_path: Path) -> None:
    # MONAI's readers remember what they read; the cache must not
    transforms, cache = monai_preprocessing(), tmp_path / "cache"
    SliceDataset([item], transforms, cache_dir=cache)
    files = sorted(cache.iterdir())
    transforms({"image": write("unrelated")})
    SliceDataset([item], transforms, cache_dir=cache)
    assert sorted(cache.iterdir()) == files


def test_a_changed_file_is_not_served_from_the_old_copy(item: Item, write: Write, tmp_path: Path) -> None:
    before = SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")[0]["image"]
    write("scan", np.full((6, 5, 4), 9.0))
    after = SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")[0]["image"]
    assert not torch.equal(before, after)
    assert torch.equal(after, torch.full_like(after, 9.0))


def test_a_changed_setting_is_not_served_from_the_old_copy(item: Item, tmp_path: Path) -> None:
    once = SliceDataset([item], Counted(gain=1.0), cache_dir=tmp_path / "cache")
    twice = SliceDataset([item], Counted(gain=2.0), cache_dir=tmp_path / "cache")
    torch.testing.assert_close(twice[0]["image"], 2 * once[0]["image"])
    across = SliceDataset([item], Counted(gain=1.0), cache_dir=tmp_path / "cache", slice_axis=0)
    assert (len(once), len(across)) == (4, 6)


def test_what_is_served_may_be_written_without_touching_the_copy(item: Item) -> None:
    dataset = SliceDataset([item], Counted())
    first = dataset[0]["image"]
    before = first.clone()
    first.zero_()
    assert torch.equal(dataset[0]["image"], before)


@pytest.mark.parametrize("given", ["no label key", "label not among the keys"])
def test_a_label_that_is_not_asked_for_is_never_opened(given: str, item: Item, tmp_path: Path) -> None:
    garbage = tmp_path / "mask.nii.gz"
    garbage.write_bytes(b"no image at all")
    if given == "no label key":
        dataset = SliceDataset([{k: v for k, v in item.items() if k != "label"}], monai_preprocessing())
        assert "label" not in dataset[0]
    else:
        dataset = SliceDataset([item], monai_preprocessing(), keys=["image"])
    assert dataset[0]["image"].shape == (1, 6, 5)
    with pytest.raises(ValueError, match=r"mask\.nii\.gz is truncated or corrupt: copy it again"):
        SliceDataset([item], monai_preprocessing())


def test_preprocessing_sees_the_files_and_nothing_else(item: Item) -> None:
    SliceDataset([item], Counted())
    assert [set(call) for call in calls] == [{"image", "label"}]


def test_several_files_are_read_as_channels(write: Write) -> None:
    files = [write("a"), write("bb")]
    dataset = SliceDataset([{"image": files}], Compose([LoadImaged("image", ensure_channel_first=True)]))
    expected = np.stack([np.asarray(nib.load(file).dataobj)[..., 1] for file in files])
    np.testing.assert_array_equal(dataset[1]["image"].numpy(), expected)


def test_an_item_and_a_seed_give_the_same_result_in_any_order(item: Item) -> None:
    dataset = SliceDataset([item], monai_preprocessing(), RandGaussianNoised("image", prob=1.0))
    pairs = [(0, 5), (1, 5), (0, 6), (2, 2**32 - 1)]
    first = {pair: dataset[pair]["image"] for pair in pairs}
    for pair in reversed(pairs):
        assert torch.equal(dataset[pair]["image"], first[pair])
    assert not torch.equal(first[0, 5], first[0, 6])
    assert not torch.equal(dataset[0]["image"], dataset[0]["image"])  # without a seed it is random


def _open(item: Item, cache: Path, gate: Any) -> None:
    gate.wait()
    dataset = SliceDataset([item], Counted(), cache_dir=cache)
    assert len(dataset) == 4


def test_processes_and_threads_may_write_one_cache_at_once(item: Item, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(4)
    processes = [context.Process(target=_open, args=(item, tmp_path / "cache", barrier)) for _ in range(2)]
    for process in processes:
        process.start()
    threads = [threading.Thread(target=_open, args=(item, tmp_path / "cache", barrier)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for worker in (*processes, *threads):
        worker.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert sorted(file.name.split("_")[1] for file in (tmp_path / "cache").iterdir()) == ["image.npy", "label.npy"]
    whole = SliceDataset([item], Counted(), cache_dir=tmp_path / "other")
    shared = SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")
    assert all(torch.equal(shared[i]["label"], whole[i]["label"]) for i in range(4))


def test_a_write_that_breaks_leaves_nothing_and_is_done_again(
    item: Item, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(stream: Any, array: np.ndarray) -> None:
        stream.write(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", break_off)
    with pytest.raises(KeyboardInterrupt):
        SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")
    monkeypatch.undo()
    assert list((tmp_path / "cache").iterdir()) == []
    assert SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")[0]["image"].shape == (1, 6, 5)


def test_a_pair_of_which_one_copy_is_missing_is_made_again(item: Item, tmp_path: Path) -> None:
    SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")
    next((tmp_path / "cache").glob("*_label.npy")).unlink()
    assert SliceDataset([item], Counted(), cache_dir=tmp_path / "cache")[0]["label"].shape == (1, 6, 5)


def test_the_temporary_cache_goes_with_its_data_set_but_not_with_a_fork(item: Item) -> None:
    dataset = SliceDataset([item], Counted())
    folder = dataset.cache.folder
    child = os.fork()
    if child == 0:
        del dataset
        os._exit(0)
    os.waitpid(child, 0)
    assert folder.is_dir()
    assert dataset[3]["image"].shape == (1, 6, 5)
    del dataset
    assert not folder.exists()


def test_no_item_at_all_is_an_empty_data_set() -> None:
    assert len(SliceDataset([], Counted())) == 0


def test_every_fault_of_a_file_is_an_error_that_names_it(item: Item, write: Write, tmp_path: Path) -> None:
    whole = Path(item["image"]).read_bytes()
    half = tmp_path / "half.nii.gz"
    half.write_bytes(whole[: len(whole) // 2])
    holes = np.zeros((6, 5, 4))
    holes[1, 2] = np.nan
    cases = [
        ({"image": str(half)}, r"half\.nii\.gz is truncated or corrupt: copy it again"),
        ({"image": item["image"], "label": str(half)}, r"half\.nii\.gz is truncated or corrupt: copy it again"),
        ({"image": write("holes", holes)}, r"holes\.nii\.gz: 4 of 120 voxels are NaN or infinite; replace them"),
        (
            {"image": item["image"], "label": write("sevens", np.full((6, 5, 4), 7))},
            r"sevens\.nii\.gz: label values \[7\.0\] are not among the 4 classes 0 to 3; mend",
        ),
        (
            {"image": item["image"], "label": write("short", shape=(6, 5, 3))},
            r"short\.nii\.gz: the label's shape \(6, 5, 3\) differs from its image's \(6, 5, 4\); resample",
        ),
        ({"image": write("flat", shape=(6, 5))}, r"flat\.nii\.gz: .*expected a volume \(C, H, W, D\)"),
    ]
    for faulty, message in cases:
        with pytest.raises(ValueError, match=message):
            SliceDataset([faulty], monai_preprocessing())


def test_shapes_that_differ_are_refused_without_any_check_of_monai(item: Item, write: Write) -> None:
    with pytest.raises(ValueError, match=r"scan\.nii\.gz: the volumes of this case differ in shape .* resample"):
        SliceDataset([{**item, "label": write("wide", shape=(6, 6, 4))}], Counted())


def test_an_item_without_a_usable_path_is_refused(item: Item) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.nii\.gz: no such file; it is listed as the image"):
        SliceDataset([{"image": "gone.nii.gz"}], Counted())
    for useless in ({"case": "x"}, {"image": None}, {"image": ""}, {"image": np.zeros(3)}):
        with pytest.raises(ValueError, match="expected an item with a file's path under 'image' or 'label'"):
            SliceDataset([useless], Counted())


def test_a_transform_that_fails_names_the_file_and_the_slice(item: Item) -> None:
    def fail(slices: Any) -> Any:
        raise ZeroDivisionError("no pixels")

    with pytest.raises(ValueError, match=r"scan\.nii\.gz: the transform of slice 2 failed: no pixels"):
        SliceDataset([item], Counted(), fail)[2]


def test_an_axis_that_volumes_lack_is_refused(item: Item) -> None:
    with pytest.raises(ValueError, match="slice_axis must be 0, 1 or 2"):
        SliceDataset([item], Counted(), slice_axis=3)
