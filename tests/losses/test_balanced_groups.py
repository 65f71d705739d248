from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from fewlabel.losses import balanced_groups


def losses_and_gradient(features: Tensor, labels: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    inputs = features.clone().requires_grad_()
    losses, _ = balanced_groups.group_losses(inputs, labels, temperature, ignore_index=None)
    weights = torch.linspace(1.0, 2.0, len(losses), dtype=losses.dtype)
    return losses.detach(), torch.autograd.grad(losses @ weights, inputs)[0]


@pytest.fixture
def features() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return F.normalize(torch.randn(3, 300, 6, dtype=torch.float64, generator=generator), dim=-1)


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(4, (3, 300), generator=torch.Generator().manual_seed(1))


# 300 pixels make tiles of 64 rows: 19200, 15104, 11008, 6912 and 2816 elements. Memory for the last alone, for the
# first alone, for two, and for all of a group, at once.
@pytest.mark.parametrize("elements", [3_000, 20_000, 35_000, 100_000])
def test_tiles_beyond_the_memory_limit_are_computed_again(
    features: Tensor, labels: Tensor, elements: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = losses_and_gradient(features, labels, 0.1)
    monkeypatch.setattr(balanced_groups, "_max_elements", lambda features: elements)
    assert [part.stop for part in balanced_groups._parts(features)] == [1, 2, 3]
    assert len(list(balanced_groups._tiles(features[:1]))) == 5
    torch.testing.assert_close(losses_and_gradient(features, labels, 0.1), whole)


@pytest.mark.parametrize("temperature", [0.03, 1.0])
def test_half_the_matrix_and_whole_rows_give_the_same(
    features: Tensor, labels: Tensor, temperature: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    halves = losses_and_gradient(features, labels, temperature)
    monkeypatch.setattr(balanced_groups, "SAFE_EXPONENT", 0.0)
    torch.testing.assert_close(losses_and_gradient(features, labels, temperature), halves)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_float32_holds_the_largest_similarity_that_needs_no_shift(sign: float) -> None:
    direction = torch.tensor([1.0, 0.0], dtype=torch.float64)
    features = torch.stack([direction, sign * direction, sign * direction, direction]).expand(1, 4, 2)
    labels = torch.tensor([[0, 0, 1, 1]])
    temperature = 1 / balanced_groups.SAFE_EXPONENT
    exact = losses_and_gradient(features, labels, temperature)
    single = losses_and_gradient(features.float(), labels, temperature)
    torch.testing.assert_close([value.double() for value in single], list(exact), rtol=1e-5, atol=1e-5)


def test_gradients_are_not_computed_when_nobody_asks(features: Tensor, labels: Tensor) -> None:
    with torch.no_grad():
        losses, anchors = balanced_groups.group_losses(features.requires_grad_(), labels, 0.1, ignore_index=None)
    assert losses.grad_fn is None
    assert anchors.all()
    torch.testing.assert_close(losses, losses_and_gradient(features.detach(), labels, 0.1)[0])


def test_classes_are_numbered_by_group_in_the_order_of_their_labels() -> None:
    classes, counts = balanced_groups.class_ids(torch.tensor([[7, -2, 7, 300], [5, 5, 5, 5]]))
    assert classes.tolist() == [[1, 0, 1, 2], [0, 0, 0, 0]]
    assert counts.tolist() == [[2, 1, 2, 1], [4, 4, 4, 4]]
