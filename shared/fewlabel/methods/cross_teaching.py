"""Cross teaching between CNN and Transformer (CTS)."""

from __future__ import annotations

from torch import Tensor

from fewlabel.losses import CrossTeachingLoss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.networks import FeatureNetwork, check_passes, forward_features


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
    """

    def __init__(self, cnn: FeatureNetwork, transformer: FeatureNetwork, passes: str = "joint") -> None:
        super().__init__()
        self.cnn = cnn
        self.transformer = transformer
        self.passes = check_passes(passes)
        self._cross_teaching = CrossTeachingLoss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        cnn = forward_features(self.cnn, labeled["image"], unlabeled, self.passes)
        transformer = forward_features(self.transformer, labeled["image"], unlabeled, self.passes)
        terms: dict[str, Tensor] = self._cross_teaching(cnn.logits, transformer.logits, labeled["label"])
        return terms
