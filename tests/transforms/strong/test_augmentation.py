from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Resize

from fewlabel.conventions.labels import IGNORED
from fewlabel.transforms import Strengths, StrongPatchAugmentationd, StrongSliceAugmentationd

STILL: dict[str, Any] = {"angle": 0.0, "scale": (1, 1), "shift": 0.0}
PLAIN: dict[str, Any] = {"tone_prob": 0.0, "sharpness_prob": 0.0}
KINDS = pytest.mark.parametrize(
    ("kind", "native", "size"),
    [
        (StrongSliceAugmentationd, (30, 20), (24, 24)),
        (StrongSliceAugmentationd, (17, 24), (32, 16)),
        (StrongPatchAugmentationd, (20, 16, 12), (10, 12, 8)),
        (StrongPatchAugmentationd, (9, 20, 6), (12, 12, 8)),
    ],
)
Kind = type[StrongSliceAugmentationd] | type[StrongPatchAugmentationd]


def coordinates(native: tuple[int, ...]) -> torch.Tensor:
    """An image with a channel for each axis, which holds where a pixel lies."""
    return torch.stack(torch.meshgrid(*map(torch.arange, native), indexing="ij")).float()


def draw(augment: Any, item: dict[Any, Any], count: int) -> list[dict[Any, Any]]:
    return [augment.set_random_state(seed=seed)(item) for seed in range(count)]


@KINDS
def test_a_pixel_can_be_followed_back_through_the_affine(
    kind: Kind, native: tuple[int, ...], size: tuple[int, ...]
) -> None:
    axes = len(native)
    augment = kind(size, flips=True, strengths=Strengths(**PLAIN))
    for result in draw(augment, {"image": coordinates(native), "label": coordinates(native)}, 30):
        image, label = result["image"], result["label"]
        count = int(np.prod(size))
        pixels = np.zeros((4, count))
        pixels[:axes], pixels[3] = np.indices(size).reshape(axes, -1), 1
        source = (image.affine.numpy() @ pixels)[:axes].reshape(axes, *size)
        limits = (np.array(native) - 1).reshape(-1, *[1] * axes)
        inside = ((source >= 0) & (source <= limits)).all(axis=0)
        assert inside.any()
        np.testing.assert_allclose(image.numpy()[:, inside], source[:, inside], atol=1e-4)
        assert np.abs(label.numpy() - source)[:, inside].max() <= 0.5 + 1e-4
        outside = ((source < -1) | (source > limits + 1)).any(axis=0)
        assert (image.numpy()[:, outside] == 0).all()
        torch.testing.assert_close(label.affine, image.affine)


@KINDS
def test_labels_get_no_new_values_and_voxels_without_an_annotation_stay_so(
    kind: Kind, native: tuple[int, ...], size: tuple[int, ...]
) -> None:
    values = torch.tensor([IGNORED, 0, 3, 7], dtype=torch.int16)
    label = values[torch.randint(4, (1, *native), generator=torch.manual_seed(0))]
    seen = set()
    for result in draw(kind(size), {"image": torch.rand(1, *native), "label": label}, 20):
        assert result["label"].dtype == torch.int16
        seen |= set(result["label"].unique().tolist())
    assert seen == {IGNORED, 0, 3, 7}


@KINDS
def test_the_seed_decides_everything_and_the_input_is_left_alone(
    kind: Kind, native: tuple[int, ...], size: tuple[int, ...]
) -> None:
    item = {"image": torch.rand(2, *native), "label": torch.rand(1, *native), "case": "anna"}
    before = {key: item[key].clone() for key in ("image", "label")}  # type: ignore[attr-defined]
    first, again = draw(kind(size), item, 15), draw(kind(size), item, 15)[::-1]
    for one, other in zip(first, again[::-1], strict=True):
        assert all(torch.equal(one[key], other[key]) for key in before)
        assert one["image"].shape == (2, *size)
        assert one["case"] == "anna"
    assert len({float(one["image"].sum()) for one in first}) == 15
    assert all(torch.equal(item[key], before[key]) for key in before)  # type: ignore[arg-type]


def test_a_slice_that_nothing_happens_to_is_resized_as_monai_does() -> None:
    image = torch.rand(1, 30, 20)
    augment = StrongSliceAugmentationd((32, 40), strengths=Strengths(**STILL, **PLAIN))
    expected = Resize((32, 40), mode="bilinear", align_corners=False)(image)
    inner = (slice(None), slice(1, -1), slice(2, -2))  # at the border MONAI repeats pixels, here zeros begin
    torch.testing.assert_close(augment({"image": image})["image"][inner], expected.as_tensor()[inner])


def test_a_patch_that_nothing_happens_to_is_a_piece_of_the_volume_and_all_places_come_up() -> None:
    volume = torch.arange(7 * 6 * 4).float().view(1, 7, 6, 4)
    augment = StrongPatchAugmentationd((4, 4, 4), strengths=Strengths(**STILL, **PLAIN))
    places = set()
    for result in draw(augment, {"image": volume}, 100):
        x, y, z = result["image"].affine[:3, 3].int().tolist()
        torch.testing.assert_close(result["image"].as_tensor(), volume[:, x : x + 4, y : y + 4, z : z + 4])
        places.add((x, y, z))
    assert places == {(x, y, 0) for x in range(4) for y in range(3)}


@pytest.mark.parametrize("length", [3, 4])
def test_a_patch_that_is_longer_than_the_volume_has_it_in_its_middle(length: int) -> None:
    augment = StrongPatchAugmentationd((8, 8, 8), strengths=Strengths(**STILL, **PLAIN))
    result = augment({"image": torch.ones(1, length, 8, 8)})["image"][0, :, 0, 0]
    first = int(result.nonzero()[0])
    assert result.sum() == length
    assert abs(first - (8 - length - first)) <= 1


def test_without_scale_and_rotation_a_patch_is_shifted_by_whole_voxels() -> None:
    volume = torch.rand(1, 30, 30, 30)
    augment = StrongPatchAugmentationd((20, 20, 20), strengths=Strengths(**{**STILL, "shift": 0.2}, **PLAIN))
    starts = np.stack([one["image"].affine[:3, 3].numpy() for one in draw(augment, {"image": volume}, 50)])
    np.testing.assert_array_equal(starts, np.round(starts))
    assert starts.min() < 0  # as far as 4 voxels beyond the volume
    assert starts.max() > 10


def test_shifts_are_fractions_of_the_slice() -> None:
    augment = StrongSliceAugmentationd((10, 10), strengths=Strengths(**{**STILL, "shift": 0.06}, **PLAIN))
    found = draw(augment, {"image": torch.rand(1, 200, 100)}, 200)
    starts = np.stack([one["image"].affine[:2, 3].numpy() for one in found]) - (9.5, 4.5)  # centers of the first pixels
    np.testing.assert_allclose(np.abs(starts).max(axis=0), (12, 6), atol=0.5)


@pytest.mark.parametrize("flips", [False, True])
def test_nothing_is_mirrored_unless_asked_for(flips: bool) -> None:
    for augment, native in (
        (StrongSliceAugmentationd((8, 8), flips=flips), (9, 9)),
        (StrongPatchAugmentationd((8, 8, 8), flips=flips), (9, 9, 9)),
    ):
        found = draw(augment, {"image": torch.rand(1, *native)}, 40)
        determinants = np.linalg.det(np.stack([one["image"].affine.numpy() for one in found]))
        assert (determinants < 0).any() == flips
        assert (determinants > 0).any()


def test_a_geometry_that_a_slice_brings_is_continued() -> None:
    before = torch.diag(torch.tensor([2.0, 3.0, 1.0, 1.0], dtype=torch.float64))
    augment = StrongSliceAugmentationd((5, 5)).set_random_state(3)
    plain = augment({"image": torch.rand(1, 8, 6)})["image"].affine
    augment.set_random_state(3)
    after = augment({"image": MetaTensor(torch.rand(1, 8, 6), affine=before)})["image"].affine
    torch.testing.assert_close(after, before @ plain)


def test_the_label_knows_nothing_of_noise() -> None:
    augment = StrongSliceAugmentationd((8, 8), strengths=Strengths(**STILL, tone_prob=1.0, sharpness_prob=1.0))
    given = torch.rand(1, 8, 8)
    result = augment({"image": given, "label": given})
    torch.testing.assert_close(result["label"].as_tensor(), given)
    assert not torch.allclose(result["image"].as_tensor(), given, atol=0.01)


def test_missing_keys_are_passed_over() -> None:
    augment = StrongSliceAugmentationd((5, 6))
    assert set(augment({"image": torch.rand(1, 8, 8)})) == {"image"}
    assert augment({"case": "anna"}) == {"case": "anna"}


@pytest.mark.parametrize("label", [torch.zeros(1, 8, 9), torch.zeros(8, 8), torch.zeros(1, 8, 8, 3)])
def test_what_is_no_slice_or_does_not_fit_its_image_is_refused(label: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected slices \(C, H, W\), all of one shape, got .*'label'"):
        StrongSliceAugmentationd((5, 5))({"image": torch.zeros(1, 8, 8), "label": label})


@pytest.mark.parametrize(
    ("kind", "size"), [(StrongSliceAugmentationd, (5, 5, 5)), (StrongPatchAugmentationd, (5, 0, 5))]
)
def test_a_size_that_does_not_fit_is_refused(kind: Kind, size: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"size must be [23] numbers of pixels"):
        kind(size)
