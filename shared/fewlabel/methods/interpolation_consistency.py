"""Interpolation consistency (ICT): for a mix of two images a student predicts the mix of its teacher's predictions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.losses import consistency_distance, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import mix_up
from fewlabel.networks import Averaged, forward_logits


class InterpolationConsistency(Method):
    r"""Supervision of labeled images, and consistency with an averaged teacher on mixes of two unlabeled ones.

    .. math::
        L_u = \mathrm{mean}\, \big(p(\lambda u + (1 - \lambda) v) - (\lambda p'(u) + (1 - \lambda) p'(v))\big)^2, \qquad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha)

    with the student's probabilities p, the teacher's p' and a fraction of its own for each pair. V. Verma et al.,
    "Interpolation consistency training for semi-supervised learning", IJCAI 2019; for slices as SSL4MIS has it, where
    the first half of the unlabeled images is mixed with the second, so that 2n images make n mixes. Here u is the one
    with the larger share: the halves are in random order, and the distribution is symmetric. Of an odd number of images
    the first is in two mixes; an image alone is mixed with itself.

    Terms: ``supervised`` and ``consistency``; the latter is 0 without unlabeled images.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference.
        decay: of the teacher's moving average, see :class:`fewlabel.networks.Averaged`.
        teacher_mode: "train" as in the released code, or "eval".
        alpha: of the Beta distribution, 0.01 or more; the smaller, the more a mix looks like one of its images.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self, network: nn.Module, decay: float = 0.99, teacher_mode: str = "train", alpha: float = 0.2
    ) -> None:
        super().__init__()
        if not 0.01 <= alpha < float("inf"):
            raise ValueError(f"alpha must be a number, 0.01 or more, got {alpha}")
        self.network = network
        self.teacher = Averaged(network, decay, teacher_mode)
        self.alpha = alpha
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"]
        if unlabeled is None or len(unlabeled) == 0:
            supervised = self._supervised(forward_logits(self.network, image, None).logits, labeled["label"])
            return {"supervised": supervised, "consistency": supervised.new_zeros(())}
        mixed, target = self._mixed(unlabeled.as_subclass(Tensor))
        student = forward_logits(self.network, image, mixed)
        return {
            "supervised": self._supervised(student.labeled, labeled["label"]),
            "consistency": consistency_distance(student.unlabeled, target),
        }

    @torch.no_grad()
    def _mixed(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the halves of the unlabeled images, and the teacher's probabilities of them."""
        count = (len(images) + 1) // 2
        # drawn on the CPU from the run's random state, so that every device sees the same fractions
        mixture = mix_up(count, tuple(images.shape[2:]), self.alpha).to(images.device)
        probabilities = self.teacher(images).float().softmax(dim=1)
        mixed, _ = mixture.images(images[:count], _partners(images, count))
        target, _ = mixture.images(probabilities[:count], _partners(probabilities, count))
        return mixed, target


def _partners(maps: Tensor, count: int) -> Tensor:
    """Return the second half, filled up from the first."""
    return maps.roll(-count, dims=0)[:count]
