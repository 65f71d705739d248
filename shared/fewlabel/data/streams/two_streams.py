"""Two endless streams of batches, labeled and unlabeled, that can be stopped and resumed exactly."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from torch.utils.data import DataLoader, Dataset, Sampler

from fewlabel.data.streams.patch_dataset import PatchDataset
from fewlabel.data.streams.slice_dataset import SliceDataset

_log = logging.getLogger(__name__)
Batch = dict[str, dict[str, Any] | None]


class StreamSampler(Sampler[list[tuple[int, int]]]):
    """Batches of ``(index, seed)`` from an endless sequence of shuffled passes over a data set.

    Position p of the sequence belongs to pass p // n; a pass is a permutation drawn from (seed, stream, pass)
    and a position's seed from (seed, stream, p). Nothing else enters, so the sequence can be entered anywhere,
    and rank r of w takes its share of each global batch without talking to the others.

    Args:
        length: number of items n, at least 1.
        batch_size: items per batch and rank.
        seed: the run's seed.
        stream: number that tells two streams of a run apart.
        first_batch: batches to pass over, for a resumed run.
        rank: this process.
        world_size: number of processes.

    """

    def __init__(
        self,
        length: int,
        batch_size: int,
        seed: int = 0,
        stream: int = 0,
        first_batch: int = 0,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if length < 1 or batch_size < 1:
            raise ValueError(f"a stream needs at least one item and one per batch, got {length} and {batch_size}")
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        if not 0 <= rank < world_size:
            raise ValueError(f"rank must be one of 0 .. {world_size - 1}, got {rank}")
        self.length = length
        self.batch_size = batch_size
        self.seed = seed
        self.stream = stream
        self.first_batch = first_batch
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        current, order = -1, np.empty(0, dtype=np.int64)
        batch = self.first_batch
        while True:
            start = (batch * self.world_size + self.rank) * self.batch_size
            items = []
            for position in range(start, start + self.batch_size):
                if position // self.length != current:
                    current = position // self.length
                    order = np.random.default_rng([self.seed, self.stream, current]).permutation(self.length)
                seed = np.random.SeedSequence([self.seed, self.stream, position, 1]).generate_state(1)[0]
                items.append((int(order[position % self.length]), int(seed)))
            yield items
            batch += 1


class TwoStreamLoader:
    """Yield ``{"labeled": batch, "unlabeled": batch or None}`` without end, from any step onward.

    Each stream runs through its own items in shuffled passes, so any ratio of labeled to unlabeled items works.
    No unlabeled item at all means ``None``: plain supervised training. The step is the only state: data order
    and augmentation are functions of (seed, step), equal for any number of workers.

    Args:
        labeled: data set of the labeled items; indexed with ``(i, seed)``, see :class:`SliceDataset` and
            :class:`PatchDataset`.
        unlabeled: data set of the unlabeled items, empty or None when there are none.
        labeled_batch_size: labeled items per step and rank.
        unlabeled_batch_size: unlabeled items per step and rank; 0 switches the stream off.
        steps_per_epoch: steps that make up an epoch, the interval between validations. A pass over the data
            would be a few steps with three labeled scans and thousands with many.
        seed: the run's seed.
        num_workers: worker processes per stream; 0 loads in the training process.
        pin_memory: page-locked batches, for CUDA.

    Raises:
        ValueError: no labeled item, sizes below 1, or a negative seed; while running, items of a batch that don't
            fit together.

    """

    def __init__(
        self,
        labeled: SliceDataset | PatchDataset,
        unlabeled: SliceDataset | PatchDataset | None,
        labeled_batch_size: int,
        unlabeled_batch_size: int,
        steps_per_epoch: int,
        seed: int = 0,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        if len(labeled) == 0:
            raise ValueError("no labeled item to train on: give at least one image with its label")
        if labeled_batch_size < 1 or unlabeled_batch_size < 0 or steps_per_epoch < 1:
            raise ValueError(
                "labeled_batch_size and steps_per_epoch must be at least 1 and unlabeled_batch_size at least 0, got "
                f"{labeled_batch_size}, {steps_per_epoch} and {unlabeled_batch_size}"
            )
        if seed < 0:
            raise ValueError(f"seed must be 0 or more, got {seed}")
        self.labeled = labeled
        self.unlabeled = unlabeled
        self.labeled_batch_size = labeled_batch_size
        self.unlabeled_batch_size = unlabeled_batch_size
        self.steps_per_epoch = steps_per_epoch
        self.seed = seed
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.step = 0

    def __len__(self) -> int:
        return self.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        labeled = self._stream(self.labeled, self.labeled_batch_size, 0)
        use_unlabeled = self.unlabeled is not None and len(self.unlabeled) > 0 and self.unlabeled_batch_size > 0
        unlabeled = self._stream(self.unlabeled, self.unlabeled_batch_size, 1) if use_unlabeled else None
        used = [self.labeled, self.unlabeled if use_unlabeled else None]
        volumes = [0 if data is None else len(data.data) for data in used]
        items = [0 if data is None else len(data) for data in used]
        slices = ["" if items == volumes else f" ({number} slices)" for number in items]
        _log.info(
            "training on %d labeled volumes%s and %d unlabeled ones%s", volumes[0], slices[0], volumes[1], slices[1]
        )
        while True:
            batch: Batch = {"labeled": next(labeled), "unlabeled": None if unlabeled is None else next(unlabeled)}
            # counted before the batch leaves: whoever saves a checkpoint after the step has consumed it
            self.step += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Return the number of steps served, and what the order of the data depends on."""
        return {"step": self.step, **self._order()}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue after ``state["step"]`` steps; takes effect at the next ``iter()``.

        Raises:
            ValueError: the state belongs to a run with another seed, other batch sizes or other data.

        """
        for name, now in self._order().items():
            if state[name] != now:
                raise ValueError(
                    f"the checkpoint was made with {name} {state[name]}, this run has {name} {now}: resume with the "
                    f"settings and the data that the training was started with, or start afresh without --resume"
                )
        self.step = state["step"]

    def _order(self) -> dict[str, int]:
        return {
            "seed": self.seed,
            "labeled_slices": len(self.labeled),
            "unlabeled_slices": 0 if self.unlabeled is None else len(self.unlabeled),
            "labeled_batch_size": self.labeled_batch_size,
            "unlabeled_batch_size": self.unlabeled_batch_size,
        }

    def _stream(self, dataset: Dataset[Any] | None, batch_size: int, stream: int) -> Iterator[dict[str, Any]]:
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        sampler = StreamSampler(
            len(dataset),  # type: ignore[arg-type]
            batch_size,
            seed=self.seed,
            stream=stream,
            first_batch=self.step,
            rank=torch.distributed.get_rank() if distributed else 0,
            world_size=torch.distributed.get_world_size() if distributed else 1,
        )
        # a generator of its own: a loader draws its workers' seed at iter(), which must not move the run's
        # random state, or a resumed run would differ from one that never stopped
        loader = DataLoader(
            dataset,  # type: ignore[arg-type]
            batch_sampler=sampler,
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            generator=torch.Generator().manual_seed(self.seed),
            collate_fn=_collate,
        )
        return iter(loader)


def _collate(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Stack tensors as plain tensors; everything else becomes a list."""
    batch: dict[str, Any] = {}
    for item in items[1:]:
        if item.keys() != items[0].keys():
            raise ValueError(
                f"the items of a stream must have the same keys: {_name(items[0])} has {sorted(items[0])}, "
                f"{_name(item)} has {sorted(item)}; keep labeled and unlabeled items in streams of their own"
            )
    for key in items[0]:
        values = [item[key] for item in items]
        batch[key] = _stack(key, values, items) if isinstance(values[0], torch.Tensor) else values
    affines = [item["image"].affine for item in items if isinstance(item.get("image"), MetaTensor)]
    if len(affines) == len(items):
        batch["affine"] = torch.stack(affines)
    return batch


def _stack(key: str, values: list[torch.Tensor], items: list[dict[str, Any]]) -> torch.Tensor:
    if len({value.shape for value in values}) > 1:
        shapes = {_name(item): tuple(value.shape) for item, value in zip(items, values, strict=True)}
        raise ValueError(f"the {key}s of a batch differ in shape: {shapes}; resize them, or use batches of one")
    return torch.stack([value.as_subclass(torch.Tensor) for value in values])


def _name(item: dict[str, Any]) -> str:
    where = f", slice {item['slice']}" if "slice" in item else ""
    return f"{item.get('volume', 'an item')}{where}"
