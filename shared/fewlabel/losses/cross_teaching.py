"""Cross teaching: two networks learn from labels, and from each other's classes where there are none."""

from __future__ import annotations

from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses.segmentation import hard_labels, pseudo_label_loss, supervised_loss
from fewlabel.losses.weighted import region_loss, weighted_dice


class CrossTeachingLoss(nn.Module):
    r"""Supervised and cross pseudo supervision terms of a CNN and a Transformer.

    .. math:: L_{cnn} = L_{sup}(P^l_{cnn}, Y^l) + w(t)\, L_{dice}(P^u_{cnn}, Y^u_{tra}),

    and the same with the roles exchanged. X. Luo et al., "Semi-Supervised Medical Image Segmentation via Cross Teaching
    between CNN and Transformer", MIDL 2022; thesis eq. 4.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self._supervised = supervised_loss()
        self._cross = pseudo_label_loss()

    @in_float32
    def forward(self, cnn: Tensor, transformer: Tensor, label: Tensor) -> dict[str, Tensor]:
        """Return the terms ``supervised_*`` and ``cross_*``; cross terms are 0 without unlabeled images.

        Args:
            cnn: the CNN's logits (B + U, K, *spatial), labeled images first.
            transformer: the Transformer's logits, of the same shape.
            label: labels (B, 1, *spatial) of the labeled images.
        """
        count = len(label)
        terms = {
            "supervised_cnn": self._supervised(cnn[:count], label),
            "supervised_transformer": self._supervised(transformer[:count], label),
        }
        if len(cnn) == count:
            zero = cnn.new_zeros(())
            return {**terms, "cross_cnn": zero, "cross_transformer": zero}
        return {
            **terms,
            "cross_cnn": self._cross(cnn[count:], hard_labels(transformer[count:])),
            "cross_transformer": self._cross(transformer[count:], hard_labels(cnn[count:])),
        }

    @in_float32
    def mixed(
        self, cnn: Tensor, transformer: Tensor, labels: tuple[Tensor, Tensor], labeled: Tensor
    ) -> dict[str, Tensor]:
        """Return the terms for mixed images: each voxel is supervised, or taught by the other network's classes.

        Of whole labeled and unlabeled images they are those of :meth:`forward`.

        Args:
            cnn: the CNN's logits (N, K, *spatial).
            transformer: the Transformer's logits, of the same shape.
            labels: what the CNN and what the Transformer is to learn (N, 1, *spatial): ground truth where a voxel comes
                from a labeled image, elsewhere the other network's classes.
            labeled: (N, 1, *spatial) bool, where a voxel comes from a labeled image.
        """
        inside = labeled.float()
        return {
            "supervised_cnn": region_loss(cnn, labels[0], inside),
            "supervised_transformer": region_loss(transformer, labels[1], inside),
            "cross_cnn": weighted_dice(cnn, labels[0], 1 - inside),
            "cross_transformer": weighted_dice(transformer, labels[1], 1 - inside),
        }
