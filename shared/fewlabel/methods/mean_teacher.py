"""Mean teacher: a student agrees with the average of its past selves on noisy unlabeled images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.losses import consistency_distance, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import MIXINGS_AMONG_UNLABELED, check_mixing, mix_among
from fewlabel.networks import Averaged, NetworkOutput, forward_features, forward_logits
from fewlabel.parsing import parse_arguments
from fewlabel.transforms.limited_noise import limited_noise, require_noise


class MeanTeacher(Method):
    r"""Supervision of labeled images, and consistency with an averaged teacher on unlabeled ones.

    .. math:: L_u = \mathrm{mean}\, (p(x) - p'(x + \epsilon))^2, \qquad
        \epsilon = \mathrm{clip}(\mathcal N(0, s^2), -c, c)

    with the student's probabilities p and the teacher's p'. A. Tarvainen and H. Valpola, "Mean teachers are better
    role models", NeurIPS 2017; for slices as SSL4MIS has it, from which the noise and the warm-up come.

    With ``mixing`` the student sees boxes of one image in the next, and the teacher's probabilities, of the images as
    they were, are put together the same way:

    .. math:: L_u = \mathrm{mean}\, (p(M x + (1 - M) x') - M p'(x + \epsilon) - (1 - M) p'(x' + \epsilon'))^2

    G. French et al., "Semi-supervised semantic segmentation needs strong, varied perturbations", BMVC 2020.

    Terms: ``supervised`` and ``consistency``; the latter is 0 in the warm-up and without unlabeled images. With
    ``contrast`` also ``contrastive``.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference.
        decay: of the teacher's moving average, see :class:`fewlabel.networks.Averaged`.
        teacher_mode: "train" as in the released code, or "eval".
        noise: s, standard deviation of the noise on the teacher's images.
        noise_limit: c, largest noise.
        warmup: share of the training run without consistency; the released code has 1,000 of 30,000 steps.
        mixing: "none", or "cut_mix" for boxes of other unlabeled images, see :func:`fewlabel.mixing.cut_mix`.
        contrast: a contrast of the student's and the teacher's features such as
            :class:`fewlabel.methods.CertaintyContrast`; the network must have ``features`` and ``head`` then. It goes
            with images that are not mixed.

    Raises:
        ValueError: an argument is out of range, or ``contrast`` is given with ``mixing``.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        decay: float = 0.99,
        teacher_mode: str = "train",
        noise: float = 0.1,
        noise_limit: float = 0.2,
        warmup: float = 1 / 30,
        contrast: nn.Module | None = None,
        mixing: str = "none",
    ) -> None:
        super().__init__()
        if not 0 <= warmup <= 1:
            raise ValueError(f"warmup is a share of the training run in [0, 1], got {warmup}")
        if contrast is not None and mixing != "none":
            raise ValueError(f'contrast compares both networks pixel by pixel: give mixing "none", got {mixing!r}')
        require_noise(noise, noise_limit)
        self.mixing = check_mixing(mixing, kinds=MIXINGS_AMONG_UNLABELED)
        self.network = network
        self.teacher = Averaged(network, decay, teacher_mode)
        self.noise = noise
        self.noise_limit = noise_limit
        self.warmup = warmup
        self.contrast = contrast
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"]
        label: Tensor = labeled["label"]
        mix = mix_among(self.mixing, unlabeled)
        student = self._predict(self.network, image, None if unlabeled is None else mix(unlabeled))
        terms = {"supervised": self._supervised(student.labeled, label)}
        noisy = None if unlabeled is None else limited_noise(unlabeled, self.noise, self.noise_limit)
        teacher = self._taught(image, noisy)
        if noisy is None or progress < self.warmup:
            terms["consistency"] = student.logits.new_zeros(())
        else:
            target = mix(teacher.unlabeled.float().softmax(dim=1))
            terms["consistency"] = consistency_distance(student.unlabeled, target)
        if self.contrast is not None:
            terms["contrastive"] = self.contrast(student, teacher, label, progress)
        return terms

    def _predict(self, network: nn.Module, image: Tensor, unlabeled: Tensor | None) -> NetworkOutput:
        if self.contrast is None:
            return forward_logits(network, image, unlabeled)
        return forward_features(network, image, unlabeled, "joint")  # type: ignore[arg-type]

    @torch.no_grad()
    def _taught(self, image: Tensor, noisy: Tensor | None) -> NetworkOutput:
        """Return what the teacher says; of the labeled images only where features are contrasted."""
        if self.contrast is not None:
            return self._predict(self.teacher.network, image, noisy)
        nothing = image[:0]
        if noisy is None:
            return NetworkOutput({}, nothing, 0)
        return self._predict(self.teacher, nothing, noisy)
