"""DeepAtlas: a registration network and a segmentation network teach each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.losses import LocalNormalizedCrossCorrelationLoss
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.layers import warp
from fewlabel.losses import anatomy_loss, bending_energy, supervised_loss
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.networks import forward_logits


@dataclass(frozen=True)
class Pairs:
    """Which image of a batch is moved onto which: indices (P,), pairs of two labeled images first.

    Attributes:
        moving: the image that is warped.
        fixed: the image that it is to match.
        num_labeled: of pairs of two labeled images.
    """

    moving: Tensor
    fixed: Tensor
    num_labeled: int


def draw_pairs(labeled: int, unlabeled: int) -> Pairs:
    """Draw a labeled partner for every image of a batch, with PyTorch's generator of the CPU.

    Each labeled image is moved onto another labeled one, which all have once, if there are two or more; each unlabeled
    one forms a pair with any labeled one, and a coin decides which of the two is moved.

    Args:
        labeled: B, number of labeled images, the first ones of the batch.
        unlabeled: U, number of unlabeled images, which follow.

    >>> pairs = draw_pairs(2, 1)
    >>> pairs.moving[:2].tolist(), pairs.fixed[:2].tolist(), pairs.num_labeled
    ([0, 1], [1, 0], 2)
    """
    first = torch.arange(labeled if labeled > 1 else 0)
    shift = int(torch.randint(1, labeled, ())) if labeled > 1 else 0
    others = torch.arange(labeled, labeled + unlabeled)
    partners = torch.randint(labeled, (unlabeled,))
    forward = torch.rand(unlabeled) < 0.5
    return Pairs(
        moving=torch.cat([first, torch.where(forward, partners, others)]),
        fixed=torch.cat([(first + shift) % labeled, torch.where(forward, others, partners)]),
        num_labeled=len(first),
    )


class DeepAtlas(Method):
    r"""A segmentation network and a registration network, each of which has what the other lacks.

    .. math:: L_i = -\mathrm{LNCC}(I_m \circ \Phi, I_f), \quad L_r = \mathrm{bending}(\Phi), \quad
        L_a = L_{dice}(S_m \circ \Phi, S_f)

    with the displacement :math:`\Phi = R(I_m, I_f)` of a moving image onto a fixed one, and :math:`S` an image's labels
    where it has some and the segmentation network's probabilities elsewhere. Xu and Niethammer, "DeepAtlas: joint
    semi-supervised learning of image registration and segmentation", MICCAI 2019. The paper trains one network while
    the other is fixed, in turn. Here one step does both: each term has a gradient for one network only, so that either
    takes the step that it would take while the other is fixed.

    The thesis (ch. 6.4) compares with it in 2D and says that the segmentation network is its 2D U-Net and that
    registration is learned from scratch, at the same time. It leaves open the registration network, the pairs, the
    losses, their weights and whether the networks take turns. Taken here: VoxelMorph's U-Net, as in the paper; pairs
    within a batch, see :func:`draw_pairs`, never of two unlabeled images, which the paper registers too; squares of
    local correlations, the bending energy of a field in units of the image, so that its weight holds at any size, and
    the Dice loss with squared denominators.

    Terms, each with the network that it teaches: ``supervised`` and ``anatomy_segmentation`` (segmentation),
    ``similarity``, ``bending`` and ``anatomy_registration`` (registration). Without unlabeled images
    ``anatomy_segmentation`` is 0; without a pair, that is, for one labeled image alone, all but ``supervised`` are.

    Args:
        network: maps images (B, C, H, W) to logits (B, K, H, W); used for inference.
        registration: maps moving and fixed images (P, C, H, W) to a displacement (P, 2, H, W) in pixels, such as
            :class:`fewlabel.networks.RegistrationUNet`.
        window: side of the window of local correlations, in pixels, odd.

    Raises:
        ValueError: the window's side is even or below 3.
    """

    def __init__(self, network: nn.Module, registration: nn.Module, window: int = 9) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise ValueError(f"window is the side of a window around a pixel, odd and at least 3, got {window}")
        self.network = network
        self.registration = registration
        self._supervised = supervised_loss()
        self._similarity = LocalNormalizedCrossCorrelationLoss(spatial_dims=2, kernel_size=window)

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"].as_subclass(Tensor)
        label: Tensor = labeled["label"].as_subclass(Tensor)
        output = forward_logits(self.network, image, unlabeled)
        terms = {"supervised": self._supervised(output.labeled, label)}
        images = image if unlabeled is None else torch.cat([image, unlabeled.as_subclass(Tensor)])
        pairs = draw_pairs(len(image), len(images) - len(image))
        if len(pairs.moving) == 0:
            zero = output.logits.new_zeros(())
            names = ("anatomy_segmentation", "similarity", "bending", "anatomy_registration")
            return terms | dict.fromkeys(names, zero)
        moving, fixed = images[pairs.moving], images[pairs.fixed]
        displacement: Tensor = self.registration(moving, fixed).float()
        with torch.autocast(images.device.type, enabled=False):  # correlations are differences of large sums
            maps, annotated = self._anatomy(label, output.unlabeled)
            terms["anatomy_segmentation"] = self._for_segmentation(maps, annotated, displacement.detach(), pairs)
            terms["similarity"] = self._similarity(warp(moving.float(), displacement), fixed.float())
            terms["bending"] = bending_energy(displacement)
            terms["anatomy_registration"] = _pair_loss(maps.detach(), annotated, displacement, pairs)
        return terms

    def _anatomy(self, label: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each image shows, (B + U, K, H, W), labels first, and where that is known, (B + U, 1, H, W)."""
        annotated = label != IGNORED
        classes = label.clamp(min=0)[:, 0].long()
        labels = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).float()
        known = torch.cat([annotated.float(), torch.ones_like(logits[:, :1], dtype=torch.float32)])
        return torch.cat([labels, logits.float().softmax(dim=1)]), known

    def _for_segmentation(self, maps: Tensor, annotated: Tensor, displacement: Tensor, pairs: Pairs) -> Tensor:
        """Return the anatomy loss of the pairs with an unlabeled image."""
        first = pairs.num_labeled
        if len(pairs.moving) == first:
            return maps.new_zeros(())
        mixed = Pairs(pairs.moving[first:], pairs.fixed[first:], 0)
        return _pair_loss(maps, annotated, displacement[first:], mixed)


def _pair_loss(maps: Tensor, annotated: Tensor, displacement: Tensor, pairs: Pairs) -> Tensor:
    """Return the anatomy loss of pairs, over pixels of which both sides are known."""
    warped = warp(maps[pairs.moving], displacement)
    known = warp(annotated[pairs.moving], displacement.detach()) > 1 - 1e-4  # a weighted mean of ones, up to rounding
    return anatomy_loss(warped, maps[pairs.fixed], known & (annotated[pairs.fixed] > 0))
