from __future__ import annotations

import torch

from fewlabel.losses.similarity import cosine_logits, unit_vectors


def test_rows_become_unit_vectors_of_the_same_direction() -> None:
    assert torch.equal(unit_vectors(torch.tensor([[3.0, 4.0], [0.0, -2.0]])), torch.tensor([[0.6, 0.8], [0.0, -1.0]]))


def test_a_zero_row_stays_zero_and_gets_no_gradient() -> None:
    vectors = torch.tensor([[0.0, 0.0], [3.0, 4.0]], requires_grad=True)
    (unit_vectors(vectors) * torch.tensor([1.0, 2.0])).sum().backward()
    assert torch.equal(vectors.grad[0], torch.zeros(2))
    # d/dx of (x + 2y) / |(x, y)| at (3, 4) is (y^2 - 2xy) / 125 = -8/125, and by y (2x^2 - xy) / 125 = 6/125.
    torch.testing.assert_close(vectors.grad[1], torch.tensor([-8 / 125, 6 / 125]))


def test_logits_are_cosines_over_the_temperature() -> None:
    rows, columns = torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 1.0], [-3.0, 0.0], [0.0, 5.0]])
    torch.testing.assert_close(cosine_logits(rows, columns, 0.5), torch.tensor([[2**0.5, -2.0, 0.0]]))


def test_very_long_vectors_do_not_overflow_in_half_precision() -> None:
    long = torch.full((1, 64), 60_000.0, dtype=torch.float16)  # squares and sums leave float16 here
    torch.testing.assert_close(cosine_logits(long, long, 0.1), torch.tensor([[10.0]]))
