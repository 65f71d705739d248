from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from fewlabel.networks.vclipseg.fixed_vectors import orthonormal, stand_in


@pytest.mark.parametrize(("number", "channels"), [(2, 512), (4, 512), (14, 15)])
@pytest.mark.parametrize(("cosine", "length"), [(0.85, 10.0), (0.0, 1.0), (0.5, 3.0)])
def test_stand_ins_have_the_stated_length_and_any_two_the_stated_cosine(
    number: int, channels: int, cosine: float, length: float
) -> None:
    vectors = stand_in(number, channels, cosine, length)

    assert vectors.shape == (number, channels)
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((number,), length))
    unit = F.normalize(vectors, dim=1)
    expected = torch.full((number, number), cosine).fill_diagonal_(1.0)
    torch.testing.assert_close(unit @ unit.T, expected, atol=1e-5, rtol=0)


def test_by_default_they_lie_as_clips_vectors_do() -> None:
    first, second = stand_in(2, 512)
    assert 0.8 <= F.cosine_similarity(first, second, dim=0) <= 0.9
    assert first.norm().item() == pytest.approx(10, abs=1e-4)


def test_they_are_always_the_same() -> None:
    torch.manual_seed(0)
    first = stand_in(3, 16)
    torch.manual_seed(1)
    assert torch.equal(stand_in(3, 16), first)


def test_orthonormal_vectors_are_of_length_one_at_right_angles_and_always_the_same() -> None:
    torch.testing.assert_close(orthonormal(4, 8) @ orthonormal(4, 8).T, torch.eye(4))
    assert torch.equal(orthonormal(4, 8), orthonormal(4, 8))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": 2}, "2 classes need at least 3 channels of text, got 2"),
        ({"cosine": 1.0}, r"cosine .* in \[0, 1\), got 1.0"),
        ({"cosine": -0.1}, r"in \[0, 1\), got -0.1"),
        ({"length": 0.0}, "length .* above 0, got 0.0"),
        ({"length": float("nan")}, "length .* above 0, got nan"),
    ],
)
def test_what_no_vectors_can_have_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stand_in(**{"number": 2, "channels": 8, **arguments})


def test_too_few_channels_for_right_angles_are_refused() -> None:
    with pytest.raises(ValueError, match="2 classes need at least as many channels of text, got 1"):
        orthonormal(2, 1)
