"""Mutual consistency (MC-Net): several decoders that agree with what the others are sure of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from fewlabel.losses import foreground_dice_loss, mutual_consistency, squared_dice_loss, without_ignored
from fewlabel.methods.base import Batch, Method, labeled_part, unlabeled_images
from fewlabel.parsing import parse_arguments

LOSSES: dict[str, Callable[[], nn.Module]] = {"foreground_dice": foreground_dice_loss, "dice": squared_dice_loss}


class DecoderNetwork(Protocol):
    """A network of several decoders, such as :class:`fewlabel.networks.MCNet` or ``DecodersUNet``."""

    def outputs(self, x: Tensor) -> Sequence[Tensor]:
        """Return the logits (B, K, *spatial) of each decoder."""


class MutualConsistency(Method):
    r"""Dice on the labeled images for each decoder, and mutual consistency between the decoders on all images.

    .. math:: L = \lambda_{seg} \sum_i L_{dice}(p_i, y) + \lambda_c(t) \sum_{i \ne j} \mathrm{mean}\, (p_i - s(p_j))^2

    Wu et al., "Semi-supervised left atrium segmentation with mutual consistency training", MICCAI 2021; with three
    decoders Medical Image Analysis 2022. The Dice loss is the released code's, over the whole batch; the code computes
    a cross-entropy too and does not use it.

    Terms: ``supervised``, ``consistency``.

    Args:
        network: with ``outputs(x)``, a list of logits of two or more decoders, such as MCNet and DecodersUNet; its
            ``forward`` is used for inference.
        temperature: of the sharpening, see :func:`fewlabel.losses.sharpen`.
        detach_targets: send no gradient through the sharpened predictions; the released code lets it pass.
        loss: on the labeled images. "foreground_dice" is :func:`fewlabel.losses.foreground_dice_loss`, that of the code
            for volumes; "dice" is :func:`fewlabel.losses.squared_dice_loss`, of all classes, that of the code for
            slices, which leaves out the factor 2 of the overlap: half of this loss and a half.

    Raises:
        ValueError: the network shows one prediction only, or the loss is unknown.
    """

    @parse_arguments
    def __init__(
        self,
        network: DecoderNetwork,
        temperature: float = 0.1,
        detach_targets: bool = False,
        loss: str = "foreground_dice",
    ) -> None:
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"loss must be one of {tuple(LOSSES)}, got {loss!r}")
        if not hasattr(network, "outputs"):
            raise ValueError(f"{type(network).__name__} shows one prediction: give a network with outputs(x), as MCNet")
        self.network = network
        self.temperature = temperature
        self.detach_targets = detach_targets
        self._dice = LOSSES[loss]()

    def forward(self, batch: Batch, progress: float = 0.0) -> dict[str, Tensor]:
        """Return the loss terms, see :meth:`Method.forward`."""
        labeled = labeled_part(batch)
        unlabeled = unlabeled_images(batch)
        image: Tensor = labeled["image"]
        label: Tensor = labeled["label"]
        images = image if unlabeled is None else torch.cat([image, unlabeled])
        predictions = [logits.float() for logits in self.network.outputs(images)]
        supervised = [self._dice(logits[: len(label)], label) for logits in predictions]
        taught = without_ignored(label, *predictions)
        return {
            "supervised": torch.stack(supervised).sum(),
            "consistency": mutual_consistency(taught, self.temperature, self.detach_targets),
        }
