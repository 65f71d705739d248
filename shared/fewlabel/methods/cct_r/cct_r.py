"""CCT-R: contrastive cross teaching with registration."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses import CrossTeachingLoss, region_loss, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, registered_labels, unlabeled_images
from fewlabel.methods.cct_r.registered_contrast import ContrastedImages, RegisteredContrast, image_numbers
from fewlabel.mixing import check_mixing
from fewlabel.networks import MeanOfTwo, MixedPass, NetworkOutput, check_passes, forward_features, forward_mixed
from fewlabel.parsing import parse_arguments


class CCTR(Method):
    r"""A CNN and a Transformer that teach each other, and learn from labels that registration brings.

    .. math::
        L_A = L_{sup}(P_A, Y^l) + w_{cps}(t)\, L_{dice}(P^u_A, Y^u_B) + w_{cl} L_{cl} + w_{rs} L_{rs}(P^u_A, r^u)

    and the same for B. Liu et al., "Learning semi-supervised medical image segmentation from spatial registration",
    WACV 2025; thesis ch. 6, eq. 6.1-6.13. :math:`r^u` are the labels of a labeled scan, warped onto the unlabeled one
    before training: eq. 6.7's minus sign is taken for a misprint, and Dice and cross-entropy get half a weight each, as
    in the supervised loss of these studies' code. Both networks' mean logits are the prediction.

    Terms: ``supervised_cnn``, ``supervised_transformer``, ``cross_cnn``, ``cross_transformer``; with ``registered``
    also ``registered_cnn``, ``registered_transformer``; with ``contrast`` also ``contrastive``, once for both networks.

    Args:
        network: the mean of CNN and Transformer, each with ``features`` and ``head``; used for inference.
        registered: learn registered labels, which unlabeled items have under ``registered_label`` (RSL).
        contrast: the contrast, with registered positives or without; None leaves it out.
        passes: "joint" or "separate", see :func:`fewlabel.networks.feature_network.forward_features`.
        mixing: "none", "copy_paste" or "cut_mix", see :class:`fewlabel.methods.CrossTeaching`; registered labels are
            mixed as the pseudo-labels are.
        largest_component: with mixing, keep of each class of the pseudo-labels the largest connected component alone.

    Raises:
        ValueError: an argument is unknown.
    """

    @parse_arguments
    def __init__(
        self,
        network: MeanOfTwo,
        registered: bool = True,
        contrast: RegisteredContrast | None = None,
        passes: str = "joint",
        mixing: str = "none",
        largest_component: bool = True,
    ) -> None:
        super().__init__()
        self._mean = (network,)  # in a tuple, where PyTorch does not look for submodules: its parts are registered
        self.cnn = network.first
        self.transformer = network.second
        self.registered = registered
        self.contrast = contrast
        self.passes = check_passes(passes)
        self.mixing = check_mixing(mixing, passes)
        self.largest_component = largest_component
        self._cross_teaching = CrossTeachingLoss()
        self._supervised = supervised_loss()

    def networks(self) -> dict[str, nn.Module]:
        """Return the mean of both students and each of them, see :meth:`Method.networks`."""
        return {"network": self._mean[0], "cnn": self.cnn, "transformer": self.transformer}

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        if unlabeled is not None and self.mixing != "none":
            return self._mixed(batch, labeled["image"], labeled["label"], unlabeled)
        label: Tensor = labeled["label"].as_subclass(Tensor)
        cnn = forward_features(self.cnn, labeled["image"], unlabeled, self.passes)
        transformer = forward_features(self.transformer, labeled["image"], unlabeled, self.passes)
        terms: dict[str, Tensor] = self._cross_teaching(cnn.logits, transformer.logits, label)
        if self.registered:
            terms |= self._registered(batch, cnn, transformer)
        if self.contrast is not None:
            terms["contrastive"] = self.contrast(ContrastedImages.of_whole(cnn, transformer, label), batch)
        return terms

    def _registered(self, batch: Batch, cnn: NetworkOutput, transformer: NetworkOutput) -> dict[str, Tensor]:
        if not len(cnn.unlabeled):
            zero = cnn.logits.new_zeros(())
            return {"registered_cnn": zero, "registered_transformer": zero}
        labels = registered_labels(batch)
        return {
            "registered_cnn": self._supervised(cnn.unlabeled, labels),
            "registered_transformer": self._supervised(transformer.unlabeled, labels),
        }

    def _mixed(self, batch: Batch, image: Tensor, label: Tensor, unlabeled: Tensor) -> dict[str, Tensor]:
        halves = (image, label)
        keep_labeled = self.contrast is not None
        found = forward_mixed(
            self.cnn, self.transformer, halves, unlabeled, self.mixing, self.largest_component, keep_labeled
        )
        labeled = found.mixed.labeled
        logits = (found.first.logits, found.second.logits)
        terms: dict[str, Tensor] = self._cross_teaching.mixed(*logits, found.crossed_labels, labeled)
        if self.registered:
            truth = torch.full_like(label.as_subclass(Tensor).long(), IGNORED)
            registered = found.mixed.labels(truth, registered_labels(batch))
            outside = (~labeled).float()
            terms["registered_cnn"] = region_loss(found.first.logits, registered, outside)
            terms["registered_transformer"] = region_loss(found.second.logits, registered, outside)
        if self.contrast is not None:
            unmixed = (found.unmixed_of_first, found.unmixed_of_second)
            terms["contrastive"] = self.contrast(_of_mixed(found, len(label), len(unlabeled)), batch, unmixed)
        return terms


def _of_mixed(found: MixedPass, count: int, others: int) -> ContrastedImages:
    like = found.first.logits
    origins = found.mixed.labels(image_numbers(0, count, like), image_numbers(count, others, like))
    return ContrastedImages(found.first, found.second, found.labels_of_first, found.labels_of_second, origins)
