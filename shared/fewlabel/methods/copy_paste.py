"""Bidirectional copy-paste (BCP): a student learns from labeled and unlabeled images pasted into each other."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.losses import hard_labels, region_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import Mixture, copy_paste
from fewlabel.networks import Averaged
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import largest_components

MIXED = ("all", "published")


class BidirectionalCopyPaste(Method):
    r"""Supervision of images that are mixed from labeled and unlabeled ones in both directions.

    One box of 2/3 of each side is 0 in the mask M. In the first stage pairs of labeled images are mixed; then

    .. math::
        in_1 = M u + (1 - M) l, \qquad in_2 = M l + (1 - M) u,

    with the ground truth where a voxel is from a labeled image l, and elsewhere the classes that a moving average of
    the student gives the unlabeled image u, of each class the largest connected component alone. Bai et al.,
    "Bidirectional copy-paste for semi-supervised medical image segmentation", CVPR 2023, eq. 1-8. Each region's loss
    is half cross-entropy, half Dice, each averaged over the region.

    Terms: ``supervised``, over the regions with ground truth; ``pseudo``, over those with pseudo-labels; 0 in the
    first stage and without unlabeled images. The paper weighs them 1 and 0.5.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference.
        decay: of the teacher's moving average, see :class:`fewlabel.networks.Averaged`.
        teacher_mode: "eval", or "train" as in the released code.
        labeled_stage: share of the training run with labeled images alone; the paper has 10,000 of 40,000 steps.
        fraction: of each side that the box takes.
        mixed: "all" mixes every labeled image with an unlabeled one in both directions; "published" mixes half of them
            in each direction, so that a step has half as many mixed images.
        largest_component: clean the pseudo-labels.

    Raises:
        ValueError: an argument is out of range.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        decay: float = 0.99,
        teacher_mode: str = "eval",
        labeled_stage: float = 0.25,
        fraction: float = 2 / 3,
        mixed: str = "all",
        largest_component: bool = True,
    ) -> None:
        super().__init__()
        if not 0 <= labeled_stage <= 1:
            raise ValueError(f"labeled_stage is a share of the training run in [0, 1], got {labeled_stage}")
        if mixed not in MIXED:
            raise ValueError(f"mixed must be one of {MIXED}, got {mixed!r}")
        if not 0 < fraction <= 1:
            raise ValueError(f"fraction must be in (0, 1], got {fraction}")
        self.network = network
        self.teacher = Averaged(network, decay, teacher_mode)
        self.labeled_stage = labeled_stage
        self.fraction = fraction
        self.mixed = mixed
        self.largest_component = largest_component

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        # plain tensors inside: MONAI's geometry tracking costs time and gives nothing here
        image: Tensor = labeled["image"].as_subclass(Tensor)
        label: Tensor = labeled["label"].as_subclass(Tensor).long()
        if unlabeled is None or len(unlabeled) == 0 or progress < self.labeled_stage:
            return self._from_labeled(image, label)
        unlabeled = unlabeled.as_subclass(Tensor)
        return self._from_both(image, label, unlabeled, self._pseudo_labels(unlabeled))

    def _from_labeled(self, image: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Mix each labeled image with the next one of the batch; of the published halves, the first with the second."""
        count = len(image) if self.mixed == "all" else (len(image) + 1) // 2
        partner = image.roll(-count if self.mixed == "published" else -1, dims=0)
        partner_label = label.roll(-count if self.mixed == "published" else -1, dims=0)
        mixture = self._mixture(count, image)
        images, _ = mixture.images(image[:count], partner[:count])
        labels, _ = mixture.labels(label[:count], partner_label[:count])
        outside, inside = mixture.weights(1.0, 0.0)
        logits = self.network(images).float()
        supervised = region_loss(logits, labels, outside) + region_loss(logits, labels, inside)
        return {"supervised": supervised, "pseudo": logits.new_zeros(())}

    def _from_both(self, image: Tensor, label: Tensor, unlabeled: Tensor, pseudo: Tensor) -> dict[str, Tensor]:
        count = max(len(image), len(unlabeled))
        numbers = torch.arange(count, device=image.device)
        from_labeled = numbers % len(image)
        from_unlabeled = numbers % len(unlabeled)
        mixture = self._mixture(count, image)
        pasted_labeled, pasted_unlabeled = mixture.images(unlabeled[from_unlabeled], image[from_labeled])
        labels_1, labels_2 = mixture.labels(pseudo[from_unlabeled], label[from_labeled])
        true_1, true_2 = mixture.weights(0.0, 1.0)
        if self.mixed == "published":
            half = (count + 1) // 2
            images = torch.cat([pasted_labeled[:half], pasted_unlabeled[half:]])
            labels_1 = labels_1[:half]
            true_1 = true_1[:half]
            labels_2 = labels_2[half:]
            true_2 = true_2[half:]
        else:
            images = torch.cat([pasted_labeled, pasted_unlabeled])
        logits = self.network(images).float().split([len(labels_1), len(labels_2)])
        directions = [(logits[0], labels_1, true_1), (logits[1], labels_2, true_2)]
        directions = [direction for direction in directions if len(direction[0])]
        supervised = [region_loss(logit, labels, true) for logit, labels, true in directions]
        pseudo_terms = [region_loss(logit, labels, 1 - true) for logit, labels, true in directions]
        return {"supervised": torch.stack(supervised).sum(), "pseudo": torch.stack(pseudo_terms).sum()}

    def _mixture(self, count: int, image: Tensor) -> Mixture:
        # drawn on the CPU from the run's random state, so that every device sees the same boxes
        return copy_paste(count, tuple(image.shape[2:]), self.fraction).to(image.device)

    def _pseudo_labels(self, unlabeled: Tensor) -> Tensor:
        logits = self.teacher(unlabeled)
        labels = hard_labels(logits).as_subclass(Tensor)
        return largest_components(labels, logits.shape[1]) if self.largest_component else labels
