from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.losses import LovaszSoftmaxLoss, lovasz_softmax
from fewlabel.losses.lovasz import lovasz_weights


def batch(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = torch.randn(*shape, generator=generator, dtype=torch.float64).softmax(1)
    return probabilities, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


def jaccard_loss(wrong: set[int], foreground: set[int]) -> float:
    """One minus the intersection over union when the voxels in ``wrong`` are mispredicted."""
    predicted = foreground ^ wrong
    union = foreground | predicted
    return 1 - len(foreground & predicted) / len(union) if union else 0.0


def extension(errors: list[float], foreground: set[int]) -> float:
    """Lovász extension as an integral: the set loss of all voxels above a level, over all levels."""
    levels = sorted({0.0, *errors})
    return sum(
        (upper - lower) * jaccard_loss({i for i, error in enumerate(errors) if error >= upper}, foreground)
        for lower, upper in pairwise(levels)
    )


def literal(probabilities: torch.Tensor, target: torch.Tensor, classes: str = "present", ignore: int = -1) -> float:
    count = probabilities.shape[1]
    rows = probabilities.movedim(1, -1).reshape(-1, count).tolist()
    voxels = [(row, y) for row, y in zip(rows, target.flatten().tolist(), strict=True) if y != ignore]
    losses = []
    for c in range(count):
        foreground = {i for i, (_, label) in enumerate(voxels) if label == c}
        if foreground or classes == "all":
            losses.append(extension([1 - row[c] if y == c else row[c] for row, y in voxels], foreground))
    return sum(losses) / len(losses)


def test_by_hand_two_voxels() -> None:
    # Class 0: errors 0.4 (foreground) and 0.3 (background); the first makes the loss 1, the second adds nothing.
    # Class 1: errors 0.3 (foreground) and 0.4 (background); background first gives 1/2, the foreground the other half.
    probabilities = torch.tensor([[[0.6, 0.3], [0.4, 0.7]]], dtype=torch.float64)
    loss = lovasz_softmax(probabilities, torch.tensor([[0, 1]]))
    assert loss.item() == pytest.approx((0.4 + (0.4 / 2 + 0.3 / 2)) / 2)


@pytest.mark.parametrize("shape", [(1, 2, 1), (1, 3, 6), (2, 4, 3, 5), (1, 2, 3, 2, 4)])
@pytest.mark.parametrize("classes", ["present", "all"])
def test_equals_the_integral_of_the_set_loss_over_levels(shape: tuple[int, ...], classes: str) -> None:
    for seed in range(3):
        probabilities, target = batch(*shape, seed=seed)
        loss = lovasz_softmax(probabilities, target, classes)
        assert loss.item() == pytest.approx(literal(probabilities, target, classes))


def test_ties_between_voxels_do_not_matter() -> None:
    target = torch.tensor([[0, 1, 0, 1, 1, 0]])
    coarse = torch.tensor([0.5, 0.5, 0.25, 0.25, 0.5, 0.5], dtype=torch.float64)
    probabilities = torch.stack([coarse, 1 - coarse])[None]
    assert lovasz_softmax(probabilities, target).item() == pytest.approx(literal(probabilities, target))


def test_on_one_hot_predictions_it_is_one_minus_the_mean_intersection_over_union() -> None:
    _, target = batch(2, 4, 6, 6)
    _, guess = batch(2, 4, 6, 6, seed=1)
    one_hot = torch.nn.functional.one_hot(guess, 4).movedim(-1, 1).double()
    overlaps = [((guess == c) & (target == c)).sum() / ((guess == c) | (target == c)).sum() for c in range(4)]
    assert lovasz_softmax(one_hot, target).item() == pytest.approx(1 - sum(overlaps).item() / 4)


def test_a_perfect_prediction_costs_nothing_and_an_opposite_one_costs_one() -> None:
    target = torch.tensor([[[0, 0], [1, 1]]])
    right = torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float()
    assert lovasz_softmax(right, target).item() == 0
    assert lovasz_softmax(1 - right, target).item() == 1


def test_is_convex_in_the_probabilities() -> None:
    (first, target), (second, _) = batch(2, 3, 5, 5), batch(2, 3, 5, 5, seed=1)
    ends = [lovasz_softmax(first, target).item(), lovasz_softmax(second, target).item()]
    for share in (0.2, 0.5, 0.9):
        between = lovasz_softmax(share * first + (1 - share) * second, target).item()
        assert between <= share * ends[0] + (1 - share) * ends[1] + 1e-12


def test_an_absent_class_costs_its_highest_probability_and_only_if_all_classes_count() -> None:
    probabilities = torch.tensor([[[0.9, 0.7], [0.1, 0.3]]])
    target = torch.tensor([[0, 0]])
    present = lovasz_softmax(probabilities, target).item()
    assert lovasz_softmax(probabilities, target, "all").item() == pytest.approx((present + 0.3) / 2)


def test_per_image_is_the_mean_of_the_images_own_losses() -> None:
    probabilities, target = batch(3, 4, 5, 5)
    target[0].clamp_(max=1)
    alone = [lovasz_softmax(probabilities[i : i + 1], target[i : i + 1]).item() for i in range(3)]
    assert lovasz_softmax(probabilities, target, per_image=True).item() == pytest.approx(sum(alone) / 3)
    assert lovasz_softmax(probabilities, target).item() != pytest.approx(sum(alone) / 3, rel=1e-3)


@pytest.mark.parametrize("per_image", [False, True])
def test_ignored_voxels_are_as_good_as_cut_away(per_image: bool) -> None:
    probabilities, target = batch(2, 3, 6, 4)
    cut = lovasz_softmax(probabilities[:, :, :4], target[:, :4], per_image=per_image)
    target[:, 4:] = 255
    assert lovasz_softmax(probabilities, target, per_image=per_image, ignore_index=255).item() == pytest.approx(
        cut.item()
    )


def test_a_class_can_be_the_ignored_one() -> None:
    probabilities, target = batch(1, 3, 6, 4)
    expected = literal(probabilities, target, ignore=0)
    assert lovasz_softmax(probabilities, target, ignore_index=0).item() == pytest.approx(expected)


def test_an_image_that_is_ignored_whole_does_not_count_as_an_image() -> None:
    probabilities, target = batch(2, 3, 4, 4)
    expected = lovasz_softmax(probabilities[:1], target[:1]).item()
    target[1] = -1
    for classes in ("present", "all"):
        assert lovasz_softmax(probabilities, target, classes, per_image=True).item() == pytest.approx(expected)


def test_no_voxel_at_all_gives_zero_with_a_graph() -> None:
    probabilities, target = batch(1, 3, 4)
    probabilities.requires_grad_()
    loss = lovasz_softmax(probabilities, torch.full_like(target, -1), "all")
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(probabilities.grad, torch.zeros_like(probabilities))


def test_gradients_equal_finite_differences() -> None:
    probabilities, target = batch(2, 3, 3, 2)
    # Moved well inside [0, 1] and apart, so that a finite step crosses neither a bound nor a tie.
    assert torch.autograd.gradcheck(lambda p: lovasz_softmax(p, target), probabilities.requires_grad_())


@pytest.mark.parametrize("foreground", [[True], [False], [True, False, True], [False, False, True], [False, False]])
def test_weights_are_the_steps_of_the_jaccard_loss(foreground: list[bool]) -> None:
    inside = {i for i, flag in enumerate(foreground) if flag}
    losses = [jaccard_loss(set(range(k)), inside) for k in range(len(foreground) + 1)]
    steps = [after - before for before, after in pairwise(losses)]
    assert lovasz_weights(torch.tensor(foreground)).tolist() == pytest.approx(steps)


def test_weights_of_four_million_voxels_keep_their_digits_in_float32() -> None:
    foreground = torch.arange(4_000_000) % 100 == 0
    weights = lovasz_weights(foreground)
    assert weights.double().sum().item() == pytest.approx(1, abs=1e-6)
    # The last foreground voxel, the hundredth from the end, makes the union 3,999,901 voxels large.
    assert foreground[-100]
    assert weights[-100].item() == pytest.approx(1 / 3_999_901, rel=2e-7)


def test_a_nan_is_handed_on_for_the_trainer_to_report() -> None:
    probabilities, target = batch(1, 2, 4)
    probabilities[0, 0, 0] = math.nan
    assert lovasz_softmax(probabilities, target).isnan()


def test_takes_what_monai_hands_over() -> None:
    probabilities, target = batch(2, 3, 4, 4)
    loss = lovasz_softmax(MetaTensor(probabilities), MetaTensor(target[:, None].float()))
    assert loss.item() == lovasz_softmax(probabilities, target).item()


def test_the_module_equals_the_function() -> None:
    probabilities, target = batch(2, 4, 3, 3)
    target[0] = 9
    loss = LovaszSoftmaxLoss("all", per_image=True, ignore_index=9)(probabilities, target)
    assert torch.equal(loss, lovasz_softmax(probabilities, target, "all", True, 9))


def test_logits_instead_of_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got -2 \.\. 3; apply softmax over axis 1"):
        lovasz_softmax(torch.tensor([[[-2.0], [3.0]]]), torch.tensor([[0]]))


def test_an_unknown_choice_of_classes_is_refused() -> None:
    with pytest.raises(ValueError, match=r'classes must be "present" or "all", got \'foreground\''):
        lovasz_softmax(*batch(1, 2, 3), classes="foreground")


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="target holds the value 5"):
        lovasz_softmax(batch(1, 2, 3)[0], torch.full((1, 3), 5))
