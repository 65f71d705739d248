"""Cross teaching between CNN and Transformer (CTS)."""

from __future__ import annotations

from torch import Tensor, nn

from fewlabel.losses import CrossTeachingLoss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import check_mixing
from fewlabel.networks import FeatureNetwork, check_passes, forward_features, forward_mixed
from fewlabel.parsing import parse_arguments


class CrossTeaching(Method):
    r"""A CNN and a Transformer that label the unlabeled images for each other.

    .. math:: L_{cnn} = L_{sup}(P^l_{cnn}, Y^l) + w(t)\, L_{dice}(P^u_{cnn}, Y^u_{tra}),

    and the same with the roles exchanged; labels :math:`Y^u` are the other network's most probable classes, without a
    gradient. X. Luo et al., Semi-Supervised Medical Image Segmentation via Cross Teaching between CNN and Transformer,
    MIDL 2022; thesis eq. 4.1.

    Terms: ``supervised_cnn``, ``supervised_transformer``, ``cross_cnn``, ``cross_transformer``.

    Args:
        cnn: network with ``features`` and ``head``; the one that is used for inference.
        transformer: the second network, with the same.
        passes: "joint" or "separate", see :func:`fewlabel.networks.feature_network.forward_features`.
        mixing: "none"; "copy_paste" pastes labeled and unlabeled images into each other, "cut_mix" unlabeled ones among
            themselves, see :func:`fewlabel.mixing.mix_halves`. Each network labels the images before they are mixed.
        largest_component: with mixing, keep of each class of these labels the largest connected component alone.

    Raises:
        ValueError: an argument is unknown.
    """

    @parse_arguments
    def __init__(
        self,
        cnn: FeatureNetwork,
        transformer: FeatureNetwork,
        passes: str = "joint",
        mixing: str = "none",
        largest_component: bool = True,
    ) -> None:
        super().__init__()
        self.cnn = cnn
        self.transformer = transformer
        self.passes = check_passes(passes)
        self.mixing = check_mixing(mixing, passes)
        self.largest_component = largest_component
        self._cross_teaching = CrossTeachingLoss()

    def networks(self) -> dict[str, nn.Module]:
        """Return both students, see :meth:`Method.networks`."""
        return {name: self.get_submodule(name) for name in ("cnn", "transformer")}

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        if unlabeled is not None and self.mixing != "none":
            halves = (labeled["image"], labeled["label"])
            found = forward_mixed(self.cnn, self.transformer, halves, unlabeled, self.mixing, self.largest_component)
            logits = (found.first.logits, found.second.logits)
            return self._cross_teaching.mixed(*logits, found.crossed_labels, found.mixed.labeled)
        cnn = forward_features(self.cnn, labeled["image"], unlabeled, self.passes)
        transformer = forward_features(self.transformer, labeled["image"], unlabeled, self.passes)
        terms: dict[str, Tensor] = self._cross_teaching(cnn.logits, transformer.logits, labeled["label"])
        return terms
