from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor

from fewlabel.losses import OhemCrossEntropyLoss, ohem_cross_entropy


def batch(*shape: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


def logits_of(*probabilities: float) -> tuple[torch.Tensor, torch.Tensor]:
    """One image of two classes whose voxels have the given probability of their own class, which is 0."""
    p = torch.tensor(probabilities, dtype=torch.float64)
    return torch.stack([p.log(), (1 - p).log()])[None], torch.zeros(1, len(probabilities), dtype=torch.int64)


def literal(logits: torch.Tensor, target: torch.Tensor, threshold: float, min_kept: float, ignore: int) -> float:
    losses = []
    classes = logits.shape[1]
    flat = logits.movedim(1, -1).reshape(-1, classes).tolist()
    for scores, label in zip(flat, target.flatten().tolist(), strict=True):
        if label != ignore:
            losses.append(-math.log(math.exp(scores[label]) / sum(math.exp(s) for s in scores)))
    hard = [loss for loss in losses if math.exp(-loss) < threshold]
    least = math.ceil(len(losses) * min_kept)
    if len(hard) < least:
        hard = sorted(losses)[-least:]
    return sum(hard) / len(hard) if hard else 0.0


def test_by_hand_only_the_voxels_below_the_threshold_count() -> None:
    loss = ohem_cross_entropy(*logits_of(0.9, 0.4, 0.2, 0.7))
    assert loss.item() == pytest.approx(-(math.log(0.4) + math.log(0.2)) / 2)


def test_by_hand_the_hardest_are_kept_when_too_few_are_below_the_threshold() -> None:
    loss = ohem_cross_entropy(*logits_of(0.9, 0.6, 0.8, 0.7), min_kept=0.5)
    assert loss.item() == pytest.approx(-(math.log(0.6) + math.log(0.7)) / 2)


def test_a_voxel_exactly_at_the_threshold_is_not_hard() -> None:
    logits = torch.zeros(1, 2, 3)  # every probability is exactly 1/2
    logits[0, 1, 0] = 1.0
    loss = ohem_cross_entropy(logits, torch.zeros(1, 3, dtype=torch.int64), threshold=0.5, min_kept=0)
    assert loss.item() == pytest.approx(math.log(1 + math.e))


@pytest.mark.parametrize("shape", [(1, 2, 7), (3, 4, 5, 6), (2, 3, 4, 3, 2)])
@pytest.mark.parametrize(("threshold", "min_kept"), [(0.5, 1 / 16), (0.01, 0.3), (0.9, 0.0), (1.0, 1.0)])
def test_equals_the_voxel_loop(shape: tuple[int, ...], threshold: float, min_kept: float) -> None:
    logits, target = batch(*shape)
    target.view(-1)[::4] = 255
    loss = ohem_cross_entropy(logits, target, threshold, min_kept, ignore_index=255)
    assert loss.item() == pytest.approx(literal(logits, target, threshold, min_kept, 255))


def test_keeping_every_voxel_is_plain_cross_entropy() -> None:
    logits, target = batch(2, 4, 6, 6)
    assert ohem_cross_entropy(logits, target, min_kept=1).item() == pytest.approx(
        F.cross_entropy(logits, target).item()
    )


def test_more_background_that_is_already_right_leaves_the_loss_unchanged() -> None:
    few, many = logits_of(0.3, 0.2, 0.99), logits_of(0.3, 0.2, *[0.99] * 29)
    assert ohem_cross_entropy(*few).item() == pytest.approx(ohem_cross_entropy(*many).item())


def test_is_never_below_plain_cross_entropy() -> None:
    for seed in range(5):
        logits, target = batch(2, 3, 8, 8, seed=seed)
        assert ohem_cross_entropy(logits, target) >= F.cross_entropy(logits, target)


def test_easy_voxels_get_no_gradient() -> None:
    logits, target = logits_of(0.9, 0.4, 0.2, 0.7)
    logits.requires_grad_()
    ohem_cross_entropy(logits, target).backward()
    assert (logits.grad != 0).any(1).tolist() == [[False, True, True, False]]


def test_gradients_equal_finite_differences() -> None:
    logits, target = batch(1, 3, 3, 3)
    assert torch.autograd.gradcheck(lambda x: ohem_cross_entropy(x, target, 0.5, 0.2), logits.requires_grad_())


@pytest.mark.parametrize("case", ["all ignored", "none hard"])
def test_no_voxel_to_keep_gives_zero_with_a_graph(case: str) -> None:
    logits, target = logits_of(0.9, 0.8)
    logits.requires_grad_()
    loss = ohem_cross_entropy(logits, torch.full_like(target, -1) if case == "all ignored" else target, min_kept=0)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_huge_logits_stay_finite_even_in_half_precision() -> None:
    logits = torch.tensor([[[60_000.0, -60_000.0], [-60_000.0, 60_000.0]]], dtype=torch.float16)
    loss = ohem_cross_entropy(logits, torch.tensor([[1, 1]]))
    assert loss.dtype == torch.float32
    assert loss.item() == 120_000  # beyond float16


def test_takes_what_monai_hands_over() -> None:
    logits, target = batch(2, 3, 4, 4)
    loss = ohem_cross_entropy(MetaTensor(logits), MetaTensor(target[:, None].float()))
    assert loss.item() == ohem_cross_entropy(logits, target).item()


def test_the_module_equals_the_function() -> None:
    logits, target = batch(2, 3, 4, 4)
    target[0] = 7
    loss = OhemCrossEntropyLoss(threshold=0.3, min_kept=0.2, ignore_index=7)(logits, target)
    assert torch.equal(loss, ohem_cross_entropy(logits, target, 0.3, 0.2, 7))
    assert loss != ohem_cross_entropy(logits, target, ignore_index=7)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": 0.0}, r"threshold must be a probability in \(0, 1\], got 0.0"),
        ({"threshold": 1.5}, "got 1.5"),
        ({"min_kept": 100_000}, r"min_kept must be a share of the voxels in \[0, 1\], got 100000"),
        ({"min_kept": -0.1}, "got -0.1"),
    ],
)
def test_says_which_setting_is_out_of_range(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ohem_cross_entropy(*batch(1, 2, 3), **arguments)


def test_refuses_a_label_that_is_no_class() -> None:
    with pytest.raises(ValueError, match="target holds the value 2"):
        ohem_cross_entropy(torch.zeros(1, 2, 3), torch.full((1, 3), 2))
