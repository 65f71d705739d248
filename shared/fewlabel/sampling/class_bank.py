"""A memory of negative keys per class that changes slowly and survives a restart."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fewlabel.sampling.random_choice import sample_indices


class ClassBank(nn.Module):
    """For each class, a first-in first-out store of other classes' features, with the classes they belong to.

    One push replaces at most a share of a class's store, by a random choice among what was offered, so that the keys
    come from several batches. Thesis ch. 5, "Negative Key Sampling" (K = 60,000 keys, t_b = 0.25).

    Everything, the write positions included, is in buffers: the bank follows ``.to(device)``, and ``state_dict``
    restores it bit for bit. Wrap a method that owns one in DistributedDataParallel with ``broadcast_buffers=False``,
    or every step sends rank 0's bank to all ranks.

    Args:
        num_classes: how many stores.
        channels: d, the length of a feature.
        capacity: how many keys a store holds at most.
        max_fraction: share of the capacity, in (0, 1], that one push may replace.
        dtype: how features are stored; unit vectors keep three digits in half precision.

    Raises:
        ValueError: if a size is below 1, or the share is not in (0, 1].

    Example:
        >>> bank = ClassBank(num_classes=2, channels=3, capacity=8)
        >>> bank.push(0, features=torch.eye(3), labels=torch.tensor([1, 1, 1]))  # a quarter of 8
        2
        >>> len(bank.draw(0, 500)[0]), len(bank.draw(1, 500)[0])
        (2, 0)

    """

    features: Tensor
    labels: Tensor
    position: Tensor
    filled: Tensor

    def __init__(
        self,
        num_classes: int,
        channels: int,
        capacity: int = 60_000,
        max_fraction: float = 0.25,
        dtype: torch.dtype = torch.float16,
    ) -> None:
        super().__init__()
        if min(num_classes, channels, capacity) < 1:
            raise ValueError(
                f"num_classes, channels and capacity must be at least 1, got {num_classes}, {channels}, {capacity}"
            )
        if not 0 < max_fraction <= 1:
            raise ValueError(
                f"max_fraction must be a share of the capacity in (0, 1], got {max_fraction}; the thesis: 0.25"
            )
        self.num_classes = num_classes
        self.channels = channels
        self.capacity = capacity
        self.quota = max(1, math.floor(max_fraction * capacity))
        self.register_buffer("features", torch.zeros(num_classes, capacity, channels, dtype=dtype))
        self.register_buffer("labels", torch.full((num_classes, capacity), -1, dtype=torch.int64))
        self.register_buffer("position", torch.zeros(num_classes, dtype=torch.int64))
        self.register_buffer("filled", torch.zeros(num_classes, dtype=torch.int64))

    @torch.no_grad()
    def push(self, class_index: int, features: Tensor, labels: Tensor, generator: torch.Generator | None = None) -> int:
        """Store negatives of one class over its oldest keys; of more than the quota, a random choice.

        Args:
            class_index: the class that the features are negatives of.
            features: ``(m, d)``, detached here.
            labels: ``(m,)`` the features' own classes, none of them ``class_index``.
            generator: where the randomness comes from, PyTorch's own if not given.

        Returns:
            How many were stored.

        Raises:
            ValueError: if a shape, a class or a label does not fit, or a feature is not finite as stored.

        """
        self._check(class_index, features, labels)
        chosen = sample_indices(len(features), self.quota, generator, features.device)
        stored = features[chosen].to(self.features.device, self.features.dtype)
        if not bool(stored.isfinite().all()):
            raise ValueError(
                f"features for class {class_index} are not finite as {self.features.dtype}; scale them to unit "
                "length, or give the bank dtype=torch.float32"
            )
        position = int(self.position[class_index])
        slots = torch.arange(position, position + len(stored), device=stored.device) % self.capacity
        self.features[class_index, slots] = stored
        self.labels[class_index, slots] = labels[chosen].to(self.labels)
        self.position[class_index] = (position + len(stored)) % self.capacity
        self.filled[class_index] = min(int(self.filled[class_index]) + len(stored), self.capacity)
        return len(stored)

    def draw(
        self, class_index: int, count: int = 500, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw negatives of one class without replacement; all there are if the store holds fewer, maybe none.

        Args:
            class_index: the class to repel.
            count: how many to draw at most (the thesis: M = 500).
            generator: where the randomness comes from, PyTorch's own if not given.

        Returns:
            ``features`` ``(m, d)`` in float32 or wider, ``labels`` ``(m,)`` int64.

        Raises:
            ValueError: if the class is out of range, or the count negative.

        """
        self._check_class(class_index)
        chosen = sample_indices(int(self.filled[class_index]), count, generator, self.features.device)
        wide = torch.promote_types(self.features.dtype, torch.float32)
        return self.features[class_index, chosen].to(wide), self.labels[class_index, chosen]

    def _check_class(self, class_index: int) -> None:
        if not 0 <= class_index < self.num_classes:
            raise ValueError(f"class_index must be in 0 .. {self.num_classes - 1}, got {class_index}")

    def _check(self, class_index: int, features: Tensor, labels: Tensor) -> None:
        self._check_class(class_index)
        if features.ndim != 2 or features.shape[1] != self.channels or tuple(labels.shape) != (len(features),):
            raise ValueError(
                f"expected features (m, {self.channels}) and labels (m,), got {tuple(features.shape)} and "
                f"{tuple(labels.shape)}"
            )
        wrong = (labels < 0) | (labels >= self.num_classes) | (labels == class_index)
        if bool(wrong.any()):
            raise ValueError(
                f"labels hold {labels[wrong][0].item()}, but the negatives of class {class_index} must be of the "
                f"other classes in 0 .. {self.num_classes - 1}"
            )
