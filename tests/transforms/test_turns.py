from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest
import torch
from monai.transforms import Compose, RandRotate90d, RandSpatialCropd

from fewlabel.transforms import RandTurnd

KEYS = ("image", "label")


def volumes(*size: int) -> dict[str, torch.Tensor]:
    image = torch.arange(torch.Size(size).numel(), dtype=torch.float32).view(1, *size)
    return {"image": image, "label": image.long()}


def drawn(turn: RandTurnd, size: Sequence[int], number: int = 400) -> list[int | None]:
    """By how many quarters each of many draws has turned; None for anything else."""
    given = volumes(*size)
    ways = [torch.rot90(given["image"], quarters, (1, 2)) for quarters in range(4)]
    turn.set_random_state(seed=0)
    found = []
    for _ in range(number):
        image = torch.as_tensor(turn(given)["image"])
        equal = [k for k, way in enumerate(ways) if way.shape == image.shape and torch.equal(way, image)]
        found.append(equal[0] if equal else None)
    return found


def test_with_equal_sides_it_is_monais_turn_draw_for_draw() -> None:
    ours = RandTurnd(KEYS, (4, 4, 2), (2.0, 2.0, 5.0)).set_random_state(seed=3)
    theirs = RandRotate90d(KEYS, prob=0.75, max_k=3).set_random_state(seed=3)
    for _ in range(30):
        found, expected = ours(volumes(4, 4, 2)), theirs(volumes(4, 4, 2))
        assert torch.equal(found["image"], expected["image"])
        assert torch.equal(found["label"], expected["label"])


@pytest.mark.parametrize(
    ("size", "spacing"), [((6, 4, 2), (1.0, 1.0, 1.0)), ((4, 4, 2), (1.0, 1.5, 1.0)), ((6, 4, 2), (1.0, 1.5, 1.0))]
)
def test_where_sides_or_spacings_differ_half_turns_alone_are_drawn_as_often_as_none(
    size: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    turns = drawn(RandTurnd(KEYS, size, spacing), size)
    assert set(turns) == {0, 2}
    assert turns.count(2) / len(turns) == pytest.approx(0.5, abs=0.06)


def test_with_equal_sides_all_four_are_equally_likely() -> None:
    turns = drawn(RandTurnd(KEYS, (4, 4, 2), (1, 1, 1)), (4, 4, 2))
    assert [turns.count(k) / len(turns) for k in range(4)] == pytest.approx([0.25] * 4, abs=0.06)


def test_patches_of_unequal_sides_make_a_batch() -> None:
    size = (6, 4, 2)
    cut = Compose([RandSpatialCropd(KEYS, size, random_size=False), RandTurnd(KEYS, size, (1, 1, 1))])
    cut.set_random_state(seed=0)
    assert torch.stack([cut(volumes(9, 9, 9))["image"] for _ in range(12)]).shape == (12, 1, *size)


def test_a_label_is_turned_with_its_image_and_a_missing_one_passed_over() -> None:
    turn = RandTurnd(KEYS, (6, 4, 2), (1, 1, 1), prob=1, allow_missing_keys=True).set_random_state(seed=0)
    for _ in range(8):
        found = turn(volumes(6, 4, 2))
        assert torch.equal(found["image"].long(), found["label"])
    assert turn({"image": volumes(6, 4, 2)["image"]}).keys() == {"image"}


@pytest.mark.parametrize(("size", "prob", "lines"), [((6, 4, 2), 0.75, 1), ((6, 4, 2), 0.0, 0), ((4, 4, 2), 0.75, 0)])
def test_the_log_says_once_that_quarter_turns_are_left_out(
    size: tuple[int, int, int], prob: float, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        turn = RandTurnd(KEYS, size, (2, 2, 2), prob)
        for _ in range(5):
            turn(volumes(*size))
    said = [record.getMessage() for record in caplog.records if "180 degrees alone" in record.getMessage()]
    assert len(said) == lines
    assert all("6 x 4 x 2 voxels of 2 x 2 x 2 mm" in line for line in said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4, 4), (1, 1, 1)), r"size must be three positive numbers, one for each axis, got \(4, 4\)"),
        (((4, 4, 2), (1, 0, 1)), r"spacing must be three positive numbers, one for each axis, got \(1, 0, 1\)"),
        (((4, 4, 2), (1, 1, 1), 2), r"prob must be a probability in \[0, 1\], got 2"),
    ],
)
def test_what_describes_no_patch_is_refused(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandTurnd(KEYS, *arguments)
