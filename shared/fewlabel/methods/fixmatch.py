"""FixMatch with CutMix (UniMatch's idea): confident classes of a weak view teach strong views of the same image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fewlabel.losses import supervised_loss, weighted_cross_entropy, weighted_dice
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.mixing import cut_mix
from fewlabel.networks import Averaged, drop_channels, forward_logits
from fewlabel.parsing import parse_arguments
from fewlabel.transforms import strong_view

LOSSES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "dice": weighted_dice,
    "cross_entropy": weighted_cross_entropy,
}


class FixMatch(Method):
    r"""Supervision of labeled images, and of strong views by what the network is sure of in the weak one.

    .. math:: L_s = \frac1S \sum_{i=1}^S L(p(s_i), \arg\max q, [\max q \ge t]), \qquad
        L_f = L(p_{drop}(x), \arg\max q, [\max q \ge t])

    with the probabilities q of the weak view x, without a gradient, and S strong views :math:`s_i` of it, each of which
    gets a box of another image's strong view by CutMix; labels and confidence move with the box. :math:`p_{drop}` are
    the probabilities of the weak view with channels of the encoder's maps dropped. Sohn et al., "FixMatch", NeurIPS
    2020; Yang et al., "Revisiting weak-to-strong consistency in semi-supervised semantic segmentation" (UniMatch), CVPR
    2023, eq. 2-6.

    Terms: ``supervised``, ``strong`` and ``features``; the latter two are 0 without unlabeled images, ``features`` also
    without ``feature_dropout``.

    Args:
        network: maps images (B, C, *spatial) to logits (B, K, *spatial); used for inference. With ``feature_dropout``
            an encoder and a decoder, see :class:`fewlabel.networks.EncoderDecoder`.
        threshold: t, the probability from which a pseudo-label counts; 0 lets all count, 1 only what is certain.
        views: S.
        mixed: probability with which a strong view gets a box of another one.
        feature_dropout: probability with which a channel is dropped; None leaves this view out.
        loss: "dice" as UniMatch has it for medical images, or "cross_entropy" as FixMatch.
        decay: of a moving average of the network that labels the weak view; None lets the network itself do it.

    Raises:
        ValueError: an argument is out of range, or the network has no encoder and decoder where they are needed.
    """

    @parse_arguments
    def __init__(
        self,
        network: nn.Module,
        threshold: float = 0.95,
        views: int = 2,
        mixed: float = 0.5,
        feature_dropout: float | None = 0.5,
        loss: str = "dice",
        decay: float | None = None,
    ) -> None:
        super().__init__()
        if not 0 <= threshold <= 1:
            raise ValueError(f"threshold is a probability in [0, 1], got {threshold}")
        if views < 1:
            raise ValueError(f"views must be at least 1, got {views}")
        if not 0 <= mixed <= 1:
            raise ValueError(f"mixed is a probability in [0, 1], got {mixed}")
        if feature_dropout is not None and not 0 <= feature_dropout < 1:
            raise ValueError(f"feature_dropout is a probability in [0, 1), or null for none, got {feature_dropout}")
        if feature_dropout is not None and not (hasattr(network, "encode") and hasattr(network, "decode")):
            raise ValueError(
                f"{type(network).__name__} has no encode and decode, between which channels could be dropped: give "
                "feature_dropout null, or a network such as UNet or VNet"
            )
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {sorted(LOSSES)}, got {loss!r}")
        self.network = network
        self.teacher = None if decay is None else Averaged(network, decay)
        self.threshold = threshold
        self.views = views
        self.mixed = mixed
        self.feature_dropout = feature_dropout
        self.loss = loss
        self._supervised = supervised_loss()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"]
        if unlabeled is None or len(unlabeled) == 0:
            supervised = self._supervised(forward_logits(self.network, image, None).logits, labeled["label"])
            return {"supervised": supervised, "strong": supervised.new_zeros(()), "features": supervised.new_zeros(())}
        weak = unlabeled.as_subclass(Tensor)
        pseudo, confident = self._labeled_by_itself(weak)
        views = [self._strong(weak, pseudo, confident) for _ in range(self.views)]
        output = forward_logits(self.network, image, torch.cat([view[0] for view in views]))
        strong = [
            LOSSES[self.loss](logits, labels, counts.float())
            for logits, (_, labels, counts) in zip(output.unlabeled.chunk(self.views), views, strict=True)
        ]
        supervised = self._supervised(output.labeled, labeled["label"])
        features = self._features(weak, pseudo, confident)
        return {"supervised": supervised, "strong": torch.stack(strong).mean(), "features": features}

    @torch.no_grad()
    def _labeled_by_itself(self, weak: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes (U, 1, *spatial) of the weak view, and where they count."""
        logits: Tensor = (self.network if self.teacher is None else self.teacher)(weak)
        confidence, pseudo = logits.float().softmax(dim=1).max(dim=1, keepdim=True)
        return pseudo, confidence >= self.threshold

    def _strong(self, weak: Tensor, pseudo: Tensor, confident: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return a strong view with boxes of the next image's, its labels and where they count."""
        strong = strong_view(weak)
        mixture = cut_mix(len(weak), tuple(weak.shape[2:]), self.mixed).to(weak.device)
        return mixture.with_next(strong), mixture.with_next(pseudo), mixture.with_next(confident)

    def _features(self, weak: Tensor, pseudo: Tensor, confident: Tensor) -> Tensor:
        if self.feature_dropout is None:
            return weak.new_zeros(())
        maps = drop_channels(self.network.encode(weak), self.feature_dropout)  # type: ignore[operator]
        logits: Tensor = self.network.decode(maps).float()  # type: ignore[operator]
        return LOSSES[self.loss](logits, pseudo, confident.float())
