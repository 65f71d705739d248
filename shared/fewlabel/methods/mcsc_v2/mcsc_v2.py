"""Certainty-guided cross contrastive learning (MCSCv2), thesis chapter 5."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from fewlabel.losses import CrossTeachingLoss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.methods.mcsc_v2.certainty_contrast import check_contrast, contrast_scales
from fewlabel.methods.mcsc_v2.certainty_guided import CertaintyGuidedContrastiveLoss
from fewlabel.methods.mcsc_v2.pixels import build_guidance, build_mixed_guidance
from fewlabel.mixing import check_mixing
from fewlabel.networks import (
    FeatureNetwork,
    NetworkOutput,
    build_projectors,
    check_passes,
    forward_features,
    forward_mixed,
)
from fewlabel.parsing import parse_arguments


class MCSCv2(Method):
    r"""Cross teaching, plus a contrast of the pixels that both networks' certainty has chosen, at several scales.

    Feature maps of the CNN and the Transformer are projected into one space, as in :class:`fewlabel.methods.MCSC`. In
    place of patches, pixels are drawn from the whole batch: which ones, for a network's features, the *other*
    network's probabilities and classes say, with the ground truth in place of the classes on labeled images. Of the
    unlabeled pixels the share :math:`\beta_t = \beta_0 (1 - t / T)` with the highest entropy is uncertain; these are
    no anchors, but negatives of the classes that they rule out. What follows is
    :class:`CertaintyGuidedContrastiveLoss`, which has a memory of negatives for each scale.

    .. math:: L = L_{cnn} + L_{tra} + w_{cl} \sum_{scales} L_{bcl}

    Thesis ch. 5. Terms: those of cross teaching, and ``contrastive``, the sum over scales.

    Pixels are drawn before they are projected, so that memory does not grow with the projections of whole maps.

    Args:
        cnn: network with ``features`` and ``head``; the one that is used for inference.
        transformer: the second network, with the same.
        num_classes: K, the background included.
        strides: of the maps that are contrasted; by default full resolution and an eighth of it, the best two of
            table 5.8. One of them is the ablation "MulS".
        contrastive_loss: makes the loss of one scale from ``num_classes``: :class:`CertaintyGuidedContrastiveLoss`, or
            for comparison :class:`ReCoLoss` or :class:`GLCLLoss` (table 5.4).
        uncertain_fraction: :math:`\beta_0`, the share of the unlabeled pixels that are uncertain at the beginning.
        cross_labels: False guides a network's pixels by its own probabilities and classes, without "CroLab".
        passes: "joint" or "separate", see :func:`fewlabel.networks.feature_network.forward_features`.
        mixing: "none"; "copy_paste" pastes labeled and unlabeled images into each other, "cut_mix" unlabeled ones among
            themselves, see :func:`fewlabel.mixing.mix_halves`. Each network labels the images before they are mixed;
            teaching and contrast see the mixed images.
        largest_component: with mixing, keep of each class of these labels the largest connected component alone.

    Raises:
        ValueError: an argument is out of range, or a stride is not one that both networks have.
    """

    @parse_arguments
    def __init__(
        self,
        cnn: FeatureNetwork,
        transformer: FeatureNetwork,
        num_classes: int = 4,
        strides: Sequence[int] = (1, 8),
        contrastive_loss: Callable[..., nn.Module] = CertaintyGuidedContrastiveLoss,
        uncertain_fraction: float = 0.2,
        cross_labels: bool = True,
        passes: str = "joint",
        mixing: str = "none",
        largest_component: bool = True,
    ) -> None:
        super().__init__()
        check_contrast(strides, num_classes, uncertain_fraction)
        self.cnn = cnn
        self.transformer = transformer
        self.projectors = build_projectors(cnn, transformer, strides)
        self.contrastive_losses = nn.ModuleDict(
            {str(stride): contrastive_loss(num_classes=num_classes) for stride in strides}
        )
        self.num_classes = num_classes
        self.uncertain_fraction = uncertain_fraction
        self.cross_labels = cross_labels
        self.passes = check_passes(passes)
        self.mixing = check_mixing(mixing, passes)
        self.largest_component = largest_component
        self._cross_teaching = CrossTeachingLoss()
        self.register_load_state_dict_pre_hook(_rename_former)  # type: ignore[no-untyped-call]

    def networks(self) -> dict[str, nn.Module]:
        """Return both students, see :meth:`Method.networks`."""
        return {name: self.get_submodule(name) for name in ("cnn", "transformer")}

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        label: Tensor = labeled["label"]
        if unlabeled is not None and self.mixing != "none":
            return self._mixed((labeled["image"], label), unlabeled, progress)
        cnn = forward_features(self.cnn, labeled["image"], unlabeled, self.passes)
        transformer = forward_features(self.transformer, labeled["image"], unlabeled, self.passes)
        self._check(cnn)
        fraction = self.uncertain_fraction * (1 - progress)
        guide = build_guidance(cnn, transformer, label, fraction, self.cross_labels)
        contrast = contrast_scales(cnn, transformer, guide, self.projectors, self.contrastive_losses)
        terms: dict[str, Tensor] = self._cross_teaching(cnn.logits, transformer.logits, label)
        return {**terms, "contrastive": contrast}

    def _mixed(self, labeled: tuple[Tensor, Tensor], unlabeled: Tensor, progress: float) -> dict[str, Tensor]:
        found = forward_mixed(self.cnn, self.transformer, labeled, unlabeled, self.mixing, self.largest_component)
        self._check(found.first)
        guide = build_mixed_guidance(found, self.uncertain_fraction * (1 - progress), self.cross_labels)
        contrast = contrast_scales(found.first, found.second, guide, self.projectors, self.contrastive_losses)
        crossed = found.crossed_labels
        terms = self._cross_teaching.mixed(found.first.logits, found.second.logits, crossed, found.mixed.labeled)
        return {**terms, "contrastive": contrast}

    def _check(self, output: NetworkOutput) -> None:
        if output.logits.shape[1] != self.num_classes:
            raise ValueError(
                f"num_classes is {self.num_classes}, but the networks have {output.logits.shape[1]} channels of logits"
            )


def _rename_former(method: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Take over the banks of a state that was saved when the losses were called contrasts, before 0.1.0."""
    former = f"{prefix}contrasts."
    for key in [key for key in state if key.startswith(former)]:
        state[f"{prefix}contrastive_losses.{key.removeprefix(former)}"] = state.pop(key)
