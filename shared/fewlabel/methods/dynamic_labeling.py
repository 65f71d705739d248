"""Dynamic labeling (VCLIPSeg): two students learn from pseudo-labels that both have mixed, and from class names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32
from fewlabel.losses import (
    plain_dice_loss,
    vision_text_consistency,
    weighted_vision_text_consistency,
    without_ignored,
)
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import nearest_pixels

PSEUDO_LABELS = ("hard", "soft")
COARSE_LABELS = ("share", "center", "corner")


@runtime_checkable
class TwinNetwork(Protocol):
    """A network of two decoders, the two students, such as :class:`fewlabel.networks.VCLIPSeg` or ``MCNet``."""

    def __call__(self, x: Tensor) -> Tensor:
        """Return the logits (B, K, *spatial) that are used for inference."""

    def outputs(self, x: Tensor) -> Sequence[Tensor | list[Tensor]]:
        """Return both decoders' logits (B, K, *spatial) and, of VCLIPSeg, projections in the space of text."""


class TextNetwork(Protocol):
    """A network that holds embeddings of class names, such as :class:`fewlabel.networks.VCLIPSeg`."""

    @property
    def text(self) -> Tensor:
        """Embeddings (K, d) of the names of the classes."""


class DynamicLabeling(Method):
    r"""Dynamic Labeling Branch (DLB), with the Vision-Text Consistency Module (VTCM) where the network has text.

    Both students' losses on the labeled images say how much each is worth on the unlabeled ones:

    .. math::
        w_1 = \frac{e^{1 - \sigma(L_1)}}{e^{1 - \sigma(L_1)} + e^{1 - \sigma(L_2)}}, \qquad
        P = w_1 p_1 + w_2 p_2, \qquad
        L_u = \sum_{i=1,2} L_{dice}(p_i, P) + L_{ce}(p_i, P)

    Li et al., "VCLIPSeg", MICCAI 2024, eq. 4-11. The students are the two decoders of ``network``, or ``network`` and
    ``second_network``: cross pseudo supervision with dynamic labels, of table 4. The consistency takes voxels of
    labeled images on which ground truth and both students agree, and averages over them the features of the coarsest
    map (eq. 4), each voxel of which covers a block of 16 x 16 x 16 of the image's.

    Terms: ``supervised``, ``dynamic``, ``text``; the latter is 0 for a network without projections.

    Where paper and released code disagree the bundle's README says what was taken.

    Args:
        network: with ``outputs(x)`` that gives two students' logits and, of VCLIPSeg, projections (the two decoders of
            MCNet make table 4's "MC-Net + DLB"); or, with a second network, any that maps images to logits. It is
            the one that is used for inference.
        second_network: the second student, where it is a network of its own.
        pseudo_labels: "hard" takes the most probable class of P, as the released code does; "soft" takes P.
        weighted: False mixes both students alike.
        teach_labeled: let ``dynamic`` see the labeled images too, as the released code does.
        include_background: let Dice count the background as a class, as eq. 6 reads; the released code's is that of the
            foreground alone.
        coarse_labels: what a voxel of the coarsest map counts as in the consistency. "share": as much of each class as
            its block has voxels of it on which all agree, which is eq. 4's mask averaged to that map. "center" or
            "corner": the class of one voxel of the block, beside its center, or at its corner as released.
        unit_length: along what projections have unit length, see :func:`fewlabel.losses.vision_text_consistency`.

    Raises:
        ValueError: an argument is unknown.
    """

    @parse_arguments
    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        second_network: Callable[[Tensor], Tensor] | None = None,
        pseudo_labels: str = "hard",
        weighted: bool = True,
        teach_labeled: bool = False,
        include_background: bool = False,
        coarse_labels: str = "share",
        unit_length: str = "channels",
    ) -> None:
        super().__init__()
        if pseudo_labels not in PSEUDO_LABELS:
            raise ValueError(f"pseudo_labels must be one of {PSEUDO_LABELS}, got {pseudo_labels!r}")
        if coarse_labels not in COARSE_LABELS:
            raise ValueError(f"coarse_labels must be one of {COARSE_LABELS}, got {coarse_labels!r}")
        if second_network is None and not isinstance(network, TwinNetwork):
            raise ValueError(
                f"{type(network).__name__} shows no second student: give a network with outputs(x), such as VCLIPSeg, "
                "or a second_network"
            )
        self.network = network
        self.second_network = second_network
        self.pseudo_labels = pseudo_labels
        self.weighted = weighted
        self.teach_labeled = teach_labeled
        self.coarse_labels = coarse_labels
        self.unit_length = unit_length
        self._supervised = plain_dice_loss(include_background=include_background)
        self._dice = plain_dice_loss(one_hot_labels=True, include_background=include_background)
        self._entropy = nn.CrossEntropyLoss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        label: Tensor = labeled["label"]
        image: Tensor = labeled["image"]
        images = image if unlabeled is None else torch.cat([image, unlabeled])
        first, second, projections = self._students(images)
        losses = torch.stack([self._supervised(logits[: len(label)], label) for logits in (first, second)])
        taught = [students[len(label) :] for students in (first, second)]
        if self.teach_labeled:
            taught = [*without_ignored(label, first, second)]
        of_labeled = [projected[: len(label)] for projected in projections]
        return {
            "supervised": losses.sum(),
            "dynamic": self._dynamic(taught[0], taught[1], losses.detach()),
            "text": self._text(of_labeled, first, second, label),
        }

    def _students(self, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return both students' logits, and the projections."""
        if self.second_network is not None:
            return self.network(images).float(), self.second_network(images).float(), []
        assert isinstance(self.network, TwinNetwork)
        outputs = self.network.outputs(images)
        students = [output.float() for output in outputs if isinstance(output, Tensor)]
        if len(students) != 2:
            raise ValueError(
                f"{type(self.network).__name__} shows {len(students)} students, but dynamic labels are mixed from two"
            )
        projections = [projected for output in outputs if not isinstance(output, Tensor) for projected in output]
        return students[0], students[1], projections

    @in_float32
    def _dynamic(self, first: Tensor, second: Tensor, losses: Tensor) -> Tensor:
        """Return the loss of both students against what they mixed; 0 with a graph without images."""
        if first.numel() == 0:
            return first.sum() + second.sum()
        weights = student_weights(losses) if self.weighted else torch.full_like(losses, 0.5)
        target = weights[0] * first.detach().softmax(dim=1) + weights[1] * second.detach().softmax(dim=1)
        if self.pseudo_labels == "hard":
            classes = target.argmax(dim=1)
            target = nn.functional.one_hot(classes, target.shape[1]).movedim(-1, 1).to(target.dtype)
        terms = [self._dice(logits, target) + self._entropy(logits, target) for logits in (first, second)]
        return torch.stack(terms).sum()

    def _text(self, projections: list[Tensor], first: Tensor, second: Tensor, label: Tensor) -> Tensor:
        """Return the vision-text consistency over both heads' features of the voxels that all agree on."""
        if not projections:
            return first.new_zeros(())
        text = cast("TextNetwork", self.network).text
        features = torch.cat(projections)
        truth = label[:, 0].long()
        predicted = [logits[: len(label)].detach().argmax(dim=1) for logits in (first, second)]
        if self.coarse_labels == "share":
            shares = _class_shares(_agreed(truth, *predicted), len(text), features.shape[2:])
            return weighted_vision_text_consistency(features, _for_each(projections, shares), text, self.unit_length)
        strides = [fine // coarse for fine, coarse in zip(truth.shape[1:], features.shape[2:], strict=True)]
        pick = nearest_pixels if self.coarse_labels == "center" else _corner_pixels
        labels = _agreed(*(pick(classes, strides) for classes in (truth, *predicted)))
        return vision_text_consistency(features, _for_each(projections, labels), text, self.unit_length)


def _agreed(truth: Tensor, first: Tensor, second: Tensor) -> Tensor:
    return torch.where((truth == first) & (truth == second), truth, IGNORED)


def _for_each(projections: Sequence[Tensor], labels: Tensor) -> Tensor:
    return torch.cat([labels] * len(projections))


def _class_shares(classes: Tensor, num_classes: int, coarse: Sequence[int]) -> Tensor:
    """Shares (B, K, *coarse) of each class in the blocks of a map (B, *spatial); ignored voxels belong to none."""
    members = nn.functional.one_hot(classes + 1, num_classes + 1)[..., 1:].movedim(-1, 1).float()
    return nn.functional.interpolate(members, size=list(coarse), mode="area")


def _corner_pixels(maps: Tensor, strides: Sequence[int]) -> Tensor:
    first_of_each = [slice(None, None, stride) for stride in strides]
    return maps[(slice(None), *first_of_each)]


def student_weights(losses: Tensor) -> Tensor:
    """Weights (S,) of S students by their losses (S,), eq. 7-8: the lower the loss, the higher; they sum to 1.

    The sigmoid of a loss between 0 and 1 is between 0.5 and 0.731, so that of two students none falls below 0.44.

    >>> [round(share, 3) for share in student_weights(torch.tensor([0.0, 1.0])).tolist()]
    [0.558, 0.442]
    """
    return (1 - losses.sigmoid()).softmax(dim=0)
