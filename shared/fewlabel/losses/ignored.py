"""Leave out of a loss the voxels of labeled images that nobody annotated."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.conventions.precision import in_float32


def without_ignored(label: Tensor, *maps: Tensor) -> tuple[Tensor, ...]:
    """Return the voxels of maps that count, in one row, as if they were one image; all as they are if all count.

    A loss whose sums run over the voxels of a whole batch does not see the difference.

    Args:
        label: classes (B, 1, *spatial) of the labeled images; :data:`~fewlabel.conventions.labels.IGNORED` is left out.
        maps: (B + U, K, *spatial), labeled images first; of the U others all voxels count.

    Returns:
        For each map (1, K, V), or the map itself.

    >>> label = torch.tensor([[[0, 1, IGNORED]]])
    >>> without_ignored(label, torch.tensor([[[0.1, 0.2, 0.3]]]))[0].tolist()
    [[[0.10000000149011612, 0.20000000298023224]]]
    """
    counted = label[:, 0] != IGNORED
    if bool(counted.all()):
        return maps
    return tuple(_row(one, counted) for one in maps)


def _row(maps: Tensor, counted: Tensor) -> Tensor:
    others = counted.new_ones((len(maps) - len(counted), *counted.shape[1:]))
    return maps.movedim(1, -1)[torch.cat([counted, others])].movedim(-1, 0)[None]


class CountedLoss(nn.Module):
    """A loss of logits against labels, over the voxels that somebody annotated, in float32, under autocast too.

    Args:
        loss: of logits (B, K, *spatial) against classes (B, 1, *spatial).
        per_image: whether the loss is a mean over images, not one sum over the voxels of the batch.
    """

    def __init__(self, loss: nn.Module, per_image: bool = False) -> None:
        super().__init__()
        self.loss, self.per_image = loss, per_image

    @in_float32
    def forward(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the loss; 0 with a graph if no voxel counts."""
        if bool((label != IGNORED).all()):
            whole: Tensor = self.loss(logits, label)
            return whole
        if not self.per_image:
            return self._counted(logits, label)
        images = [slice(number, number + 1) for number in range(len(label))]
        return torch.stack([self._counted(logits[image], label[image]) for image in images]).mean()

    def _counted(self, logits: Tensor, label: Tensor) -> Tensor:
        logits, kept = without_ignored(label, logits, label)
        loss: Tensor = self.loss(logits, kept) if kept.numel() else logits.sum()
        return loss
