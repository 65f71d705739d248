"""The pixels of two networks as one set, with probabilities and labels that guide a choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses import hard_labels
from fewlabel.networks import ContrastProjector, MixedPass, NetworkOutput
from fewlabel.sampling import certain_mask, entropy, nearest_pixels

# Pixels of each network that are projected at once for the class centers: some 0.5 GB in float32.
CHUNK = 2**17


@dataclass(frozen=True)
class Guidance:
    """Probabilities and labels of every pixel, without a gradient: the CNN's images first, of each the labeled ones.

    Attributes:
        probabilities: (2N, K, H, W).
        labels: (2N, H, W), ground truth where labeled; ``IGNORED`` where nobody annotated.
        labeled: (2N, H, W) bool.
        certain: (2N, H, W) bool, true where labeled.
    """

    probabilities: Tensor
    labels: Tensor
    labeled: Tensor
    certain: Tensor

    def at(self, stride: int) -> Guidance:
        """Return it for the maps at a stride: of each stride x stride pixels, that of the one beside the center."""
        strides = (stride, stride)
        return Guidance(
            nearest_pixels(self.probabilities, strides),
            nearest_pixels(self.labels, strides),
            nearest_pixels(self.labeled, strides),
            nearest_pixels(self.certain, strides),
        )


@torch.no_grad()
def build_guidance(
    cnn: NetworkOutput, transformer: NetworkOutput, label: Tensor, uncertain_fraction: float, cross: bool = True
) -> Guidance:
    """Let the networks guide the choice of each other's pixels.

    A network's pixels get the *other* network's probabilities and, on unlabeled images, its classes; labeled images
    keep their ground truth. Unlabeled pixels of both networks are ranked together by entropy, at full resolution.
    Thesis ch. 5, sections 5.3.2.1-2.

    Args:
        cnn: the CNN's output for the batch.
        transformer: the Transformer's.
        label: labels (B, 1, H, W) of the labeled images.
        uncertain_fraction: share of the unlabeled pixels that count as uncertain.
        cross: False lets each network guide itself, the ablation "CroLab" of table 5.7.
    """
    pseudo_labels_from = (transformer, cnn) if cross else (cnn, transformer)
    truth = label.as_subclass(Tensor).long()
    logits = torch.cat([output.logits.detach().as_subclass(Tensor) for output in pseudo_labels_from])
    probabilities = logits.softmax(dim=1)
    pseudo_labels = [hard_labels(output.unlabeled).as_subclass(Tensor) for output in pseudo_labels_from]
    labels = torch.cat([truth, pseudo_labels[0], truth, pseudo_labels[1]])
    number = torch.arange(len(labels), device=labels.device) % len(cnn.logits)
    labeled = (number < len(truth))[:, None, None].expand_as(labels[:, 0])
    return _guidance(probabilities, labels[:, 0], labeled, uncertain_fraction)


@torch.no_grad()
def build_mixed_guidance(found: MixedPass, uncertain_fraction: float, cross: bool = True) -> Guidance:
    """Let the networks guide the choice of each other's pixels in images that were mixed.

    A pixel is labeled where it comes from a labeled image. Probabilities are those of the mixed images; classes of
    unlabeled pixels those that the image had before it was mixed.

    Args:
        found: both networks' output.
        uncertain_fraction: share of the unlabeled pixels that count as uncertain.
        cross: False lets each network guide itself.
    """
    sources = [(found.first, found.labels_of_first), (found.second, found.labels_of_second)]
    if cross:
        sources.reverse()
    logits = torch.cat([output.logits.detach() for output, _ in sources])
    labels = torch.cat([labels for _, labels in sources])[:, 0]
    labeled = found.mixed.labeled[:, 0].repeat(2, 1, 1)
    return _guidance(logits.softmax(dim=1), labels, labeled, uncertain_fraction)


def _guidance(probabilities: Tensor, labels: Tensor, labeled: Tensor, uncertain_fraction: float) -> Guidance:
    certain = torch.ones_like(labeled)
    certain[~labeled] = certain_mask(entropy(probabilities)[~labeled], uncertain_fraction)
    return Guidance(probabilities, labels, labeled, certain)


class Pixels:
    """All pixels of both networks' maps of one scale, numbered through; projected pixel by pixel when asked for.

    The projector looks at single pixels, so that projecting a choice of pixels equals choosing among the projected
    ones: a map of 24 x 224 x 224 pixels never becomes 128 channels wide.

    Args:
        cnn: map (N, C_a, H, W).
        transformer: map (N, C_b, H, W).
        projector: of this scale.
        guide: of this scale.

    Attributes:
        probabilities: (n, K) with n = 2 N H W.
        labels: (n,).
        labeled: (n,) bool.
        certain: (n,) bool.
        counted: (n,) bool, false for labeled pixels that nobody annotated.
        projected: how many pixels were projected so far, a pixel as often as it was asked for.
    """

    def __init__(self, cnn: Tensor, transformer: Tensor, projector: ContrastProjector, guide: Guidance) -> None:
        if cnn.shape[-2:] != guide.labels.shape[-2:] or transformer.shape[-2:] != cnn.shape[-2:]:
            raise ValueError(
                f"maps of {tuple(cnn.shape[-2:])} and {tuple(transformer.shape[-2:])} pixels are not on the grid of "
                f"{tuple(guide.labels.shape[-2:])} that guides them; give images whose sides the stride divides"
            )
        # MONAI's MetaTensor slows every operation down
        self.maps = (cnn.as_subclass(Tensor), transformer.as_subclass(Tensor))
        self.projector = projector
        self.guide = guide
        self.projected = 0
        self.probabilities = guide.probabilities.movedim(1, -1).flatten(0, -2)
        self.labels = guide.labels.flatten()
        self.labeled = guide.labeled.flatten()
        self.certain = guide.certain.flatten()
        self.counted = self.labels != IGNORED

    def of_class(self, num_classes: int) -> Tensor:
        """Return which pixels belong to each class by their labels (n, K)."""
        return self.labels[:, None] == torch.arange(num_classes, device=self.labels.device)

    def embed(self, indices: Tensor) -> Tensor:
        """Return the chosen pixels' unit vectors (m, d), in the order of the indices (m,)."""
        half = len(self.labels) // 2
        of_cnn = (indices < half).nonzero()[:, 0]
        of_transformer = (indices >= half).nonzero()[:, 0]
        cnn = _take(self.maps[0], indices[of_cnn])
        transformer = _take(self.maps[1], indices[of_transformer] - half)
        # an empty choice still reaches the projector, which distributed training demands
        vectors: Tensor = torch.cat(self.projector(cnn, transformer))
        self.projected += len(indices)
        return vectors[torch.cat([of_cnn, of_transformer]).argsort()]

    def embed_each(self, chosen: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the unit vectors (m_i, d) of several choices of indices (m_i,), all projected at once."""
        sizes = [len(indices) for indices in chosen]
        return torch.split(self.embed(torch.cat(list(chosen))), sizes)

    def centers(self, members: Tensor) -> Tensor:
        """Return the direction of each class's mean (K, d) over all its members (n, K), a zero vector without any.

        Exact, with a gradient to every member, in bounded memory: the maps go through the projector in pieces, which
        the backward pass projects again.
        """
        count, _, height, width = self.maps[0].shape
        step = max(1, CHUNK // (height * width))
        weights = members.view(2, count, height, width, -1).movedim(-1, 2)
        split = [torch.split(tensor, step) for tensor in (*self.maps, weights[0], weights[1])]
        sums = [
            checkpoint(self._sums, *piece, use_reentrant=False, preserve_rng_state=False)
            for piece in zip(*split, strict=True)
        ]
        self.projected += len(self.labels)
        return F.normalize(torch.stack(sums).sum(dim=0), dim=1)

    def _sums(self, cnn: Tensor, transformer: Tensor, *weights: Tensor) -> Tensor:
        vectors = self.projector(cnn, transformer)
        return _class_sums(vectors[0], weights[0]) + _class_sums(vectors[1], weights[1])


@in_float32
def _class_sums(vectors: Tensor, weights: Tensor) -> Tensor:
    """Sums (K, d) of vectors (N, d, H, W) by the members of each class (N, K, H, W)."""
    return torch.einsum("bkhw,bdhw->kd", weights.to(vectors.dtype), vectors)


def _take(maps: Tensor, indices: Tensor) -> Tensor:
    """Pixels (m, C) of maps (N, C, H, W), which are numbered image by image and row by row."""
    height, width = maps.shape[-2:]
    images = indices // (height * width)
    rows = indices // width % height
    columns = indices % width
    return maps.movedim(1, -1)[images, rows, columns]
