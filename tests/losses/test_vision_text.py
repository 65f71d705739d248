from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.losses import VisionTextConsistencyLoss, vision_text_consistency, weighted_vision_text_consistency


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def literal(features: Tensor, labels: Tensor, text: Tensor) -> float:
    """VCLIPSeg eq. 4-5, voxel by voxel: unit vectors, their mean per class, one minus the cosine, mean over classes."""
    losses = []
    for number, name in enumerate(text.tolist()):
        members = []
        for vectors, classes in zip(
            features.flatten(2).transpose(1, 2).tolist(), labels.flatten(1).tolist(), strict=True
        ):
            for vector, own in zip(vectors, classes, strict=True):
                if own == number:
                    length = math.sqrt(sum(v * v for v in vector))
                    members.append([v / length for v in vector])
        if members:
            prototype = [sum(column) / len(members) for column in zip(*members, strict=True)]
            product = sum(p * t for p, t in zip(prototype, name, strict=True))
            losses.append(1 - product / math.hypot(*prototype) / math.hypot(*name))
    return sum(losses) / len(losses)


def inputs(classes: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    labels = torch.randint(-1, classes, (2, 1, 3, 2, 4), generator=torch.Generator().manual_seed(1))
    return random(2, 5, 3, 2, 4), labels, random(classes, 5, seed=2)


@pytest.mark.parametrize("classes", [1, 3, 6])
def test_equals_the_voxel_loop(classes: int) -> None:
    features, labels, text = inputs(classes)

    assert vision_text_consistency(features, labels, text).item() == pytest.approx(literal(features, labels, text))


def test_features_along_and_against_their_names_give_zero_and_two() -> None:
    text, labels = torch.tensor([[3.0, 0.0], [0.0, 5.0]]), torch.tensor([[0, 1]])

    assert vision_text_consistency(torch.eye(2)[None], labels, text).item() == pytest.approx(0)
    assert vision_text_consistency(-torch.eye(2)[None], labels, text).item() == pytest.approx(2)


def test_a_class_without_voxels_is_skipped_and_does_not_dilute_the_others() -> None:
    features, labels, text = inputs()
    labels = labels.where(labels != 1, -1)

    without = vision_text_consistency(features, labels, text)

    assert without.item() == pytest.approx(literal(features, labels, text))
    again = vision_text_consistency(features, labels.where(labels != 2, 1), text[[0, 2, 1]])
    torch.testing.assert_close(again, without)  # renamed classes


def test_without_any_voxel_the_loss_is_zero_and_its_gradient_is_too() -> None:
    features = random(1, 3, 2, 2, 2).requires_grad_()

    loss = vision_text_consistency(features, torch.full((1, 2, 2, 2), -1), random(2, 3))
    loss.backward()

    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_the_length_of_a_voxels_feature_does_not_matter() -> None:
    features, labels, text = inputs()
    lengths = random(2, 1, 3, 2, 4, seed=3).abs() + 0.1

    torch.testing.assert_close(
        vision_text_consistency(lengths * features, labels, text), vision_text_consistency(features, labels, text)
    )


def test_a_voxels_feature_does_not_depend_on_its_neighbors() -> None:
    """The released code normalizes along the depth of the volume, where another slice would change the loss."""
    features, labels, text = inputs()
    labels[..., 2:] = -1
    changed = torch.cat([features[..., :2], 10 * random(2, 5, 3, 2, 2, seed=4)], dim=-1)

    torch.testing.assert_close(
        vision_text_consistency(changed, labels, text), vision_text_consistency(features, labels, text)
    )


def test_gradients_equal_finite_differences_and_the_text_has_none() -> None:
    features, labels, text = inputs()
    text.requires_grad_()

    assert torch.autograd.gradcheck(
        lambda f: vision_text_consistency(f, labels, text), features.requires_grad_(), check_undefined_grad=False
    )
    vision_text_consistency(features, labels, text).backward()
    assert text.grad is None


def test_whole_shares_are_labels() -> None:
    features, labels, text = inputs()
    shares = torch.stack([labels[:, 0] == number for number in range(len(text))], dim=1).double()

    torch.testing.assert_close(
        weighted_vision_text_consistency(features, shares, text), vision_text_consistency(features, labels, text)
    )


def test_a_voxel_counts_for_each_class_by_its_share() -> None:
    """Three quarters of a voxel of one class and a quarter of it are as four voxels, three of the one class."""
    features, text = random(1, 5, 2), random(2, 5, seed=2)
    shares = torch.tensor([[[0.75, 0.5], [0.25, 0.0]]])
    repeated = features[..., [0, 0, 0, 0, 1, 1]]
    labels = torch.tensor([[0, 0, 0, 1, 0, 0]])

    found = weighted_vision_text_consistency(features, shares, text)

    torch.testing.assert_close(found, vision_text_consistency(repeated, labels, text))


def test_shares_of_nothing_leave_no_loss() -> None:
    features = random(1, 3, 2, 2, 2).requires_grad_()
    loss = weighted_vision_text_consistency(features, torch.zeros(1, 2, 2, 2, 2), random(2, 3))
    loss.backward()

    assert loss.item() == 0
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_unit_length_along_the_depth_is_that_of_the_released_code() -> None:
    features, labels, text = inputs()
    scaled = features / features.pow(2).sum(dim=-1, keepdim=True).sqrt()
    losses = []
    for number, name in enumerate(text):
        prototype = torch.stack([scaled[b, :, x, y, z] for b, _, x, y, z in (labels == number).nonzero()]).mean(dim=0)
        losses.append(1 - prototype @ name / prototype.norm() / name.norm())

    found = vision_text_consistency(features, labels, text, unit_length="depth")

    torch.testing.assert_close(found, torch.stack(losses).mean())
    assert not torch.isclose(found, vision_text_consistency(features, labels, text))


def test_refuses_shares_of_another_shape_and_an_unknown_direction() -> None:
    features, labels, text = inputs()
    with pytest.raises(ValueError, match=r"expected shares \(B, K, \*spatial\) .* got \(2, 1, 3, 2, 4\)"):
        weighted_vision_text_consistency(features, labels.float(), text)
    with pytest.raises(ValueError, match=r"unit_length must be one of \('channels', 'depth'\), got 'width'"):
        vision_text_consistency(features, labels, text, unit_length="width")


def test_the_module_is_the_function() -> None:
    assert torch.equal(VisionTextConsistencyLoss()(*inputs()), vision_text_consistency(*inputs()))


@pytest.mark.parametrize(
    ("features", "labels", "text", "message"),
    [
        ((2, 4, 3, 3), (2, 3, 3), (2, 5), r"features \(B, d, \*spatial\) and text \(K, d\), got \(2, 4, 3, 3\)"),
        ((2, 4, 3, 3), (2, 3, 2), (2, 4), r"target has shape \(2, 3, 2\)"),
    ],
)
def test_says_which_shapes_do_not_fit(
    features: tuple[int, ...], labels: tuple[int, ...], text: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        vision_text_consistency(torch.ones(features), torch.zeros(labels), torch.ones(text))


def test_refuses_a_label_that_is_no_class() -> None:
    with pytest.raises(ValueError, match=r"holds the value 2, expected 0 \.\. 1"):
        vision_text_consistency(torch.ones(1, 3, 2), torch.tensor([[0, 2]]), torch.ones(2, 3))
