from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses import (
    CountedLoss,
    foreground_dice_loss,
    local_contrastive,
    lovasz_softmax,
    ohem_cross_entropy,
    supervised_loss,
    weighted_cross_entropy,
    weighted_dice,
    without_ignored,
)


def pair(ignored: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 6, generator=generator)
    label = torch.randint(3, (2, 1, 4, 6), generator=generator)
    if ignored:
        label[..., 4:] = IGNORED
    return logits, label


@pytest.mark.parametrize(
    "loss",
    [
        supervised_loss(),
        foreground_dice_loss(),
        weighted_dice,
        ohem_cross_entropy,
        lambda logits, label: lovasz_softmax(logits.softmax(1), label),
        CountedLoss(DiceCELoss(to_onehot_y=True, softmax=True), per_image=True),
    ],
)
def test_a_loss_with_ignored_columns_is_that_of_the_image_without_them(loss) -> None:
    logits, label = pair()
    whole, cut = loss(logits, label), loss(logits[..., :4], label[..., :4])
    torch.testing.assert_close(whole, cut)


def test_the_supervised_loss_is_monais_to_the_last_bit_where_all_voxels_count() -> None:
    logits, label = pair(ignored=False)
    monai = DiceCELoss(
        to_onehot_y=True, softmax=True, squared_pred=True, batch=True, smooth_nr=1e-5, smooth_dr=1e-5, lambda_dice=0.5,
        lambda_ce=0.5,
    )  # fmt: skip
    assert torch.equal(supervised_loss()(logits, label), monai(logits, label))


def test_ignored_voxels_weigh_nothing_in_the_mean_over_all_voxels() -> None:
    logits, label = pair()
    kept = F.cross_entropy(logits[..., :4], label[:, 0, :, :4])
    torch.testing.assert_close(weighted_cross_entropy(logits, label), kept * 4 / 6)
    halves = torch.full(label.shape, 0.5)
    torch.testing.assert_close(weighted_cross_entropy(logits, label, halves), kept * 2 / 6)


def test_images_that_nobody_annotated_give_0_with_a_graph() -> None:
    logits, label = pair()
    logits.requires_grad_()
    for loss in (supervised_loss(), CountedLoss(DiceCELoss(to_onehot_y=True, softmax=True), per_image=True)):
        value = loss(logits, torch.full_like(label, IGNORED))
        assert value.item() == 0
        value.backward()


def test_counted_voxels_of_labeled_images_and_all_of_the_others_are_kept() -> None:
    label = torch.tensor([[[1, IGNORED, 0]]])
    maps = torch.arange(6.0).reshape(2, 1, 3)
    assert without_ignored(label, maps)[0].tolist() == [[[0, 2, 3, 4, 5]]]
    assert without_ignored(label.clamp(min=0), maps)[0] is maps


def test_ignored_pixels_are_in_no_sum_of_the_local_contrast() -> None:
    generator = torch.Generator().manual_seed(0)
    features = F.normalize(torch.randn(2, 7, 3, generator=generator), dim=2)
    labels = torch.tensor([[1, 1, 2, 2, 0, IGNORED, IGNORED]] * 2)
    expected = local_contrastive(features[:, :5], labels[:, :5])
    torch.testing.assert_close(local_contrastive(features, labels), expected)


def test_a_lonely_pixel_among_ignored_ones_spoils_no_gradient() -> None:
    features = torch.eye(3)[None].requires_grad_()
    loss = local_contrastive(features, torch.tensor([[1, IGNORED, IGNORED]]))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())
