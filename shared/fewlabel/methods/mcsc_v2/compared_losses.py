"""Contrastive losses of other papers, put into cross teaching for comparison (thesis table 5.4)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.precision import in_float32
from fewlabel.losses import anchored_contrastive, local_contrastive, nt_xent
from fewlabel.losses.similarity import check_temperature
from fewlabel.methods.mcsc_v2.pixels import Pixels
from fewlabel.sampling import sample_mask
from fewlabel.sampling.patches import cut_patches


class ReCoLoss(nn.Module):
    r"""Regional contrast: unsure pixels are drawn to their class's mean, away from the classes that resemble it.

    .. math::
        L = \frac{1}{|C|} \sum_c \frac{1}{|q_c|} \sum_{i \in q_c}
            \log \Big(1 + \sum_{k \in n_c} \exp \frac{a_i \cdot n_k - a_i \cdot p_c}{\tau}\Big)

    over the classes C of the batch. S. Liu et al., Bootstrapping Semantic Segmentation with Regional Contrast, ICLR
    2022. Valid are labeled pixels, and unlabeled ones whose highest probability exceeds ``weak``; queries are drawn
    among the valid pixels of a class whose highest probability is below ``strong``; :math:`p_c` is the mean of all
    valid ones. Each key belongs to class j with probability softmax of :math:`p_c \cdot p_j / \tau` over the others.
    Means and keys have no gradient. All queries of a class share its keys, where the paper draws keys for each query.

    Args:
        num_classes: K.
        weak: the lowest top probability of a pseudo-label.
        strong: the top probability from which a pixel is no query any more.
        num_queries: drawn per class.
        num_keys: drawn per class, with replacement.
        temperature: tau.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(
        self,
        num_classes: int,
        weak: float = 0.7,
        strong: float = 0.97,
        num_queries: int = 256,
        num_keys: int = 512,
        temperature: float = 0.5,
    ) -> None:
        super().__init__()
        check_temperature(temperature)
        self.num_classes = num_classes
        self.weak = weak
        self.strong = strong
        self.num_queries = num_queries
        self.num_keys = num_keys
        self.temperature = temperature

    def forward(self, pixels: Pixels) -> Tensor:
        """Return the loss of a batch at this scale."""
        sure = pixels.probabilities.amax(dim=1)
        valid = pixels.labeled | (sure > self.weak)
        members = pixels.of_class(self.num_classes) & valid[:, None]
        unsure = members & (sure < self.strong)[:, None]
        queries = [sample_mask(column, self.num_queries) for column in unsure.T]
        vectors = pixels.embed_each(queries)
        present = members.any(dim=0).nonzero()[:, 0].tolist()
        nothing = torch.stack([part.sum() for part in vectors]).sum() * 0
        if len(present) < 2:
            return nothing
        with torch.no_grad():
            means = pixels.centers(members)
        losses = [nothing]
        for number in present:
            others = [other for other in present if other != number]
            keys, labels = self._keys(pixels, members, means, number, others)
            losses.append(
                anchored_contrastive(vectors[number], means[number], keys, labels, self.temperature, balanced=False)
            )
        return torch.stack(losses).sum() / len(present)

    @torch.no_grad()
    def _keys(
        self, pixels: Pixels, members: Tensor, means: Tensor, number: int, others: list[int]
    ) -> tuple[Tensor, Tensor]:
        """Return keys (m, d) and their labels (m,): many of the classes whose mean is near, few of the others."""
        near = _nearness(means[others], means[number], self.temperature)
        drawn = torch.multinomial(near, self.num_keys, replacement=True)
        counts = drawn.bincount(minlength=len(others)).tolist()
        chosen = []
        for other, count in zip(others, counts, strict=True):
            places = members[:, other].nonzero()[:, 0]
            chosen.append(places[torch.randint(len(places), (count,), device=places.device)])
        indices = torch.cat(chosen)
        return pixels.embed(indices), pixels.labels[indices]


@in_float32
def _nearness(means: Tensor, mean: Tensor, temperature: float) -> Tensor:
    """Probabilities (m,) of classes with the means (m, d), the higher the nearer to another class's mean (d,)."""
    return (means @ mean / temperature).softmax(dim=0)


class GLCLLoss(nn.Module):
    """Global and local contrast: slices against slices, and foreground pixels within a block of a slice.

    Global: :func:`fewlabel.losses.nt_xent` between both networks' mean features of all slices, which are two views of
    them. Local: :func:`fewlabel.losses.local_contrastive` over one block of each slice, as both networks see it.
    X. Hu et al., Semi-supervised Contrastive Learning for Label-efficient Medical Image Segmentation, MICCAI 2021.
    That paper uses the two losses one after the other, to pre-train; in cross teaching they are terms of one step,
    under pseudo-labels where there is no ground truth. How the thesis combined them for table 5.4 is not published.

    Args:
        num_classes: K.
        block: side of a block in pixels of the map, or the map's side if that is smaller.
        temperature: tau.

    Raises:
        ValueError: the temperature is not positive.
    """

    def __init__(self, num_classes: int, block: int = 16, temperature: float = 0.1) -> None:
        super().__init__()
        check_temperature(temperature)
        self.num_classes = num_classes
        self.block = block
        self.temperature = temperature

    def forward(self, pixels: Pixels) -> Tensor:
        """Return the loss of a batch at this scale: global plus local."""
        pooled = [maps.float().mean(dim=(2, 3)) for maps in pixels.maps]
        cnn, transformer = pixels.projector(*pooled)
        return nt_xent(cnn, transformer, self.temperature) + self._local(pixels)

    def _local(self, pixels: Pixels) -> Tensor:
        count, _, height, width = pixels.maps[0].shape
        block = min(self.block, height, width)
        # one block per slice, the same in both networks, dealt on the CPU as all patches are
        corners = torch.stack([torch.randint(side - block + 1, (1, count)) for side in (height, width)], dim=-1)
        cuts = [cut_patches(maps, corners, block)[0] for maps in pixels.maps]
        cnn, transformer = [cut.movedim(1, -1).flatten(0, 2) for cut in cuts]
        parts = pixels.projector(cnn, transformer)
        vectors = torch.cat([part.view(count, block * block, -1) for part in parts], dim=1)
        label_maps = [part[:, None] for part in pixels.guide.labels.chunk(2)]
        labels = [cut_patches(maps, corners, block)[0].flatten(1) for maps in label_maps]
        pixels.projected += 2 * count * (block * block + 1)
        return local_contrastive(vectors, torch.cat(labels, dim=1), self.temperature)
