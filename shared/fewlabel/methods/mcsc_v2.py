"""Certainty-guided cross contrastive learning (MCSCv2), thesis chapter 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.methods.certain_contrast import CertainContrast
from fewlabel.methods.pixels import Guidance, Pixels, guidance
from fewlabel.methods.projection import projectors
from fewlabel.methods.students import CrossTeachingTerms, View, check_passes, look
from fewlabel.networks import ContrastProjector
from fewlabel.switches import reads_switches


class MCSCv2(Method):
    r"""Cross teaching, plus a contrast of the pixels that both networks' certainty has chosen, at several scales.

    Feature maps of the CNN and the Transformer are projected into one space, as in :class:`fewlabel.methods.MCSC`. In
    place of patches, pixels are drawn from the whole batch: which ones, for a network's features, the *other*
    network's probabilities and classes say, with the ground truth in place of the classes on labeled images. Of the
    unlabeled pixels the share :math:`\beta_t = \beta_0 (1 - t / T)` with the highest entropy is uncertain; these are
    no anchors, but negatives of the classes that they rule out. What follows is :class:`CertainContrast`, which has a
    memory of negatives for each scale.

    .. math:: L = L_{cnn} + L_{tra} + w_{cl} \sum_{scales} L_{bcl}

    Thesis ch. 5. Terms: those of cross teaching, and ``contrast``, the sum over scales.

    Pixels are drawn before they are projected, so that memory does not grow with the projections of whole maps.

    Args:
        cnn: network with ``features`` and ``head``; the one that is used for inference.
        transformer: its partner.
        num_classes: K, the background included.
        strides: of the maps that are contrasted; by default full resolution and an eighth of it, the best two of
            table 5.8. One of them is the ablation "MulS".
        contrast: makes the contrast of one scale from ``num_classes``: :class:`CertainContrast`, or for comparison
            :class:`ReCoContrast` or :class:`GLCLContrast` (table 5.4).
        uncertain_share: :math:`\beta_0`, the share of the unlabeled pixels that are uncertain at the beginning.
        cross_labels: False guides a network's pixels by its own probabilities and classes, without "CroLab".
        passes: "joint" or "separate", see :func:`fewlabel.methods.students.look`.

    Raises:
        ValueError: an argument is out of range, or a stride is not one that both networks have.
    """

    @reads_switches
    def __init__(
        self,
        cnn: nn.Module,
        transformer: nn.Module,
        num_classes: int = 4,
        strides: Sequence[int] = (1, 8),
        contrast: Callable[..., nn.Module] = CertainContrast,
        uncertain_share: float = 0.2,
        cross_labels: bool = True,
        passes: str = "joint",
    ) -> None:
        super().__init__()
        if not strides or len(set(strides)) != len(strides):
            raise ValueError(f"strides needs at least one scale, and none twice, got {list(strides)}")
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background too and must be at least 2, got {num_classes}")
        if not 0 <= uncertain_share <= 1:
            raise ValueError(f"uncertain_share must be in [0, 1], got {uncertain_share}")
        self.cnn, self.transformer = cnn, transformer
        self.projectors = projectors(cnn, transformer, strides)
        self.contrasts = nn.ModuleDict({str(stride): contrast(num_classes=num_classes) for stride in strides})
        self.num_classes, self.uncertain_share = num_classes, uncertain_share
        self.cross_labels, self.passes = cross_labels, check_passes(passes)
        self._terms = CrossTeachingTerms()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled, unlabeled = labeled_part(batch), unlabeled_images(batch)
        label: Tensor = labeled["label"]
        cnn = look(self.cnn, labeled["image"], unlabeled, self.passes)  # type: ignore[arg-type]
        transformer = look(self.transformer, labeled["image"], unlabeled, self.passes)  # type: ignore[arg-type]
        if cnn.logits.shape[1] != self.num_classes:
            raise ValueError(
                f"num_classes is {self.num_classes}, but the networks have {cnn.logits.shape[1]} channels of logits"
            )
        share = self.uncertain_share * (1 - progress)
        guide = guidance(cnn, transformer, label, share, self.cross_labels)
        contrast = [self._contrast(stride, cnn, transformer, guide) for stride in self.projectors]
        return {**self._terms(cnn, transformer, label), "contrast": torch.stack(contrast).sum()}

    def _contrast(self, stride: str, cnn: View, transformer: View, guide: Guidance) -> Tensor:
        step = int(stride)
        projector = self.projectors[stride]
        assert isinstance(projector, ContrastProjector)
        pixels = Pixels(cnn.features[step], transformer.features[step], projector, guide.at(step))
        loss: Tensor = self.contrasts[stride](pixels)
        return loss
