"""CCT-R's contrast, whose positives are also the same places of other patients (thesis chapter 6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses import anchored_contrastive, hard_labels
from fewlabel.losses.similarity import check_temperature
from fewlabel.methods.base import Batch, labeled_part
from fewlabel.networks import FeatureNetwork, NetworkOutput, build_projectors
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import RegisteredPositives, anchors, nearest_pixels, sample_mask


@dataclass(frozen=True)
class ContrastedImages:
    """What two networks made of images, and what is known about these.

    Attributes:
        first: the first network's output for N images.
        second: the second one's.
        labels_of_first: classes (N, 1, H, W) that the first network's pixels have: ground truth, where there is one,
            its own prediction elsewhere; :data:`fewlabel.conventions.labels.IGNORED` where nobody annotated.
        labels_of_second: the same for the second one's.
        origins: (N, 1, H, W), the number of the batch's image, labeled ones first, that a pixel comes from.
    """

    first: NetworkOutput
    second: NetworkOutput
    labels_of_first: Tensor
    labels_of_second: Tensor
    origins: Tensor

    @classmethod
    def of_whole(cls, first: NetworkOutput, second: NetworkOutput, label: Tensor) -> ContrastedImages:
        """Return those of a batch that was not mixed.

        Args:
            first: the first network's output for the batch, labeled images first.
            second: the second one's.
            label: labels (B, 1, H, W) of the labeled images.
        """
        truth = label.as_subclass(Tensor).long()
        labels = [torch.cat([truth, hard_labels(output.unlabeled)]) for output in (first, second)]
        return cls(first, second, labels[0], labels[1], image_numbers(0, len(first.logits), first.logits))


def image_numbers(first: int, count: int, like: Tensor) -> Tensor:
    """Return maps (count, 1, H, W) that hold the numbers of images, from ``first`` on, of a map's size and device."""
    numbers = torch.arange(first, first + count, device=like.device)
    return numbers.view(-1, 1, 1, 1).expand(-1, 1, *like.shape[2:]).contiguous()


class RegisteredContrast(nn.Module):
    r"""Contrast of confident pixels of both networks with a positive of their class and of their place.

    .. math::
        L = -\frac1K \sum_c \frac{1}{|an_c|} \sum_{i \in an_c} \log
            \frac{\exp(a_i \cdot p_i / \tau)}{\exp(a_i \cdot p_i / \tau) + Z_i}, \qquad
        Z_i = \sum_{j \ne c} \sum_{k \in n_j} \exp(a_i \cdot a_k / \tau), \qquad
        p_i = w_1 \bar a_c + w_2\, p_i^r

    Thesis ch. 6, eq. 6.3-6.5, 6.11-6.13. Anchors :math:`an_c` are drawn from the pixels :math:`A_c` of class c whose
    highest probability exceeds h, of both networks together; :math:`\bar a_c` is the mean of :math:`A_c`, and
    :math:`p_i^r` what :class:`fewlabel.sampling.RegisteredPositives` finds at the anchor's place in other patients;
    without any, the class's mean serves alone. Negatives :math:`n_j` are drawn from :math:`A_j`, as many at most of
    each class. Means and positives are scaled to unit length.

    What the thesis leaves open: :math:`w_1 = w_2 = 1/2`; a pixel's class and probability are its own network's; the
    memory holds the mean of both networks' vectors. A class without anchors, or without negatives, adds 0.

    Args:
        first: a network with ``feature_channels``.
        second: the other one; a student stands for its averaged teacher.
        num_classes: K, the background included.
        positives: where registered positives come from; None leaves them out (table 6.4, "SCL").
        stride: of the maps that are contrasted.
        threshold: h.
        num_anchors: N, drawn per class.
        num_negatives: O, drawn per class.
        registered_share: :math:`w_2`; :math:`w_1` is the rest.
        temperature: tau.

    Raises:
        ValueError: an argument is out of range, or the stride is not one that both networks have.
    """

    @parse_arguments
    def __init__(
        self,
        first: FeatureNetwork,
        second: FeatureNetwork,
        num_classes: int = 4,
        positives: RegisteredPositives | None = None,
        stride: int = 4,
        threshold: float = 0.5,
        num_anchors: int = 1000,
        num_negatives: int = 500,
        registered_share: float = 0.5,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background too and must be at least 2, got {num_classes}")
        if min(num_anchors, num_negatives) < 1:
            raise ValueError(f"num_anchors and num_negatives must be at least 1, got {num_anchors}, {num_negatives}")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold is a probability in [0, 1), got {threshold}")
        if not 0 <= registered_share <= 1:
            raise ValueError(f"registered_share must be in [0, 1], got {registered_share}")
        check_temperature(temperature)
        self.projector = build_projectors(first, second, [stride])[str(stride)]
        self.positives = positives
        self.num_classes = num_classes
        self.stride = stride
        self.threshold = threshold
        self.num_anchors = num_anchors
        self.num_negatives = num_negatives
        self.registered_share = registered_share
        self.temperature = temperature

    def forward(
        self, images: ContrastedImages, batch: Batch, unmixed: tuple[NetworkOutput, NetworkOutput] | None = None
    ) -> Tensor:
        """Return the contrast, a scalar, and store what the networks see of the batch's slices.

        Args:
            images: what is contrasted.
            batch: the batch they were made from; for registered positives its items must have ``volume``, ``slice``
                and ``affine``, as slices of :class:`fewlabel.data.SliceDataset` have.
            unmixed: both networks' outputs for the batch's images themselves, where the contrasted ones were mixed.
        """
        vectors = self._project(images.first, images.second)
        members, flat = self._members(images, vectors)
        chosen = [sample_mask(column, self.num_anchors) for column in members.T]
        negatives = [flat[sample_mask(column, self.num_negatives)] for column in members.T]
        registered: Sequence[tuple[Tensor, Tensor] | None] = [None] * self.num_classes
        if self.positives is not None:
            slices = _slices(batch)
            places = _places(vectors, nearest_pixels(images.origins, (self.stride, self.stride)))
            if self.positives.bank.channels:
                # of all classes at once, so that each slice is followed to other patients once
                both = _find(self.positives, torch.cat(chosen), places, slices, self.stride)
                counts = [len(own) for own in chosen]
                registered = list(zip(*(torch.split(part, counts) for part in both), strict=True))
            _store(self.positives, slices, vectors if unmixed is None else self._project_unmixed(*unmixed), self.stride)
        losses = [
            self._of_class(number, flat, members[:, number], own, negatives, registered[number])
            for number, own in enumerate(chosen)
        ]
        return torch.stack(losses).sum() / self.num_classes

    def _project(self, first: NetworkOutput, second: NetworkOutput) -> Tensor:
        """Unit vectors (2N, d, h, w), the first network's images first."""
        maps = [output.features[self.stride].as_subclass(Tensor) for output in (first, second)]
        return torch.cat(self.projector(*maps))

    @torch.no_grad()
    def _project_unmixed(self, first: NetworkOutput, second: NetworkOutput) -> Tensor:
        return self._project(first, second)

    def _members(self, images: ContrastedImages, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return which pixels are in the anchor set of each class (n, K), and their vectors (n, d)."""
        strides = (self.stride, self.stride)
        logits = torch.cat([images.first.logits.detach(), images.second.logits.detach()])
        probabilities = nearest_pixels(logits, strides).float().softmax(dim=1).movedim(1, -1).flatten(0, -2)
        labels = torch.cat([images.labels_of_first, images.labels_of_second])
        labels = nearest_pixels(labels.as_subclass(Tensor), strides).flatten().long()
        members = anchors(probabilities, labels.clamp(min=0), threshold=self.threshold)
        members = members & (labels != IGNORED)[:, None]
        return members, vectors.movedim(1, -1).flatten(0, -2)

    def _of_class(
        self,
        number: int,
        vectors: Tensor,
        members: Tensor,
        chosen: Tensor,
        negatives: list[Tensor],
        registered: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        center = F.normalize(vectors[members].sum(dim=0, dtype=torch.float32), dim=0)
        positives = center.expand(len(chosen), -1)
        if registered is not None:
            features, found = registered
            both = (1 - self.registered_share) * center + self.registered_share * F.normalize(features, dim=1)
            positives = torch.where(found[:, None], F.normalize(both, dim=1), positives)
        others = [keys for other, keys in enumerate(negatives) if other != number]
        keys = torch.cat(others)
        alike = keys.new_zeros(len(keys), dtype=torch.long)  # all keys count alike, whatever their class
        return anchored_contrastive(vectors[chosen], positives, keys, alike, self.temperature, balanced=False)


@dataclass(frozen=True)
class _Slice:
    volume: str
    index: int
    affine: Tensor


def _slices(batch: Batch) -> list[_Slice]:
    """Where the images of a batch are from, labeled ones first."""
    halves = [labeled_part(batch), batch.get("unlabeled")]
    return [one for half in halves if half is not None for one in _slices_of(half)]


def _slices_of(half: Mapping[str, Any]) -> list[_Slice]:
    missing = [key for key in ("volume", "slice", "affine") if key not in half]
    if missing:
        raise ValueError(
            f"the batch lacks {missing[0]!r}, which registered positives need: give slices of "
            "fewlabel.data.SliceDataset, with an augmentation that keeps track of its geometry"
        )
    return [_Slice(*one) for one in zip(half["volume"], map(int, half["slice"]), half["affine"], strict=True)]


def _places(vectors: Tensor, origins: Tensor) -> Tensor:
    """Return image of the batch, row and column (n, 3) of all pixels of both networks' maps."""
    height, width = vectors.shape[-2:]
    rows = torch.arange(height, device=vectors.device)[:, None].expand(len(vectors), height, width)
    columns = torch.arange(width, device=vectors.device)[None].expand(len(vectors), height, width)
    both = origins[:, 0].repeat(2, 1, 1)
    return torch.stack([both.long(), rows, columns], dim=-1).flatten(0, -2)


def _find(
    positives: RegisteredPositives, chosen: Tensor, places: Tensor, slices: Sequence[_Slice], stride: int
) -> tuple[Tensor, Tensor]:
    """Return registered features (a, d) of anchors, and whether there are any (a,)."""
    origins = places[chosen, 0]
    features = torch.zeros(len(chosen), positives.bank.channels, device=chosen.device)
    found = torch.zeros(len(chosen), dtype=torch.bool, device=chosen.device)
    for number in set(origins.tolist()):
        own = (origins == number).nonzero()[:, 0]
        one = slices[number]
        means, counts = positives.find(one.volume, one.index, one.affine, stride, places[chosen[own], 1:])
        features[own] = means
        found[own] = counts > 0
    return features, found


@torch.no_grad()
def _store(positives: RegisteredPositives, slices: Sequence[_Slice], vectors: Tensor, stride: int) -> None:
    both = F.normalize(torch.stack(vectors.detach().float().chunk(2)).mean(dim=0), dim=1)
    for one, feature_map in zip(slices, both, strict=True):
        positives.push(one.volume, one.index, one.affine, stride, feature_map)
