"""The certainty-guided contrastive loss of MCSCv2 at one scale (thesis chapter 5)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.losses import anchored_contrastive
from fewlabel.losses.similarity import check_temperature
from fewlabel.methods.mcsc_v2.pixels import Pixels
from fewlabel.parsing import parse_arguments
from fewlabel.sampling import ClassBank, anchors, negatives, sample_mask

CENTERS = ("all", "drawn")


class CertaintyGuidedContrastiveLoss(nn.Module):
    r"""Contrast of sure pixels with the center of their class and with keys of other classes from a memory.

    .. math::
        L = -\frac1K \sum_c \frac{1}{|an_c|} \sum_{i \in an_c}
            \log \frac{\exp(a_i \cdot p_c / \tau)}{\exp(a_i \cdot p_c / \tau) + Z_i}, \qquad
        Z_i = \sum_{j \ne c} \frac{1}{|n_c^j|} \sum_{k \in n_c^j} \exp(a_i \cdot n_k / \tau)

    Thesis ch. 5, eq. 5.7. For each class c: anchors :math:`an_c` are drawn from the confident and certain pixels of
    the class (:func:`fewlabel.sampling.anchors`, eq. 5.2-3); the center :math:`p_c` is the mean of all of these,
    scaled to unit length (eq. 5.4); pixels that are anything but c (:func:`fewlabel.sampling.negatives`, eq. 5.5-6) go
    into the bank of c (:class:`fewlabel.sampling.ClassBank`), and keys :math:`n_c` are drawn from it, this batch's
    among them. Anchors and centers have a gradient, keys have none. A class without anchors or without keys adds 0.

    The switches bring back the steps of table 5.7.

    Args:
        num_classes: K, the background included.
        channels: d, of the projections.
        threshold: h, which an anchor's highest probability must exceed.
        num_anchors: N, drawn per class.
        num_keys: M, drawn per class.
        certain_rank: r_l, see :func:`fewlabel.sampling.negatives`.
        uncertain_rank: r_h; by default K - 2, which is 2 for 4 classes and 7 for 9 as in the thesis, but at least 2 and
            r_l, since an uncertain pixel may well be of the second class of its ranks. With K = 2 uncertain pixels are
            no negatives.
        bank_size: keys that a class's bank holds; None draws the keys from the batch (without "Bank").
        bank_fraction: t_b, the share of a bank that one step may replace.
        center: "all" for eq. 5.4. "drawn" for the mean of the drawn anchors alone, which is the same while a class has
            at most N anchors, and then an estimate: it projects N pixels instead of all.
        include_background: False takes no anchors of class 0 (without "BA").
        balanced: False sums over all keys alike (without "Bal").
        certain_anchors: False takes all pixels of a class as its anchors (without "APS").
        ranked_negatives: False takes all pixels of other classes as negatives (without "NS").
        temperature: tau.

    Raises:
        ValueError: an argument is out of range.
    """

    @parse_arguments
    def __init__(
        self,
        num_classes: int,
        channels: int = 128,
        *,
        threshold: float = 0.9,
        num_anchors: int = 1000,
        num_keys: int = 500,
        certain_rank: int = 1,
        uncertain_rank: int | None = None,
        bank_size: int | None = 60_000,
        bank_fraction: float = 0.25,
        center: str = "all",
        include_background: bool = True,
        balanced: bool = True,
        certain_anchors: bool = True,
        ranked_negatives: bool = True,
        temperature: float = 0.1,
    ) -> None:
        super().__init__()
        if uncertain_rank is None:
            uncertain_rank = min(num_classes, max(2, num_classes - 2, certain_rank))
        if not 1 <= certain_rank <= uncertain_rank <= num_classes:
            raise ValueError(
                f"expected 1 <= certain_rank <= uncertain_rank <= {num_classes} (the number of classes), got "
                f"{certain_rank} and {uncertain_rank}"
            )
        if min(num_anchors, num_keys) < 1:
            raise ValueError(f"num_anchors and num_keys must be at least 1, got {num_anchors} and {num_keys}")
        if not 0 <= threshold < 1:
            raise ValueError(f"threshold is a probability in [0, 1), got {threshold}")
        if center not in CENTERS:
            raise ValueError(f"center must be one of {CENTERS}, got {center!r}")
        check_temperature(temperature)
        self.num_classes = num_classes
        self.threshold = threshold
        self.temperature = temperature
        self.num_anchors = num_anchors
        self.num_keys = num_keys
        self.certain_rank = certain_rank
        self.uncertain_rank = uncertain_rank
        self.center = center
        self.include_background = include_background
        self.balanced = balanced
        self.certain_anchors = certain_anchors
        self.ranked_negatives = ranked_negatives
        self.bank = None if bank_size is None else ClassBank(num_classes, channels, bank_size, bank_fraction)

    def forward(self, pixels: Pixels) -> Tensor:
        """Return the loss of a batch at this scale; 0 with a graph where nothing is to be contrasted."""
        members = self._anchor_sets(pixels)
        chosen = [sample_mask(column, self.num_anchors) for column in members.T]
        vectors = pixels.embed_each(chosen)
        if self.center == "all":
            centers = pixels.centers(members)
        else:
            sums = torch.stack([part.sum(dim=0, dtype=torch.float32) for part in vectors])
            centers = nn.functional.normalize(sums, dim=1)
        keys = self._keys(pixels)
        losses = [
            anchored_contrastive(own, center, negative, labels, self.temperature, self.balanced)
            for own, center, (negative, labels) in zip(vectors, centers, keys, strict=True)
        ]
        return torch.stack(losses).sum() / self.num_classes

    def _anchor_sets(self, pixels: Pixels) -> Tensor:
        """Return which pixels are in the anchor set of each class (n, K)."""
        if self.certain_anchors:
            members = anchors(
                pixels.probabilities,
                pixels.labels.clamp(min=0),
                labeled=pixels.labeled,
                certain=pixels.certain,
                threshold=self.threshold,
            )
        else:
            members = pixels.of_class(self.num_classes)
        members = members & pixels.counted[:, None]
        if not self.include_background:
            members[:, 0] = False
        return members

    @torch.no_grad()
    def _keys(self, pixels: Pixels) -> list[tuple[Tensor, Tensor]]:
        """Return keys (m, d) and their labels (m,) for each class, after the bank has taken in this batch's."""
        if self.ranked_negatives:
            offered = negatives(
                pixels.probabilities,
                pixels.labels.clamp(min=0),
                labeled=pixels.labeled,
                certain=pixels.certain,
                certain_rank=self.certain_rank,
                uncertain_rank=self.uncertain_rank,
            )
        else:
            offered = ~pixels.of_class(self.num_classes)
        offered = offered & pixels.counted[:, None]
        # no more than the bank would take, so that no more are projected
        most = self.num_keys if self.bank is None else self.bank.quota
        chosen = [sample_mask(column, most) for column in offered.T]
        vectors = pixels.embed_each(chosen)
        fresh = [(part, pixels.labels[indices]) for part, indices in zip(vectors, chosen, strict=True)]
        if self.bank is None:
            return fresh
        for number, (features, labels) in enumerate(fresh):
            self.bank.push(number, features, labels)
        return [self.bank.draw(number, self.num_keys) for number in range(self.num_classes)]
