"""The labeled and the unlabeled half of a batch as mixed images, and labels that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from fewlabel.mixing.mixture import Mixture, copy_paste, cut_mix

MIXINGS = ("none", "cut_mix", "copy_paste")
MIXINGS_AMONG_UNLABELED = ("none", "cut_mix")


@dataclass(frozen=True)
class MixedHalves:
    """Images mixed of both halves of a batch.

    Attributes:
        images: (N, C, *spatial); with "cut_mix" the labeled ones first.
        labeled: (N, 1, *spatial) bool, where a voxel comes from a labeled image.
        mixture: of the images that were mixed.
        kind: "cut_mix" or "copy_paste".
    """

    images: Tensor
    labeled: Tensor
    mixture: Mixture
    kind: str

    def labels(self, truth: Tensor, pseudo: Tensor) -> Tensor:
        """Return label maps (N, 1, *spatial) for the images.

        Args:
            truth: labels (B, 1, *spatial) of the labeled images.
            pseudo: labels (U, 1, *spatial) of the unlabeled ones, made before they were mixed.
        """
        return _mixed(self.kind, self.mixture, truth, pseudo)


def mix_halves(
    kind: str, labeled: Tensor, unlabeled: Tensor, prob: float = 1.0, generator: torch.Generator | None = None
) -> MixedHalves:
    """Mix the images of a batch.

    "copy_paste" pastes labeled and unlabeled images into each other in both directions, each image of the smaller half
    several times where the halves differ in number: see :func:`fewlabel.mixing.copy_paste`. "cut_mix" leaves
    labeled images as they are and mixes each unlabeled one with the next: see :func:`fewlabel.mixing.cut_mix`.

    Args:
        kind: "cut_mix" or "copy_paste".
        labeled: images (B, C, *spatial), one or more.
        unlabeled: images (U, C, *spatial), one or more.
        prob: with which "cut_mix" mixes an image at all.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.

    Raises:
        ValueError: the kind is unknown.
    """
    if kind not in MIXINGS[1:]:
        raise ValueError(f"mixing must be one of {MIXINGS[1:]} for a batch that is to be mixed, got {kind!r}")
    spatial = tuple(labeled.shape[2:])
    if kind == "copy_paste":
        mixture = copy_paste(max(len(labeled), len(unlabeled)), spatial, generator=generator)
    else:
        mixture = cut_mix(len(unlabeled), spatial, prob, generator=generator)
    mixture = mixture.to(labeled.device)
    origins = (torch.ones_like(labeled[:, :1], dtype=torch.bool), torch.zeros_like(unlabeled[:, :1], dtype=torch.bool))
    return MixedHalves(_mixed(kind, mixture, labeled, unlabeled), _mixed(kind, mixture, *origins), mixture, kind)


def check_mixing(kind: str, passes: str = "joint", kinds: tuple[str, ...] = MIXINGS) -> str:
    """Return a valid value of ``mixing``.

    Args:
        kind: the value.
        passes: of the networks.
        kinds: what a method knows.

    Raises:
        ValueError: it is unknown, or the halves of a batch are to go through the networks separately.
    """
    if kind not in kinds:
        raise ValueError(f"mixing must be one of {kinds}, got {kind!r}")
    if kind != "none" and passes == "separate":
        raise ValueError(f'mixing {kind!r} needs passes "joint": mixed images are neither labeled nor unlabeled')
    return kind


def mix_among(kind: str, images: Tensor | None) -> Callable[[Tensor], Tensor]:
    """Draw how the images of a batch are mixed among themselves.

    Args:
        kind: "none" or "cut_mix", see :func:`fewlabel.mixing.cut_mix`; each image gets a box of the next one.
        images: (B, C, *spatial); without any nothing is drawn.

    Returns:
        What mixes these images, and any maps (B, K, *spatial) that belong to them.
    """
    if kind == "none" or images is None or len(images) == 0:
        return _as_they_are
    return cut_mix(len(images), tuple(images.shape[2:])).to(images.device).with_next


def _as_they_are(images: Tensor) -> Tensor:
    return images


def _mixed(kind: str, mixture: Mixture, of_labeled: Tensor, of_unlabeled: Tensor) -> Tensor:
    """Mix images, or maps of one channel, of both halves."""
    if kind == "cut_mix":
        mixed, _ = _swapped(mixture, of_unlabeled, of_unlabeled.roll(-1, dims=0))
        return torch.cat([of_labeled, mixed])
    numbers = torch.arange(len(mixture.mask), device=of_labeled.device)
    repeated = of_unlabeled[numbers % len(of_unlabeled)], of_labeled[numbers % len(of_labeled)]
    return torch.cat(_swapped(mixture, *repeated))


def _swapped(mixture: Mixture, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return mixture.images(first, second) if first.is_floating_point() else mixture.labels(first, second)
