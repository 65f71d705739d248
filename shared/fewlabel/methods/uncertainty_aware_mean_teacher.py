"""Uncertainty-aware mean teacher (UA-MT): a teacher is believed where many noisy passes of it agree."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from fewlabel.losses import consistency_distance, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import MIXINGS_AMONG_UNLABELED, check_mixing, mix_among
from fewlabel.networks import Averaged, forward_logits
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import entropy
from fewlabel.transforms.limited_noise import limited_noise, require_noise


class UncertaintyAwareMeanTeacher(Method):
    r"""A mean teacher whose uncertain voxels do not count.

    The mean :math:`\mu` of T passes of the teacher, each with noise and dropout of its own, has the entropy H; the
    threshold grows over the training run:

    .. math::
        m_v = [H(\mu_v) < (3/4 + 1/4\, e^{-5 (1 - t)^2}) \log K], \qquad
        L_u = \frac{\sum_v m_v \sum_k (p_{vk} - p'_{vk})^2}{K \sum_v m_v}

    Yu et al., "Uncertainty-aware self-ensembling model for semi-supervised 3D left atrium segmentation", MICCAI 2019,
    eq. 2-3, for two classes; the entropy of K classes reaches log K.

    Terms: ``supervised`` and ``consistency``; the latter is 0 without unlabeled images.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference. Its dropout makes the
            teacher's passes differ, beside the noise.
        decay: of the teacher's moving average, see :class:`fewlabel.networks.Averaged`.
        passes: T.
        noise: standard deviation of the noise on the teacher's images.
        noise_limit: largest noise.
        two_classes: take log 2 and the factor 2 whatever the number of classes, as the released code for slices does.
        mixing: "none", or "cut_mix" as in :class:`fewlabel.methods.MeanTeacher`; what counts is mixed as images are.

    Raises:
        ValueError: an argument is out of range.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        decay: float = 0.99,
        passes: int = 8,
        noise: float = 0.1,
        noise_limit: float = 0.2,
        two_classes: bool = False,
        mixing: str = "none",
    ) -> None:
        super().__init__()
        if passes < 1:
            raise ValueError(f"passes must be at least 1, got {passes}")
        require_noise(noise, noise_limit)
        self.network = network
        self.teacher = Averaged(network, decay, mode="train")  # dropout makes the passes differ
        self.passes = passes
        self.noise = noise
        self.noise_limit = noise_limit
        self.two_classes = two_classes
        self.mixing = check_mixing(mixing, kinds=MIXINGS_AMONG_UNLABELED)
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        mix = mix_among(self.mixing, unlabeled)
        seen = None if unlabeled is None else mix(unlabeled)
        student = forward_logits(self.network, labeled["image"], seen)
        supervised = self._supervised(student.labeled, labeled["label"])
        if unlabeled is None:
            return {"supervised": supervised, "consistency": supervised.new_zeros(())}
        target = mix(self._noisy_probabilities(unlabeled))
        certain = self._uncertainty(unlabeled) < self._threshold(target.shape[1], progress)
        mask = mix(certain.float()[:, None])
        divisor = 2 if self.two_classes else None
        consistency = consistency_distance(student.unlabeled, target, mask, divisor)
        return {"supervised": supervised, "consistency": consistency}

    def _noisy_probabilities(self, images: Tensor) -> Tensor:
        logits: Tensor = self.teacher(limited_noise(images, self.noise, self.noise_limit))
        return logits.float().softmax(dim=1)

    def _uncertainty(self, images: Tensor) -> Tensor:
        total: Tensor = torch.stack([self._noisy_probabilities(images) for _ in range(self.passes)]).mean(dim=0)
        return entropy(total)

    def _threshold(self, classes: int, progress: float) -> float:
        ramp = math.exp(-5 * (1 - min(progress, 1.0)) ** 2)
        return (0.75 + 0.25 * ramp) * math.log(2 if self.two_classes else classes)
