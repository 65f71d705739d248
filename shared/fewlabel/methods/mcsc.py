"""Multi-scale cross supervised contrastive learning (MCSC), thesis chapter 4, BMVC 2023."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses import CrossTeachingLoss, balanced_contrastive, hard_labels
from fewlabel.losses.similarity import check_temperature
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import check_mixing
from fewlabel.networks import (
    FeatureNetwork,
    NetworkOutput,
    build_projectors,
    check_passes,
    forward_features,
    forward_mixed,
)
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import nearest_pixels
from fewlabel.sampling.patches import COVERAGES, cut_patches, deal_patches, patch_corners

LABEL_ORDERS = ("pixels", "released")


class MCSC(Method):
    r"""Cross teaching, plus a class-balanced contrast of both networks' pixels at several scales.

    Feature maps of the CNN and the Transformer are projected into one space. Pixels of one class attract each other
    and pixels of different classes repel each other, across slices and across networks, under labels that the networks
    exchange: ground truth on labeled slices, the *other* network's classes on unlabeled ones. Each map is cut into
    patches; a group holds one random patch of every map, and the contrast (thesis eq. 4.2,
    :func:`fewlabel.losses.balanced_contrastive`) runs within groups.

    Labeled pixels that nobody annotated are in no sum.

    .. math:: L = L_{cnn} + L_{tra} + w_{cl} \sum_{scales} \tfrac1M \sum_{m=1}^M L_{bcl}(A^m)

    Terms: those of cross teaching, and ``contrastive``, the sum over scales.

    Where thesis and released code disagree the bundle's README says what was taken; the arguments below bring the
    released behavior back.

    Args:
        cnn: network with ``features`` and ``head``; the one that is used for inference.
        transformer: the second network, with the same.
        patch_sizes: pixels along a patch's side by the stride of the map, ``{1: 19, 8: 14}`` in the thesis: the map
            at full resolution and the one at an eighth of it.
        warmup: share of the training run in which unlabeled slices stay out of the contrast, while their pseudo-labels
            mean nothing yet. Released code: 3000 of 40000 iterations; the thesis does not mention it.
        groups_per_step: contrast a random subset of at most this many groups per scale, of those that
            ``skip_background`` leaves; None takes all.
        patches: how patches cover a map, see :func:`fewlabel.sampling.patches.patch_starts`; "released" for the
            released code's.
        skip_background: leave out groups without any foreground pixel, as the released code does.
        cross_labels: sort a network's unlabeled pixels by the *other* network's classes; False for its own, the
            ablation of thesis table 4.3.
        temperature: of the contrast.
        label_order: "pixels" gives each pixel its own class. "released" repeats the released code, which puts a group's
            labels into another order than its features, rows before maps, so that nearly every pixel gets the class of
            another one of its column; only for comparison with published figures.
        passes: "joint" or "separate", see :func:`fewlabel.networks.feature_network.forward_features`.
        mixing: "none"; "copy_paste" pastes labeled and unlabeled images into each other, "cut_mix" unlabeled ones among
            themselves, see :func:`fewlabel.mixing.mix_halves`. Each network labels the images before they are mixed;
            teaching and contrast see the mixed images.
        largest_component: with mixing, keep of each class of these labels the largest connected component alone.

    Raises:
        ValueError: an argument is out of range, or a stride is not one that both networks have.
    """

    @parse_arguments
    def __init__(
        self,
        cnn: FeatureNetwork,
        transformer: FeatureNetwork,
        patch_sizes: Mapping[int | str, int] | None = None,
        warmup: float = 0.075,
        groups_per_step: int | None = None,
        patches: str = "whole",
        skip_background: bool = True,
        cross_labels: bool = True,
        temperature: float = 0.1,
        label_order: str = "pixels",
        passes: str = "joint",
        mixing: str = "none",
        largest_component: bool = True,
    ) -> None:
        super().__init__()
        # JSON has no integer keys
        sizes = {1: 19, 8: 14} if patch_sizes is None else {int(k): int(v) for k, v in patch_sizes.items()}
        if not sizes or min(sizes.values()) < 1:
            raise ValueError(f"patch_sizes needs at least one scale, and patches of at least 1 pixel, got {sizes}")
        _check_contrast(warmup, groups_per_step, patches, temperature)
        if label_order not in LABEL_ORDERS:
            raise ValueError(f"label_order must be one of {LABEL_ORDERS}, got {label_order!r}")
        self.cnn = cnn
        self.transformer = transformer
        self.projectors = build_projectors(cnn, transformer, sizes)
        self.patch_sizes = sizes
        self.warmup = warmup
        self.groups_per_step = groups_per_step
        self.patches = patches
        self.skip_background = skip_background
        self.cross_labels = cross_labels
        self.temperature = temperature
        self.label_order = label_order
        self.passes = check_passes(passes)
        self.mixing = check_mixing(mixing, passes)
        self.largest_component = largest_component
        self._cross_teaching = CrossTeachingLoss()

    def networks(self) -> dict[str, nn.Module]:
        """Return both students, see :meth:`Method.networks`."""
        return {name: self.get_submodule(name) for name in ("cnn", "transformer")}

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        label: Tensor = labeled["label"]
        if unlabeled is not None and self.mixing != "none":
            return self._mixed((labeled["image"], label), unlabeled, progress)
        cnn = forward_features(self.cnn, labeled["image"], unlabeled, self.passes)
        transformer = forward_features(self.transformer, labeled["image"], unlabeled, self.passes)
        used = len(label) if progress < self.warmup else len(cnn.logits)
        # crossed: each network's pixels are sorted by what the other one sees
        pseudo_labels_from = (transformer, cnn) if self.cross_labels else (cnn, transformer)
        parts = [torch.cat([label.long(), hard_labels(output.unlabeled)]) for output in pseudo_labels_from]
        labels = torch.cat([part[:used] for part in parts])
        contrast = [self._contrast(stride, cnn, transformer, labels) for stride in self.patch_sizes]
        terms: dict[str, Tensor] = self._cross_teaching(cnn.logits, transformer.logits, label)
        return {**terms, "contrastive": torch.stack(contrast).sum()}

    def _mixed(self, labeled: tuple[Tensor, Tensor], unlabeled: Tensor, progress: float) -> dict[str, Tensor]:
        found = forward_mixed(self.cnn, self.transformer, labeled, unlabeled, self.mixing, self.largest_component)
        crossed = found.crossed_labels
        labels = torch.cat(crossed if self.cross_labels else crossed[::-1])
        if progress < self.warmup:
            labels = labels.masked_fill(~found.mixed.labeled.repeat(2, *[1] * (labels.ndim - 1)), IGNORED)
        contrast = [self._contrast(stride, found.first, found.second, labels) for stride in self.patch_sizes]
        terms = self._cross_teaching.mixed(found.first.logits, found.second.logits, crossed, found.mixed.labeled)
        return {**terms, "contrastive": torch.stack(contrast).sum()}

    def _contrast(self, stride: int, cnn: NetworkOutput, transformer: NetworkOutput, labels: Tensor) -> Tensor:
        """Return the contrast at one scale; labels (2N, 1, H, W) belong to N maps of each network, CNN first."""
        num = len(labels) // 2
        patch = self.patch_sizes[stride]
        maps_a = cnn.features[stride][:num]
        maps_b = transformer.features[stride][:num]
        labels = nearest_pixels(labels, (stride, stride))
        corners = patch_corners(maps_a.shape[-2], maps_a.shape[-1], patch, self.patches)
        # dealt on the CPU from the run's random state, so that every device sees the same groups
        corners = corners[deal_patches(2 * num, len(corners))].to(labels.device)
        cut = cut_patches(labels, corners, patch)[:, :, 0]  # (groups, maps, rows, columns)
        classes = (cut if self.label_order == "pixels" else cut.transpose(1, 2)).flatten(1)
        if self.skip_background:
            keep = (classes > 0).any(dim=1)
            corners = corners[keep]
            classes = classes[keep]
        corners = corners[: self.groups_per_step]
        classes = classes[: self.groups_per_step]
        # a 1x1 convolution sees single pixels: projecting the patches equals cutting the projected maps; with no group
        # left the graph still reaches the projectors, which distributed training demands
        cut_a = cut_patches(maps_a, corners[:, :num], patch)
        cut_b = cut_patches(maps_b, corners[:, num:], patch)
        projected = self.projectors[str(stride)](cut_a.flatten(0, 1), cut_b.flatten(0, 1))
        grouped = [patches.unflatten(0, (len(classes), num)) for patches in projected]
        groups = [patches.movedim(2, -1).flatten(1, 3) for patches in grouped]
        vectors = torch.cat(groups, dim=1)
        return balanced_contrastive(vectors, classes, self.temperature, ignore_index=IGNORED, divide_by="pixels")


def _check_contrast(warmup: float, groups_per_step: int | None, patches: str, temperature: float) -> None:
    if not 0 <= warmup <= 1:
        raise ValueError(f"warmup is a share of the training run in [0, 1], got {warmup}")
    if groups_per_step is not None and groups_per_step < 1:
        raise ValueError(f"groups_per_step must be at least 1, or None for all groups, got {groups_per_step}")
    if patches not in COVERAGES:
        raise ValueError(f"patches must be one of {COVERAGES}, got {patches!r}")
    check_temperature(temperature)
