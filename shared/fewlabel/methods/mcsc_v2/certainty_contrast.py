"""MCSCv2's contrast as a part that methods with two networks can take."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from fewlabel.methods.mcsc_v2.certainty_guided import CertaintyGuidedContrastiveLoss
from fewlabel.methods.mcsc_v2.pixels import Guidance, Pixels, build_guidance
from fewlabel.networks import ContrastProjector, FeatureNetwork, NetworkOutput, build_projectors
from fewlabel.parsing import parse_arguments


class CertaintyContrast(nn.Module):
    r"""The contrast of :class:`fewlabel.methods.MCSCv2` between any two networks' features, summed over scales.

    Thesis ch. 5, which adds it to a mean teacher and to cross pseudo supervision: give it as ``contrast`` to
    :class:`fewlabel.methods.MeanTeacher` or :class:`fewlabel.methods.CrossPseudoSupervision`. It owns projectors and
    memories of negatives, not the networks.

    Args:
        first: a network with ``feature_channels``.
        second: the other one; a student stands for its averaged teacher.
        num_classes: K, the background included.
        strides: of the maps that are contrasted.
        contrastive_loss: makes the loss of one scale from ``num_classes``.
        uncertain_fraction: share of the unlabeled pixels that are uncertain at the beginning.
        cross_labels: guide a network's pixels by the other's probabilities and classes.

    Raises:
        ValueError: an argument is out of range, or a stride is not one that both networks have.
    """

    @parse_arguments
    def __init__(
        self,
        first: FeatureNetwork,
        second: FeatureNetwork,
        num_classes: int = 4,
        strides: Sequence[int] = (1, 8),
        contrastive_loss: Callable[..., nn.Module] = CertaintyGuidedContrastiveLoss,
        uncertain_fraction: float = 0.2,
        cross_labels: bool = True,
    ) -> None:
        super().__init__()
        check_contrast(strides, num_classes, uncertain_fraction)
        self.projectors = build_projectors(first, second, strides)
        self.contrastive_losses = nn.ModuleDict(
            {str(stride): contrastive_loss(num_classes=num_classes) for stride in strides}
        )
        self.uncertain_fraction = uncertain_fraction
        self.cross_labels = cross_labels

    def forward(self, first: NetworkOutput, second: NetworkOutput, label: Tensor, progress: float = 0.0) -> Tensor:
        """Return the contrast of a batch, a scalar.

        Args:
            first: the first network's output, labeled images first.
            second: the second one's.
            label: labels (B, 1, H, W) of the labeled images.
            progress: share of the training run that is done.
        """
        guide = build_guidance(first, second, label, self.uncertain_fraction * (1 - progress), self.cross_labels)
        return contrast_scales(first, second, guide, self.projectors, self.contrastive_losses)


def contrast_scales(
    first: NetworkOutput, second: NetworkOutput, guide: Guidance, projectors: nn.ModuleDict, losses: nn.ModuleDict
) -> Tensor:
    """Return the sum of the losses of all scales, whose strides name the projectors and the losses."""
    contrast = []
    for stride, projector in projectors.items():
        step = int(stride)
        assert isinstance(projector, ContrastProjector)
        pixels = Pixels(first.features[step], second.features[step], projector, guide.at(step))
        contrast.append(losses[stride](pixels))
    return torch.stack(contrast).sum()


def check_contrast(strides: Sequence[int], num_classes: int, uncertain_fraction: float) -> None:
    """Refuse what makes no contrast.

    Raises:
        ValueError: an argument is out of range.
    """
    if not strides or len(set(strides)) != len(strides):
        raise ValueError(f"strides needs at least one scale, and none twice, got {list(strides)}")
    if num_classes < 2:
        raise ValueError(f"num_classes counts the background too and must be at least 2, got {num_classes}")
    if not 0 <= uncertain_fraction <= 1:
        raise ValueError(f"uncertain_fraction must be in [0, 1], got {uncertain_fraction}")
