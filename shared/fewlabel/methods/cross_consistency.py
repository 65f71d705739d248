"""Cross-consistency training: decoders that see perturbed features agree with one that sees them as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from fewlabel.layers import drop_attended, feature_dropout, feature_noise
from fewlabel.losses import consistency_distance, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.networks import DecodersUNet
from fewlabel.parsing import parse_arguments


class CrossConsistencyTraining(Method):
    r"""Supervision of every decoder on labeled images, and agreement with the main decoder on unlabeled ones.

    .. math:: L_s = \frac1{K + 1} \sum_{k=0}^K L_{sup}(g_k(z_k), y), \qquad
        L_u = \frac1K \sum_{k=1}^K \mathrm{mean}\, (p_0 - p_k)^2

    with the encoder's maps :math:`z_0`, the same perturbed, :math:`z_1 \dots z_K`, the decoders :math:`g_k`, of which
    :math:`g_0` is the main one, and their probabilities :math:`p_k`. Ouali et al., "Semi-supervised semantic
    segmentation with cross-consistency training", CVPR 2020, eq. 1-3; for slices as SSL4MIS has it, where labels teach
    the auxiliary decoders too and the main decoder's probabilities are not detached.

    Features are perturbed in training mode alone; inference sees the main decoder and features as they are.

    Terms: ``supervised`` and ``consistency``; the latter is 0 without unlabeled images.

    Args:
        network: an encoder with several decoders. The one of its ``inference_decoder`` is the main decoder, and the
            others, in their order, get one perturbation each.
        perturbations: of the encoder's maps, one for each auxiliary decoder: "noise"
            (:func:`fewlabel.layers.feature_noise`), "dropout" (:func:`fewlabel.layers.feature_dropout`) or "attention"
            (:func:`fewlabel.layers.drop_attended`).
        noise: largest relative change of a feature by "noise".
        dropout: probability with which "dropout" sets a feature to 0.
        attention: range of the share of the largest activation above which "attention" drops a place.
        detach_targets: let the consistency teach the auxiliary decoders and the encoder behind them only, as in the
            paper; False sends its gradient through the main decoder too, as in the released code.

    Raises:
        ValueError: an argument is out of range, or the decoders do not match the perturbations.
    """

    @parse_arguments
    def __init__(
        self,
        network: DecodersUNet,
        perturbations: Sequence[str] = ("noise", "dropout", "attention"),
        noise: float = 0.3,
        dropout: float = 0.3,
        attention: Sequence[float] = (0.7, 0.9),
        detach_targets: bool = False,
    ) -> None:
        super().__init__()
        if noise < 0:
            raise ValueError(f"noise must be 0 or more, got {noise}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout is a probability in [0, 1), got {dropout}")
        if len(attention) != 2 or not 0 <= attention[0] <= attention[1] <= 1:
            raise ValueError(f"attention must be two rising shares of the maximum in [0, 1], got {attention}")
        known: dict[str, Callable[[Tensor], Tensor]] = {
            "noise": partial(feature_noise, limit=noise),
            "dropout": partial(feature_dropout, probability=dropout),
            "attention": partial(drop_attended, low=attention[0], high=attention[1]),
        }
        if unknown := [name for name in perturbations if name not in known]:
            raise ValueError(f"perturbations must be of {sorted(known)}, got {unknown}")
        decoders = getattr(network, "decoders", ())
        if not perturbations or len(decoders) != len(perturbations) + 1:
            raise ValueError(
                f"{len(perturbations)} perturbations {list(perturbations)} need a network of a main decoder and one "
                f"for each of them, {type(network).__name__} has {len(decoders)} decoders: give one upsamples entry "
                "more than perturbations"
            )
        self.network = network
        self.detach_targets = detach_targets
        self._perturb = [known[name] for name in perturbations]
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"]
        label: Tensor = labeled["label"]
        count = len(label)
        predictions = self._outputs(image if unlabeled is None else torch.cat([image, unlabeled]))
        supervised = torch.stack([self._supervised(logits[:count], label) for logits in predictions]).mean()
        if unlabeled is None:
            return {"supervised": supervised, "consistency": supervised.new_zeros(())}
        target = predictions[0][count:].softmax(dim=1)
        if self.detach_targets:
            target = target.detach()
        distances = [consistency_distance(logits[count:], target) for logits in predictions[1:]]
        return {"supervised": supervised, "consistency": torch.stack(distances).mean()}

    def _outputs(self, images: Tensor) -> list[Tensor]:
        """Return logits (B, K, H, W) of every decoder, the main one first."""
        maps = self.network.encode(images.as_subclass(Tensor))
        decoders: list[nn.Module] = list(self.network.decoders)
        main = decoders.pop(self.network.inference_decoder)
        outputs: list[Tensor] = [main(maps).float()]
        for decoder, perturb in zip(decoders, self._perturb, strict=True):
            outputs.append(decoder([perturb(one) for one in maps] if self.training else maps).float())
        return outputs
