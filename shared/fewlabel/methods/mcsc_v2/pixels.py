"""The pixels of two students as one set: what guides their choice, and their projections, made only when asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from fewlabel.labels import IGNORED
from fewlabel.losses import hard_labels
from fewlabel.networks import ContrastProjector, NetworkOutput
from fewlabel.sampling import certain_mask, entropy

# Pixels of each network that are projected at once for the class centers: some 0.5 GB in float32.
CHUNK = 2**17


@dataclass(frozen=True)
class Guidance:
    """What is known of every pixel, without a gradient: the CNN's images first, of each network the labeled ones.

    Attributes:
        probabilities: (2N, K, H, W).
        labels: (2N, H, W), ground truth where labeled; :data:`fewlabel.labels.IGNORED` where nobody annotated.
        labeled: (2N, H, W) bool.
        certain: (2N, H, W) bool, true where labeled.
    """

    probabilities: Tensor
    labels: Tensor
    labeled: Tensor
    certain: Tensor

    def at(self, stride: int) -> Guidance:
        """Return it for the maps at a stride: of each stride x stride pixels, that of the one beside the center."""
        coarse = (..., slice(stride // 2, None, stride), slice(stride // 2, None, stride))
        return Guidance(self.probabilities[coarse], self.labels[coarse], self.labeled[coarse], self.certain[coarse])


@torch.no_grad()
def build_guidance(
    cnn: NetworkOutput, transformer: NetworkOutput, label: Tensor, uncertain_fraction: float, cross: bool = True
) -> Guidance:
    """Let the networks guide the choice of each other's pixels.

    A network's pixels get the *other* network's probabilities and, on unlabeled images, its classes; labeled images
    keep their ground truth. Unlabeled pixels of both networks are ranked together by entropy, at full resolution.
    Thesis ch. 5, sections 5.3.2.1-2.

    Args:
        cnn: what the CNN made of the batch.
        transformer: what the Transformer made of it.
        label: labels (B, 1, H, W) of the labeled images.
        uncertain_fraction: share of the unlabeled pixels that count as uncertain.
        cross: False lets each network guide itself, the ablation "CroLab" of table 5.7.
    """
    pseudo_labels_from = (transformer, cnn) if cross else (cnn, transformer)
    truth = label.as_subclass(Tensor).long()
    probabilities = torch.cat(
        [output.logits.detach().as_subclass(Tensor).softmax(dim=1) for output in pseudo_labels_from]
    )
    labels = torch.cat(
        [part for output in pseudo_labels_from for part in (truth, hard_labels(output.unlabeled).as_subclass(Tensor))]
    )
    number = torch.arange(len(labels), device=labels.device) % len(cnn.logits)
    labeled = (number < len(truth))[:, None, None].expand_as(labels[:, 0])
    certain = torch.ones_like(labeled)
    certain[~labeled] = certain_mask(entropy(probabilities)[~labeled], uncertain_fraction)
    return Guidance(probabilities, labels[:, 0], labeled, certain)


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
                f"maps of {tuple(cnn.shape[-2:])} and {tuple(transformer.shape[-2:])} pixels do not lie on the grid of "
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
        places = [(indices < half).nonzero()[:, 0], (indices >= half).nonzero()[:, 0]]
        chosen = [_take(m, indices[at] - half * i) for i, (m, at) in enumerate(zip(self.maps, places, strict=True))]
        # an empty choice still reaches the projector, which distributed training demands
        vectors: Tensor = torch.cat(self.projector(*chosen))
        self.projected += len(indices)
        return vectors[torch.cat(places).argsort()]

    def centers(self, members: Tensor) -> Tensor:
        """Return the direction of each class's mean (K, d) over all its members (n, K), a zero vector without any.

        Exact, with a gradient to every member, in bounded memory: the maps go through the projector in pieces, which
        the backward pass projects again.
        """
        count, _, height, width = self.maps[0].shape
        step = max(1, CHUNK // (height * width))
        weights = members.view(2, count, height, width, -1).movedim(-1, 2)
        pieces = zip(*(torch.split(m, step) for m in (*self.maps, weights[0], weights[1])), strict=True)
        sums = torch.stack(
            [checkpoint(self._sums, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces]
        )
        self.projected += len(self.labels)
        return F.normalize(sums.sum(dim=0), dim=1)

    def _sums(self, cnn: Tensor, transformer: Tensor, *weights: Tensor) -> Tensor:
        vectors = self.projector(cnn, transformer)
        with torch.autocast(cnn.device.type, enabled=False):
            wide = [part.to(torch.promote_types(part.dtype, torch.float32)) for part in vectors]
            parts = [
                torch.einsum("bkhw,bdhw->kd", weight.to(part.dtype), part)
                for weight, part in zip(weights, wide, strict=True)
            ]
        return parts[0] + parts[1]


def _take(maps: Tensor, indices: Tensor) -> Tensor:
    """Pixels (m, C) of maps (N, C, H, W), which are numbered image by image and row by row."""
    height, width = maps.shape[-2:]
    return maps.movedim(1, -1)[indices // (height * width), indices // width % height, indices % width]
