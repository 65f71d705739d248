from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.methods import MCSC, CrossTeaching
from fewlabel.networks import ContrastProjector
from fewlabel.sampling.patches import cut_patches, deal_patches, patch_corners
from helpers.pixel_networks import build_mcsc, contrast, make_batch, small_swin, small_unet


def test_projecting_cut_patches_equals_cutting_projected_maps() -> None:
    torch.manual_seed(0)
    projector = ContrastProjector(5, 6, norm_b=True)
    maps = [torch.rand(2, 5, 7, 7), torch.rand(2, 6, 7, 7)]
    corners = patch_corners(7, 7, 3)[deal_patches(2, 9)]

    cut = projector(*(cut_patches(m, corners, 3).flatten(0, 1) for m in maps))

    for ours, whole in zip(cut, projector(*maps), strict=True):
        torch.testing.assert_close(ours, cut_patches(whole, corners, 3).flatten(0, 1))


@pytest.mark.parametrize("stride", [1, 2, 4, 8])
def test_labels_are_sampled_at_the_nearest_pixel_of_a_coarse_map(stride: int) -> None:
    label = torch.randint(9, (2, 1, 16, 24))
    nearest = nn.functional.interpolate(label.float(), scale_factor=1 / stride, mode="nearest-exact").long()

    assert torch.equal(label[..., stride // 2 :: stride, stride // 2 :: stride], nearest)


def image_gradients(progress: float) -> tuple[Tensor, Tensor]:
    method, batch = build_mcsc(patch_sizes={1: 4, 2: 2}, warmup=0.5), make_batch()
    images = [batch[part]["image"].requires_grad_() for part in ("labeled", "unlabeled")]
    contrast(method, batch, progress).backward()
    return images[0].grad, images[1].grad  # type: ignore[return-value]


def test_in_the_warm_up_no_gradient_of_the_contrast_depends_on_unlabeled_images() -> None:
    labeled, unlabeled = image_gradients(progress=0.49)

    assert labeled.abs().sum() > 0
    assert torch.equal(unlabeled, torch.zeros_like(unlabeled))


def test_after_the_warm_up_unlabeled_images_are_contrasted_too() -> None:
    labeled, unlabeled = image_gradients(progress=0.5)

    assert labeled.abs().sum() > 0
    assert unlabeled.abs().sum() > 0


def test_in_the_warm_up_unlabeled_images_do_not_change_the_contrast() -> None:
    method, batch = build_mcsc(patch_sizes={1: 4}, warmup=0.5), make_batch()
    others = {**batch, "unlabeled": {"image": batch["unlabeled"]["image"].flip(-1) + 1}}

    assert torch.equal(contrast(method, batch, 0.2), contrast(method, others, 0.2))
    assert not torch.equal(contrast(method, batch, 0.8), contrast(method, others, 0.8))


def test_labels_carry_no_gradient_so_the_heads_learn_nothing_from_the_contrast() -> None:
    method = build_mcsc(patch_sizes={1: 4, 2: 2})
    contrast(method, make_batch()).backward()

    assert method.cnn.head.weight.grad is None
    assert method.transformer.head.weight.grad is None
    assert all(p.grad is not None for p in method.projectors.parameters())
    assert method.cnn.fine.weight.grad is not None
    assert method.transformer.fine.weight.grad is not None


def test_own_labels_give_another_contrast_than_crossed_ones() -> None:
    batch = make_batch()

    crossed, own = (contrast(build_mcsc(patch_sizes={1: 4}, cross_labels=cross), batch) for cross in (True, False))

    assert abs(crossed.item() - own.item()) > 1e-4


def test_scales_add_up() -> None:
    batch = make_batch(2, 0)  # one patch: nothing to shuffle
    both = build_mcsc(patch_sizes={1: 8, 2: 4})
    parts = [build_mcsc(patch_sizes={stride: patch}) for stride, patch in ((1, 8), (2, 4))]
    for part in parts:
        part.load_state_dict({k: v for k, v in both.state_dict().items() if k in part.state_dict()})

    assert contrast(both, batch).item() == pytest.approx(sum(contrast(part, batch).item() for part in parts), rel=1e-5)


def test_other_terms_are_those_of_cross_teaching() -> None:
    method, batch = build_mcsc(patch_sizes={1: 4}), make_batch()
    terms, plain = method(batch, 1.0), CrossTeaching(method.cnn, method.transformer)(batch, 1.0)

    assert {name: term.item() for name, term in plain.items()} == {
        name: term.item() for name, term in terms.items() if name != "contrastive"
    }


def test_groups_without_any_foreground_are_not_counted_among_the_groups_of_a_step() -> None:
    # one pixel in 64 is foreground: of 16 groups of 2 x 2 pixels at most two hold it, and one of them is always taken
    method, batch = build_mcsc(patch_sizes={1: 2}, groups_per_step=1, warmup=1.0), make_batch(1, 0)
    batch["labeled"]["label"][:] = 0
    batch["labeled"]["label"][..., 5, 5] = 2
    losses = [contrast(method, batch, 0.0, seed).item() for seed in range(20)]

    assert min(losses) > 0


@pytest.mark.parametrize("skip", [True, False])
def test_an_all_background_batch_gives_a_contrast_without_nan(skip: bool) -> None:
    method, batch = build_mcsc(patch_sizes={1: 4, 2: 2}, warmup=1.0, skip_background=skip), make_batch()
    batch["labeled"]["label"][:] = 0

    value = contrast(method, batch, 0.0)

    assert value.isfinite()
    assert (value.item() == 0) == skip


def test_a_contrast_of_nothing_still_reaches_the_projectors() -> None:
    # distributed training waits for the gradient of every parameter
    method, batch = build_mcsc(patch_sizes={1: 4, 2: 2}, warmup=1.0), make_batch()
    batch["labeled"]["label"][:] = 0

    contrast(method, batch, 0.0).backward()

    assert all(p.grad is not None and not p.grad.any() for p in method.projectors.parameters())


def test_the_same_torch_seed_gives_the_same_terms_and_another_one_other_groups() -> None:
    method, batch = build_mcsc(patch_sizes={1: 4, 2: 2}), make_batch()

    assert torch.equal(contrast(method, batch, seed=1), contrast(method, batch, seed=1))
    assert not torch.equal(contrast(method, batch, seed=1), contrast(method, batch, seed=2))


def test_patch_sizes_may_come_from_json_whose_keys_are_words() -> None:
    assert build_mcsc(patch_sizes={"1": 4, "2": 2}).patch_sizes == {1: 4, 2: 2}


def test_by_default_the_scales_are_those_of_the_thesis() -> None:
    method = MCSC(small_unet(), small_swin())

    assert method.patch_sizes == {1: 19, 8: 14}
    assert method.projectors["1"].norm_b is None
    assert method.projectors["8"].norm_b is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_sizes": {}}, r"at least one scale.*got \{\}"),
        ({"patch_sizes": {1: 0}}, r"patches of at least 1 pixel, got \{1: 0\}"),
        ({"patch_sizes": {1: 4, 16: 2}}, r"PixelNetwork has no feature maps at the strides \[16\].*at \[1, 2\]"),
        ({"patch_sizes": {1: 4}, "warmup": 1.5}, r"warmup is a share .* \[0, 1\], got 1.5"),
        ({"patch_sizes": {1: 4}, "groups_per_step": 0}, "groups_per_step must be at least 1, or None .*, got 0"),
        ({"patch_sizes": {1: 4}, "patches": "all"}, "patches must be one of .*, got 'all'"),
        ({"patch_sizes": {1: 4}, "label_order": "rows"}, r"label_order must be one of .*, got 'rows'"),
        ({"patch_sizes": {1: 4}, "temperature": 0.0}, r"temperature must be positive, got 0\.0"),
    ],
)
def test_a_setting_out_of_range_is_an_error_that_shows_it(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_mcsc(**options)


def test_a_patch_larger_than_the_map_is_an_error() -> None:
    with pytest.raises(ValueError, match="patch of 19 pixels does not fit into a map of 8"):
        build_mcsc(patch_sizes={1: 19})(make_batch())


def test_training_lowers_the_loss_and_learns_the_picture() -> None:
    torch.manual_seed(0)
    method = MCSC(small_unet(num_classes=2), small_swin(num_classes=2), {1: 16, 8: 2}, warmup=0.2, groups_per_step=2)
    optimizer = torch.optim.AdamW(method.parameter_groups(cnn=1e-2, transformer=3e-3, projectors=1e-2))
    image = 0.2 * torch.rand(4, 1, 32, 32)
    corners = ((4, 4), (12, 8), (8, 12), (14, 2))
    for i, (row, column) in enumerate(corners):  # a bright square on noise
        image[i, :, row : row + 12, column : column + 12] += 0.8
    label = (image > 0.5).long()
    batch = {"labeled": {"image": image[:2], "label": label[:2]}, "unlabeled": {"image": image[2:]}}
    losses = []
    for step in range(20):
        terms = method(batch, step / 20)
        loss = sum(terms.values()) - (1 - 2e-3) * terms["contrastive"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[union-attr]
        optimizer.step()
        losses.append(loss.item())  # type: ignore[union-attr]

    assert losses[-1] < 0.3 * losses[0]
    method.eval()
    with torch.no_grad():
        agreement = (method.cnn(image[2:]).argmax(1, keepdim=True) == label[2:]).float().mean()
    assert agreement > 0.9
