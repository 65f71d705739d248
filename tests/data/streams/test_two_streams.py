from __future__ import annotations

import itertools
import multiprocessing
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.transforms import RandGaussianNoised

from fewlabel.data import PatchDataset, SliceDataset, TwoStreamLoader
from fewlabel.data.streams.two_streams import StreamSampler
from fewlabel.transforms import SliceAugmentationd


def load(item: Mapping[Any, Any]) -> dict[Any, Any]:
    return {key: np.load(path) for key, path in item.items()}


@pytest.fixture
def data(tmp_path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two labeled volumes of 5 slices, three unlabeled ones of 4; every slice differs from every other."""
    rng = np.random.default_rng(0)
    items: list[dict[str, Any]] = []
    for index in range(5):
        depth = 5 if index < 2 else 4
        np.save(tmp_path / f"scan{index}.npy", rng.random((1, 12, 10, depth), dtype=np.float32))
        np.save(tmp_path / f"mask{index}.npy", rng.integers(0, 4, (1, 12, 10, depth)).astype(np.float32))
        item = {"image": str(tmp_path / f"scan{index}.npy"), "case": f"case{index}", "volume": f"scan{index}"}
        items.append({**item, "label": str(tmp_path / f"mask{index}.npy")} if index < 2 else item)
    return items[:2], items[2:]


def loader(data: Any, **settings: Any) -> TwoStreamLoader:
    labeled, unlabeled = (SliceDataset(items, load, SliceAugmentationd((8, 8))) for items in data)
    return TwoStreamLoader(labeled, unlabeled, **{**SIZES, **settings})


SIZES = {"labeled_batch_size": 3, "unlabeled_batch_size": 5, "steps_per_epoch": 4, "seed": 7}


def take(batches: Iterator[Any], count: int) -> list[Any]:
    return list(itertools.islice(batches, count))


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def positions(sampler: StreamSampler, batches: int) -> list[tuple[int, int]]:
    return [pair for batch in take(iter(sampler), batches) for pair in batch]


@pytest.mark.parametrize(("length", "batch_size"), [(7, 3), (1, 4), (5, 5), (10, 1)])
def test_each_pass_is_a_permutation_and_no_two_are_alike(length: int, batch_size: int) -> None:
    indices = [index for index, _ in positions(StreamSampler(length, batch_size), 6 * length)]
    passes = [tuple(indices[k : k + length]) for k in range(0, 6 * length, length)]
    assert all(sorted(one) == list(range(length)) for one in passes)
    assert length < 5 or len(set(passes)) > 1


def test_seeds_never_repeat_within_a_run_and_streams_differ() -> None:
    pairs = {stream: positions(StreamSampler(9, 4, seed=1, stream=stream), 100) for stream in (0, 1)}
    assert all(len({seed for _, seed in drawn}) == 400 for drawn in pairs.values())
    assert pairs[0] != pairs[1]
    assert pairs[0] != positions(StreamSampler(9, 4, seed=2), 100)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_ranks_share_out_the_batches_that_one_process_would_see(world_size: int) -> None:
    batch_size = 12 // world_size
    ranks = [iter(StreamSampler(7, batch_size, seed=3, rank=r, world_size=world_size)) for r in range(world_size)]
    together = [[pair for rank in ranks for pair in next(rank)] for _ in range(20)]
    assert together == take(iter(StreamSampler(7, 12, seed=3)), 20)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_sequence_entered_at_a_step_is_the_rest_of_the_sequence(world_size: int) -> None:
    share = {"length": 7, "batch_size": 3, "rank": world_size - 1, "world_size": world_size}
    whole = take(iter(StreamSampler(**share)), 12)
    for step in range(12):
        assert take(iter(StreamSampler(**share, first_batch=step)), 12 - step) == whole[step:]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"length": 0}, "at least one item"),
        ({"batch_size": 0}, "at least one item"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"rank": 2, "world_size": 2}, r"rank must be one of 0 \.\. 1, got 2"),
    ],
)
def test_a_sampler_refuses_what_it_cannot_serve(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamSampler(**{"length": 3, "batch_size": 2, **settings})


def test_a_batch_holds_both_streams_as_plain_tensors(data: Any) -> None:
    batch = next(iter(loader(data)))
    labeled, unlabeled = batch["labeled"], batch["unlabeled"]
    assert type(labeled["image"]) is torch.Tensor
    assert type(labeled["label"]) is torch.Tensor
    assert labeled["image"].shape == labeled["label"].shape == (3, 1, 8, 8)
    assert unlabeled["image"].shape == (5, 1, 8, 8)
    assert "label" not in unlabeled
    assert set(labeled["case"]) <= {"case0", "case1"}
    assert set(unlabeled["case"]) <= {"case2", "case3", "case4"}
    assert len(labeled["slice"]) == 3


def test_a_batch_tells_where_each_pixel_comes_from(data: Any) -> None:
    datasets = [SliceDataset(items, load, SliceAugmentationd((8, 8))) for items in data]
    batch = next(iter(TwoStreamLoader(*datasets, **SIZES)))["unlabeled"]
    pairs = next(iter(StreamSampler(12, 5, seed=7, stream=1)))
    expected = torch.stack([datasets[1][pair]["image"].affine for pair in pairs])
    assert torch.equal(batch["affine"], expected)
    assert expected.shape == (5, 4, 4)


@pytest.mark.parametrize("num_workers", [1, 2])
def test_workers_change_nothing(data: Any, num_workers: int) -> None:
    alone = take(iter(loader(data)), 9)
    with_workers = iter(loader(data, num_workers=num_workers))
    assert same(take(with_workers, 9), alone)


def test_reading_moves_no_random_state_of_the_run(data: Any) -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    take(iter(loader(data)), 3)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_resumed_loader_continues_where_the_other_was_saved(data: Any, num_workers: int) -> None:
    whole = take(iter(loader(data)), 9)
    first = loader(data, num_workers=num_workers)
    batches = iter(first)
    take(batches, 4)
    state = first.state_dict()  # workers have read ahead by now; what was not served does not count
    second = loader(data)
    second.load_state_dict(state)
    assert same(take(iter(second), 5), whole[4:])


def test_a_new_iterator_goes_on_where_the_last_one_stopped(data: Any) -> None:
    pieces = loader(data)
    assert same(take(iter(pieces), 2) + take(iter(pieces), 3), take(iter(loader(data)), 5))


@pytest.mark.parametrize("changed", ["seed", "labeled_batch_size", "unlabeled_batch_size"])
def test_a_state_of_another_run_is_refused_by_name(data: Any, changed: str) -> None:
    state = loader(data).state_dict()
    with pytest.raises(ValueError, match=rf"made with {changed} {SIZES[changed]}, this run has {changed} 2: resume"):
        loader(data, **{changed: 2}).load_state_dict(state)


def test_a_state_of_other_data_is_refused(data: Any) -> None:
    state = loader(data).state_dict()
    with pytest.raises(ValueError, match="made with unlabeled_slices 12, this run has unlabeled_slices 8"):
        loader((data[0], data[1][:2])).load_state_dict(state)


@pytest.mark.parametrize("without", ["none", "empty", "batch of 0"])
def test_without_unlabeled_items_the_unlabeled_half_is_none(data: Any, without: str) -> None:
    labeled, unlabeled = SliceDataset(data[0], load), SliceDataset([] if without == "empty" else data[1], load)
    settings = {**SIZES, "unlabeled_batch_size": 0} if without == "batch of 0" else SIZES
    supervised = TwoStreamLoader(labeled, None if without == "none" else unlabeled, **settings)
    assert [batch["unlabeled"] for batch in take(iter(supervised), 2)] == [None, None]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_stopping_leaves_no_process_and_no_warning(data: Any, num_workers: int) -> None:
    others = set(multiprocessing.active_children())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches = iter(loader(data, num_workers=num_workers))
        next(batches)
        assert len(set(multiprocessing.active_children()) - others) == 2 * num_workers
        del batches
    assert set(multiprocessing.active_children()) <= others


@pytest.mark.parametrize("num_workers", [0, 1])
def test_an_error_while_loading_names_the_file(data: Any, num_workers: int) -> None:
    def fail(slices: Any) -> Any:
        raise RuntimeError("no pixels")

    broken = TwoStreamLoader(SliceDataset(data[0], load, fail), None, **SIZES, num_workers=num_workers)
    with pytest.raises(ValueError, match=r"scan\d\.npy: the transform of slice \d failed: no pixels"):
        next(iter(broken))


def test_items_that_do_not_fit_into_one_batch_are_named(data: Any) -> None:
    mixed = SliceDataset([*data[0], *data[1]], load)
    with pytest.raises(
        ValueError, match=r"must have the same keys: scan\d, slice \d has .*'label'.*scan\d, slice \d has"
    ):
        take(iter(TwoStreamLoader(mixed, None, **{**SIZES, "labeled_batch_size": 20})), 1)

    def crop(slices: dict[Any, Any]) -> dict[Any, Any]:
        return {**slices, "image": slices["image"][:, : 5 + slices["slice"]]}

    with pytest.raises(ValueError, match=r"the images of a batch differ in shape: .*scan\d, slice \d.*resize them"):
        take(iter(TwoStreamLoader(SliceDataset(data[0], load, crop), None, **SIZES)), 1)


def test_any_random_transform_of_monai_is_seeded_by_the_step(data: Any) -> None:
    noisy = [SliceDataset(items, load, RandGaussianNoised("image", prob=1.0)) for items in data]
    assert same(take(iter(TwoStreamLoader(*noisy, **SIZES)), 3), take(iter(TwoStreamLoader(*noisy, **SIZES)), 3))


def test_an_epoch_is_as_long_as_asked_for(data: Any) -> None:
    assert len(loader(data)) == 4


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labeled_batch_size": 0}, "must be at least 1"),
        ({"unlabeled_batch_size": -1}, "unlabeled_batch_size at least 0"),
        ({"steps_per_epoch": 0}, "must be at least 1"),
        ({"seed": -3}, "seed must be 0 or more, got -3"),
    ],
)
def test_a_loader_refuses_what_it_cannot_serve(data: Any, settings: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loader(data, **settings)
    with pytest.raises(ValueError, match="no labeled item to train on"):
        TwoStreamLoader(SliceDataset([], load), None, **SIZES)


@pytest.mark.parametrize(("size", "told"), [(5, "3 unlabeled ones (12 slices)"), (0, "0 unlabeled ones (0 slices)")])
def test_the_log_tells_how_many_volumes_are_trained_on(
    data: Any, size: int, told: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="fewlabel"):
        next(iter(loader(data, unlabeled_batch_size=size)))
    assert f"training on 2 labeled volumes (10 slices) and {told}" in caplog.text


def test_patches_are_not_called_slices(data: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", logger="fewlabel"):
        next(iter(TwoStreamLoader(*(PatchDataset(items, load) for items in data), **SIZES)))
    assert "training on 2 labeled volumes and 3 unlabeled ones" in caplog.text
