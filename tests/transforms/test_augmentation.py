from __future__ import annotations

from collections import Counter
from typing import Any

import monai.transforms as mt
import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from fewlabel.transforms import SliceAugmentationd


def ramps(height: int, width: int) -> torch.Tensor:
    """A slice whose two channels hold each pixel's row and column."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns]).float()


def kind(result: MetaTensor, height: int, width: int) -> str:
    """Read off the result's geometry what was done."""
    linear = result.affine[:2, :2].numpy() @ np.diag(np.divide(result.shape[1:], (height, width)))
    if np.allclose(linear, np.eye(2)):
        return "as it was"
    return "turned or flipped" if np.isclose(np.abs(linear), 0).sum() == 2 else "rotated"


def draw(augment: SliceAugmentationd, slices: dict[Any, torch.Tensor], count: int) -> list[dict[Any, Any]]:
    return [augment.set_random_state(seed=seed)(slices) for seed in range(count)]


def test_half_is_turned_and_flipped_a_quarter_rotated_and_a_quarter_left() -> None:
    count = 600
    drawn = Counter(kind(s["image"], 6, 6) for s in draw(SliceAugmentationd((6, 6)), {"image": ramps(6, 6)}, count))
    for what, share in {"turned or flipped": 0.5, "rotated": 0.25, "as it was": 0.25}.items():
        # no turn and flip is the identity, so the three can be told apart; four standard deviations
        assert abs(drawn[what] / count - share) < 4 * (share * (1 - share) / count) ** 0.5


def test_all_turns_and_flips_come_equally_often() -> None:
    image = ramps(4, 4)[:1] * 4 + ramps(4, 4)[1:]
    drawn = draw(SliceAugmentationd((4, 4)), {"image": image}, 600)
    seen = Counter(tuple(s["image"].flatten().tolist()) for s in drawn if kind(s["image"], 4, 4) == "turned or flipped")
    # 4 turns times 2 axes give each of the 4 reflections twice, and no pure turn
    reflections = [image.flip(1), image.flip(2), image.rot90(1, (1, 2)).flip(1), image.rot90(1, (1, 2)).flip(2)]
    assert set(seen) == {tuple(r.flatten().tolist()) for r in reflections}
    total = sum(seen.values())
    assert all(abs(n / total - 0.25) < 4 * (0.25 * 0.75 / total) ** 0.5 for n in seen.values())


def test_angles_are_uniform_up_to_the_largest() -> None:
    drawn = draw(SliceAugmentationd((8, 8), angle=20.0, flips=False), {"image": ramps(8, 8)}, 600)
    matrices = np.stack([s["image"].affine.numpy() for s in drawn])
    angles = np.rad2deg(np.arctan2(matrices[:, 1, 0], matrices[:, 0, 0]))
    rotated = angles[np.abs(angles) > 0]
    assert abs(len(rotated) / 600 - 0.75) < 4 * (0.75 * 0.25 / 600) ** 0.5
    assert 19 < np.abs(rotated).max() <= 20
    assert abs(rotated.mean()) < 4 * 20 / 3**0.5 / len(rotated) ** 0.5
    assert abs(rotated.std() - 20 / 3**0.5) < 1


@pytest.mark.parametrize("shape", [(30, 20), (17, 24), (24, 24)])
def test_a_pixel_can_be_followed_back_through_the_affine(shape: tuple[int, int]) -> None:
    # the image holds its own coordinates, and linear interpolation of a linear function is exact away from the border
    for result in draw(SliceAugmentationd((24, 24)), {"image": ramps(*shape)}, 40):
        image = result["image"]
        pixels = np.stack([*np.indices((24, 24)).reshape(2, -1), np.zeros(576), np.ones(576)])
        source = (image.affine.numpy() @ pixels)[:2].reshape(2, 24, 24)
        limits = np.array(shape)[:, None, None] - 1
        inside = ((source >= 0) & (source <= limits)).all(axis=0)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(image.numpy()[:, inside], source[:, inside], atol=1e-4)
        outside = ((source < -1) | (source > limits + 1)).any(axis=0)
        assert (image.numpy()[:, outside] == 0).all()


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("shape", [(30, 20), (11, 13), (61, 47)])
def test_a_label_stays_on_its_image_to_half_a_pixel(shape: tuple[int, int], published: bool) -> None:
    # both hold their coordinates; the label's are those of the nearest pixel
    slices = {"image": ramps(*shape), "label": ramps(*shape)}
    shifts = []
    for result in draw(SliceAugmentationd((24, 24), released_resize=published), slices, 60):
        image, label = result["image"].numpy(), result["label"].numpy()
        inside = (label.sum(0) > 0) & (image.sum(0) > 0)
        margin = np.array(shape)[:, None, None]
        inside &= ((label > 0) & (label < margin - 1)).all(axis=0)
        difference = (image - label)[:, inside]
        assert np.abs(difference).max() <= (0 if published else 0.5 + 1e-3)
        shifts.append(difference.mean(axis=1))
    assert np.abs(np.mean(shifts, axis=0)).max() < 0.06  # and there is no drift to one side


def test_labels_get_no_new_values_and_keep_their_type() -> None:
    label = torch.randint(0, 4, (1, 21, 33), generator=torch.manual_seed(0), dtype=torch.uint8) * 7
    for result in draw(SliceAugmentationd((50, 16)), {"image": torch.rand(1, 21, 33), "label": label}, 40):
        assert result["label"].dtype == torch.uint8
        assert set(result["label"].unique().tolist()) <= {0, 7, 14, 21}


def test_published_resizing_gives_images_no_new_values_either() -> None:
    image = torch.rand(1, 9, 7) + 1
    for result in draw(SliceAugmentationd((20, 20), released_resize=True), {"image": image}, 40):
        assert set(result["image"].unique().tolist()) <= {0.0, *image.unique().tolist()}


def test_without_flips_left_stays_left_and_up_stays_up() -> None:
    for result in draw(SliceAugmentationd((24, 24), flips=False), {"image": ramps(24, 24)}, 200):
        rows, columns = result["image"].numpy()[:, 8:16, 8:16]
        assert (np.diff(columns, axis=1) > 0).all()
        assert (np.diff(rows, axis=0) > 0).all()
    assert np.linalg.det(result["image"].affine[:2, :2]) > 0


@pytest.mark.parametrize("size", [(7, 9), (30, 20), (64, 64)])
def test_an_untouched_slice_is_resized_as_monai_does(size: tuple[int, int]) -> None:
    slices = {"image": torch.rand(1, 30, 20), "label": torch.randint(0, 4, (1, 30, 20)).float()}
    augment = SliceAugmentationd(size, flips=True)
    results = draw(augment, slices, 30)
    left = [s for s in results if kind(s["image"], 30, 20) == "as it was"]
    expected = mt.Resized(["image", "label"], size, mode=["bilinear", "nearest-exact"])(slices)
    assert left
    for result in left:
        torch.testing.assert_close(result["image"].as_tensor(), expected["image"].as_tensor(), atol=1e-5, rtol=0)
        assert torch.equal(result["label"].as_tensor(), expected["label"].as_tensor())
        torch.testing.assert_close(result["image"].affine, expected["image"].affine)


def test_a_rotation_without_resizing_is_monais() -> None:
    image = torch.rand(1, 21, 33)
    for result in draw(SliceAugmentationd((21, 33), flips=False), {"image": image}, 10):
        matrix = result["image"].affine.numpy()
        angle = float(np.arctan2(matrix[1, 0], matrix[0, 0]))
        expected = mt.Rotate(angle, keep_size=True, mode="bilinear", padding_mode="zeros")(image)
        torch.testing.assert_close(result["image"].as_tensor(), expected.as_tensor(), atol=1e-4, rtol=0)


def test_a_geometry_that_a_slice_brings_is_continued() -> None:
    before = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    augment = SliceAugmentationd((5, 5)).set_random_state(3)
    plain = augment({"image": torch.rand(1, 8, 6)})["image"].affine
    augment.set_random_state(3)
    torch.testing.assert_close(
        augment({"image": MetaTensor(torch.rand(1, 8, 6), affine=before)})["image"].affine, before @ plain
    )


def test_the_seed_decides_everything_and_the_input_is_left_alone() -> None:
    slices = {"image": torch.rand(1, 9, 9), "label": torch.rand(1, 9, 9), "case": "anna"}
    before = {key: slices[key].clone() for key in ("image", "label")}  # type: ignore[attr-defined]
    augment = SliceAugmentationd((9, 9))
    first, again = draw(augment, slices, 20), draw(augment, slices, 20)  # type: ignore[arg-type]
    for one, other in zip(first, again, strict=True):
        assert torch.equal(one["image"], other["image"])
        one["image"].zero_()
        assert one["case"] == "anna"
    assert all(torch.equal(slices[key], before[key]) for key in before)  # type: ignore[arg-type]


def test_missing_keys_are_passed_over() -> None:
    augment = SliceAugmentationd((5, 6))
    assert set(augment({"image": torch.rand(1, 8, 8)})) == {"image"}
    assert augment({"case": "anna"}) == {"case": "anna"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (0, 5)}, "size must be two numbers of pixels"),
        ({"size": (5, 5, 5)}, "size must be two numbers of pixels"),
        ({"size": (5, 5), "angle": -1.0}, "angle must be a number of degrees"),
        ({"size": (5, 5), "angle": float("nan")}, "angle must be a number of degrees"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SliceAugmentationd(**settings)


@pytest.mark.parametrize("label", [torch.zeros(1, 8, 9), torch.zeros(8, 8), torch.zeros(1, 8, 8, 3)])
def test_what_is_no_slice_or_does_not_fit_its_image_is_refused(label: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected slices \(C, H, W\), all of one height and width, got .*'label'"):
        SliceAugmentationd((5, 5))({"image": torch.zeros(1, 8, 8), "label": label})
