from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.sampling import anchors, class_ranks, negatives

YES, NO = torch.tensor([True]), torch.tensor([False])


def pixels(n: int = 200, classes: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    probabilities = (3 * torch.randn(n, classes, generator=generator)).softmax(1)
    labeled = torch.rand(n, generator=generator) < 0.5
    truth = torch.randint(classes, (n,), generator=generator)
    labels = torch.where(labeled, truth, probabilities.argmax(1))
    return probabilities, labels, labeled, torch.rand(n, generator=generator) < 0.6


def rank(row: list[float], c: int) -> int:
    """How many classes come before c: the likelier ones, and equal ones of a lower index."""
    return sum(p > row[c] or (p == row[c] and k < c) for k, p in enumerate(row))


def test_ranks_count_the_classes_that_come_before() -> None:
    probabilities = pixels()[0]
    expected = [[rank(row, c) for c in range(4)] for row in probabilities.tolist()]
    assert class_ranks(probabilities).tolist() == expected


def test_ranks_are_the_inverse_of_the_order_not_the_order() -> None:
    row = torch.tensor([[0.2, 0.5, 0.3]])  # the order of the classes is 1, 2, 0; their places are 2, 0, 1
    assert row.argsort(descending=True).tolist() == [[1, 2, 0]]
    assert class_ranks(row).tolist() == [[2, 0, 1]]


def test_equal_classes_rank_by_their_index() -> None:
    assert class_ranks(torch.tensor([[0.25, 0.25, 0.25, 0.25], [0.3, 0.2, 0.2, 0.3]])).tolist() == [
        [0, 1, 2, 3],
        [0, 2, 3, 1],
    ]


@pytest.mark.parametrize("threshold", [0.5, 0.9])
def test_anchors_are_equations_5_2_and_5_3_pixel_by_pixel(threshold: float) -> None:
    probabilities, labels, labeled, certain = pixels()
    chosen = anchors(probabilities, labels, labeled=labeled, certain=certain, threshold=threshold)
    for i, row in enumerate(probabilities.tolist()):
        for c in range(4):
            confident = labels[i] == c and max(row) > threshold
            assert chosen[i, c] == bool(confident if labeled[i] else confident and certain[i])


def test_without_a_test_of_certainty_anchors_are_equation_6_3() -> None:
    probabilities, labels, _, _ = pixels()
    chosen = anchors(probabilities, labels, threshold=0.5)
    assert torch.equal(chosen.any(1), probabilities.amax(1) > 0.5)
    assert torch.equal(chosen.int().argmax(1)[chosen.any(1)], labels[chosen.any(1)])


def test_a_probability_at_the_threshold_is_not_enough() -> None:
    half = torch.tensor([[0.5, 0.5]])
    assert not anchors(half, torch.tensor([0]), threshold=0.5).any()
    assert anchors(half, torch.tensor([0]), threshold=0.49).tolist() == [[True, False]]


def test_an_anchor_s_class_is_its_label_even_against_the_prediction() -> None:
    sure_of_zero = torch.tensor([[0.95, 0.05]])
    assert anchors(sure_of_zero, torch.tensor([1]), labeled=YES, certain=NO).tolist() == [[False, True]]


@pytest.mark.parametrize(("certain_rank", "uncertain_rank"), [(1, 2), (1, 4), (2, 2), (2, 3)])
def test_negatives_are_equations_5_5_and_5_6_pixel_by_pixel(certain_rank: int, uncertain_rank: int) -> None:
    probabilities, labels, labeled, certain = pixels()
    chosen = negatives(
        probabilities,
        labels,
        labeled=labeled,
        certain=certain,
        certain_rank=certain_rank,
        uncertain_rank=uncertain_rank,
    )
    for i, row in enumerate(probabilities.tolist()):
        for c in range(4):
            if labeled[i]:
                expected = labels[i] != c and rank(row, c) < certain_rank
            elif certain[i]:
                expected = rank(row, c) >= certain_rank
            else:
                expected = rank(row, c) >= uncertain_rank
            assert chosen[i, c] == bool(expected)


def test_a_labeled_pixel_is_a_negative_only_of_the_class_it_is_mistaken_for() -> None:
    taken_for_two = torch.tensor([[0.1, 0.2, 0.7]])
    assert negatives(taken_for_two, torch.tensor([0]), labeled=YES, certain=YES).tolist() == [[False, False, True]]
    assert not negatives(taken_for_two, torch.tensor([2]), labeled=YES, certain=YES).any()


def test_no_pixel_is_a_negative_of_its_own_class_whatever_its_label() -> None:
    probabilities, _, labeled, certain = pixels()
    for c in range(4):
        labels = torch.full((200,), c)  # pseudo-labels that are not the argmax, from a registration for instance
        assert not negatives(probabilities, labels, labeled=labeled, certain=certain)[:, c].any()


def test_certain_unlabeled_pixels_are_negatives_of_every_other_class() -> None:
    probabilities = pixels()[0]
    none, every = torch.zeros(200, dtype=torch.bool), torch.ones(200, dtype=torch.bool)
    chosen = negatives(probabilities, probabilities.argmax(1), labeled=none, certain=every)
    assert (chosen.sum(1) == 3).all()


def test_the_highest_rank_leaves_uncertain_pixels_out() -> None:
    probabilities = pixels()[0]
    none = torch.zeros(200, dtype=torch.bool)
    assert not negatives(probabilities, probabilities.argmax(1), labeled=none, certain=none, uncertain_rank=4).any()


def test_a_batch_without_pixels_selects_nothing() -> None:
    empty, labels, no = torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.bool)
    assert anchors(empty, labels, certain=no).shape == (0, 4)
    assert negatives(empty, labels, labeled=no, certain=no).shape == (0, 4)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probabilities": torch.rand(200, 4, 1)}, r"floating point of shape \(n, K\).*movedim"),
        ({"labels": torch.zeros(199, dtype=torch.int64)}, r"labels must be 200 integers of shape \(200,\)"),
        ({"labels": torch.zeros(200)}, "labels must be 200 integers.*got torch.float32"),
        ({"labels": torch.full((200,), 4)}, r"labels hold 4, expected 0 \.\. 3"),
        ({"labels": torch.full((200,), -100)}, "labels hold -100"),
        ({"labeled": torch.zeros(1, dtype=torch.bool)}, r"labeled must be bool of shape \(200,\)"),
        ({"certain": torch.zeros(200)}, "certain must be bool of shape.*got torch.float32"),
    ],
)
def test_both_say_what_is_wrong_with_their_input(changed: dict[str, Tensor], message: str) -> None:
    arguments: dict[str, Any] = dict(
        zip(("probabilities", "labels", "labeled", "certain"), pixels(), strict=True), **changed
    )
    for select in (anchors, negatives):
        with pytest.raises(ValueError, match=message):
            select(**arguments)


@pytest.mark.parametrize(("certain_rank", "uncertain_rank"), [(0, 2), (3, 2), (1, 5)])
def test_ranks_out_of_order_are_refused(certain_rank: int, uncertain_rank: int) -> None:
    probabilities, labels, labeled, certain = pixels()
    with pytest.raises(
        ValueError,
        match=rf"certain_rank <= uncertain_rank <= 4.*certain_rank={certain_rank}, uncertain_rank={uncertain_rank}",
    ):
        negatives(
            probabilities,
            labels,
            labeled=labeled,
            certain=certain,
            certain_rank=certain_rank,
            uncertain_rank=uncertain_rank,
        )
