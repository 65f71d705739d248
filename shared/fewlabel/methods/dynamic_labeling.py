"""VCLIPSeg's training: two students learn from pseudo-labels that both have mixed, and from the classes' names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.labels import IGNORED
from fewlabel.losses import foreground_dice_loss, vision_text_consistency, without_ignored
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.parsing import parse_arguments

PSEUDO_LABELS = ("hard", "soft")


class DynamicLabeling(Method):
    r"""Dynamic Labeling Branch (DLB), with the Vision-Text Consistency Module (VTCM) where the network has text.

    Both students' losses on the labeled images say how much each is worth on the unlabeled ones:

    .. math::
        w_1 = \frac{e^{1 - \sigma(L_1)}}{e^{1 - \sigma(L_1)} + e^{1 - \sigma(L_2)}}, \qquad
        P = w_1 p_1 + w_2 p_2, \qquad
        L_u = \sum_{i=1,2} L_{dice}(p_i, P) + L_{ce}(p_i, P)

    Li et al., "VCLIPSeg", MICCAI 2024, eq. 4-11. The students are the two decoders of ``network``, or ``network`` and
    ``second_network``: cross pseudo supervision with dynamic labels, of table 4. The consistency takes voxels of
    labeled images at the stride of the coarsest map on which ground truth and both students agree.

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

    Raises:
        ValueError: an argument is unknown.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        second_network: nn.Module | None = None,
        pseudo_labels: str = "hard",
        weighted: bool = True,
        teach_labeled: bool = False,
    ) -> None:
        super().__init__()
        if pseudo_labels not in PSEUDO_LABELS:
            raise ValueError(f"pseudo_labels must be one of {PSEUDO_LABELS}, got {pseudo_labels!r}")
        if second_network is None and not hasattr(network, "outputs"):
            raise ValueError(
                f"{type(network).__name__} shows no second student: give a network with outputs(x), such as VCLIPSeg, "
                "or a second_network"
            )
        self.network = network
        self.second_network = second_network
        self.pseudo_labels = pseudo_labels
        self.weighted = weighted
        self.teach_labeled = teach_labeled
        # the foreground alone, plain denominators: as released
        self._supervised = foreground_dice_loss()
        self._dice = foreground_dice_loss(one_hot_labels=True)
        self._entropy = nn.CrossEntropyLoss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled, unlabeled = labeled_part(batch), unlabeled_images(batch)
        label: Tensor = labeled["label"]
        image: Tensor = labeled["image"]
        first, second, projections = self._look(image if unlabeled is None else torch.cat([image, unlabeled]))
        losses = torch.stack([self._supervised(logits[: len(label)], label) for logits in (first, second)])
        taught = [students[len(label) :] for students in (first, second)]
        if self.teach_labeled:
            taught = [*without_ignored(label, first, second)]
        return {
            "supervised": losses.sum(),
            "dynamic": self._dynamic(taught[0], taught[1], losses.detach()),
            "text": self._text([p[: len(label)] for p in projections], first, second, label),
        }

    def _look(self, images: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Return both students' logits, and the projections."""
        if self.second_network is not None:
            return self.network(images).float(), self.second_network(images).float(), []
        first, second, *rest = self.network.outputs(images)  # type: ignore[operator]
        if rest and isinstance(rest[0], Tensor):
            raise ValueError(
                f"{type(self.network).__name__} shows {2 + len(rest)} students, but dynamic labels are mixed from two"
            )
        return first.float(), second.float(), rest[0] if rest else []

    def _dynamic(self, first: Tensor, second: Tensor, losses: Tensor) -> Tensor:
        """Return the loss of both students against what they mixed; 0 with a graph without images."""
        if first.numel() == 0:
            return first.sum() + second.sum()
        weights = student_weights(losses) if self.weighted else torch.full_like(losses, 0.5)
        target = weights[0] * first.detach().softmax(dim=1) + weights[1] * second.detach().softmax(dim=1)
        if self.pseudo_labels == "hard":
            target = nn.functional.one_hot(target.argmax(dim=1), target.shape[1]).movedim(-1, 1).to(target.dtype)
        terms = [self._dice(logits, target) + self._entropy(logits, target) for logits in (first, second)]
        return torch.stack(terms).sum()

    def _text(self, projections: list[Tensor], first: Tensor, second: Tensor, label: Tensor) -> Tensor:
        """Return the vision-text consistency over both heads' features of the voxels that all agree on."""
        if not projections:
            return first.new_zeros(())
        strides = [fine // coarse for fine, coarse in zip(label.shape[2:], projections[0].shape[2:], strict=True)]
        # nearest neighbor: of each stride x stride x stride voxels the one beside the center
        middle = (slice(None), *(slice(stride // 2, None, stride) for stride in strides))
        truth = label[:, 0].long()[middle]
        seen = [logits[: len(label)].detach().argmax(dim=1)[middle] for logits in (first, second)]
        agreed = (truth == seen[0]) & (truth == seen[1])
        labels = torch.where(agreed, truth, IGNORED).repeat(len(projections), *[1] * (truth.ndim - 1))
        text: Tensor = self.network.text  # type: ignore[assignment]
        return vision_text_consistency(torch.cat(projections), labels, text)


def student_weights(losses: Tensor) -> Tensor:
    """Weights (S,) of S students by their losses (S,), eq. 7-8: the lower the loss, the higher; they sum to 1.

    The sigmoid of a loss between 0 and 1 lies between 0.5 and 0.731, so that of two students none falls below 0.44.

    >>> [round(share, 3) for share in student_weights(torch.tensor([0.0, 1.0])).tolist()]
    [0.558, 0.442]
    """
    return (1 - losses.sigmoid()).softmax(dim=0)
