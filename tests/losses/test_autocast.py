"""Every loss computes in float32 while networks compute in bfloat16."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewlabel import losses
from fewlabel.methods import CertaintyGuidedContrastiveLoss, GLCLLoss, ReCoLoss
from fewlabel.methods.mcsc_v2.pixels import Guidance, Pixels
from fewlabel.methods.query_consistency import distribution_loss

NO_LOSSES = {"hard_labels", "without_ignored"}


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(drawn(*shape, seed=seed), dim=-1)


LABELS = torch.randint(3, (2, 1, 8, 8), generator=torch.Generator().manual_seed(9))
NUMBERS = LABELS.flatten()[:12]
LOGITS = drawn(2, 3, 8, 8)
OTHERS = drawn(2, 3, 8, 8, seed=1)
SHARES = LOGITS.softmax(dim=1)
WEIGHTS = drawn(2, 1, 8, 8, seed=2).sigmoid()


def plain_pixels(loss: Callable[[Pixels], Tensor]) -> Callable[..., Tensor]:
    """Give a loss of pixels the maps of both networks as they are: projectors are networks, and round."""

    def of_maps(first: Tensor, second: Tensor, probabilities: Tensor) -> Tensor:
        torch.manual_seed(0)
        known = torch.zeros(probabilities[:, 0].shape, dtype=torch.bool)
        guide = Guidance(probabilities, probabilities.argmax(dim=1), known, ~known)
        return loss(Pixels(first, second, lambda *maps: maps, guide))  # type: ignore[arg-type]

    return of_maps


MAPS = (unit(2, 8, 8, 16).movedim(-1, 1), unit(2, 8, 8, 16, seed=1).movedim(-1, 1), (5 * drawn(4, 3, 8, 8)).softmax(1))
CASES: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "anatomy_loss": (losses.anatomy_loss, (SHARES, OTHERS.softmax(dim=1), WEIGHTS)),
    "anchored_contrastive": (losses.anchored_contrastive, (unit(5, 16), unit(16), unit(12, 16, seed=1), NUMBERS)),
    "balanced_contrastive": (losses.balanced_contrastive, (unit(12, 16), NUMBERS)),
    "bending_energy": (losses.bending_energy, (drawn(2, 2, 8, 8),)),
    "consistency_distance": (losses.consistency_distance, (LOGITS, SHARES, WEIGHTS)),
    "foreground_dice_loss": (losses.foreground_dice_loss(), (LOGITS, LABELS)),
    "local_contrastive": (losses.local_contrastive, (unit(1, 12, 16), NUMBERS[None])),
    "lovasz_softmax": (losses.lovasz_softmax, (SHARES, LABELS)),
    "mutual_consistency": (losses.mutual_consistency, ([LOGITS, OTHERS],)),
    "nt_xent": (losses.nt_xent, (drawn(6, 16), drawn(6, 16, seed=1))),
    "ohem_cross_entropy": (losses.ohem_cross_entropy, (LOGITS, LABELS)),
    "plain_dice_loss": (losses.plain_dice_loss(one_hot_labels=True), (LOGITS, SHARES)),
    "pseudo_label_loss": (losses.pseudo_label_loss(), (LOGITS, LABELS)),
    "region_contrast": (losses.region_contrast, (drawn(6, 16), drawn(6, 16, seed=1))),
    "region_loss": (losses.region_loss, (LOGITS, LABELS, WEIGHTS)),
    "sharpen": (losses.sharpen, (SHARES,)),
    "squared_dice_loss": (losses.squared_dice_loss(), (LOGITS, LABELS)),
    "supervised_loss": (losses.supervised_loss(), (LOGITS, LABELS)),
    "vision_text_consistency": (losses.vision_text_consistency, (drawn(2, 16, 8, 8), LABELS, drawn(3, 16))),
    "weighted_cross_entropy": (losses.weighted_cross_entropy, (LOGITS, LABELS, WEIGHTS)),
    "weighted_dice": (losses.weighted_dice, (LOGITS, LABELS, WEIGHTS)),
    "weighted_vision_text_consistency": (
        losses.weighted_vision_text_consistency,
        (drawn(2, 16, 8, 8), SHARES, drawn(3, 16)),
    ),
    "cross teaching": (losses.CrossTeachingLoss(), (LOGITS, OTHERS, LABELS[:1])),
    "cross teaching of mixed images": (
        losses.CrossTeachingLoss().mixed,
        (LOGITS, OTHERS, (LABELS, LABELS.flip(-1)), LABELS > 0),
    ),
    "query distribution": (distribution_loss, (LOGITS.log_softmax(dim=1), LABELS)),
    "certainty-guided": (
        plain_pixels(CertaintyGuidedContrastiveLoss(3, 16, threshold=0.5, num_anchors=50, bank_size=None)),
        MAPS,
    ),
    # thresholds that bfloat16 holds exactly
    "ReCo": (plain_pixels(ReCoLoss(3, weak=0.5, strong=0.96875)), MAPS),
    "GLCL": (plain_pixels(GLCLLoss(3, block=4)), MAPS),
}


def changed(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return arguments with every tensor of floating point changed."""
    if isinstance(value, Tensor):
        return change(value) if value.is_floating_point() else value
    return type(value)(changed(inner, change) for inner in value)


@pytest.mark.parametrize("name", CASES)
def test_under_autocast_a_loss_is_that_of_float32_bit_by_bit(name: str) -> None:
    loss, arguments = CASES[name]
    half = changed(arguments, Tensor.bfloat16)
    single = changed(half, Tensor.float)
    expected = loss(*single)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(loss(*single), expected, rtol=0, atol=0)
        torch.testing.assert_close(loss(*half), expected, rtol=0, atol=0)


def test_no_public_loss_is_left_out() -> None:
    functions = {name for name in losses.__all__ if name.islower()}
    assert functions - NO_LOSSES <= CASES.keys()
