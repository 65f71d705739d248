from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor
from torch import Tensor

from fewlabel.sampling import SliceGeometry, map_to_slice
from fewlabel.transforms import slice_augmentation

OBLIQUE = torch.tensor([[-1.2, 0.1, 0.5, 40.0], [0.2, 1.4, -0.7, -30.0], [0.0, 0.3, 8.0, 5.0], [0.0, 0.0, 0.0, 1.0]])


def coordinates(rows: int, columns: int) -> Tensor:
    """A slice (2, H, W) whose pixels hold their own row and column."""
    return torch.stack(torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")).float()


def pixels_of(height: int, width: int) -> Tensor:
    return torch.cartesian_prod(torch.arange(height), torch.arange(width))


@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize(("name", "options"), [("published", {"flips": True}), ("published", {}), ("strong", {})])
def test_a_pixel_of_a_map_is_followed_to_its_slice_through_every_augmentation(
    name: str, options: dict[str, Any], stride: int
) -> None:
    augment = slice_augmentation(name, (64, 64), **{"flips": False, **options})
    for seed in range(12):
        image = coordinates(90, 70) + 1  # 0 is outside
        where = augment.set_random_state(seed=seed)({"image": image})
        # the geometry alone, of an image whose intensities are left alone
        seen = _resampled(where["image"], image)
        pooled = F.avg_pool2d(seen[None], stride)[0]
        matrix = map_to_slice(where["image"].affine, stride)
        pixels = pixels_of(*pooled.shape[1:])
        found = pixels.double() @ matrix[:2, :2].T + matrix[:2, 2]
        whole = F.avg_pool2d(_resampled(where["image"], torch.ones(1, 90, 70))[None], stride)[0, 0] > 0.999
        expected = pooled.flatten(1).T - 1

        assert whole.any()
        torch.testing.assert_close(found[whole.flatten()], expected[whole.flatten()].double(), atol=0.05, rtol=0)


def _resampled(augmented: MetaTensor, image: Tensor) -> Tensor:
    """The image on the augmented slice's grid, by the affine that it carries."""
    affine = augmented.affine.double()
    pixels = pixels_of(*augmented.shape[1:]).double()
    places = pixels @ affine[:2, :2].T + affine[:2, 3]
    size = torch.tensor(image.shape[1:], dtype=torch.float64)
    grid = ((2 * places + 1) / size - 1).flip(1).view(1, *augmented.shape[1:], 2)
    return F.grid_sample(image[None].double(), grid, padding_mode="zeros", align_corners=False)[0].float()


@pytest.mark.parametrize("name", ["published", "strong"])
def test_the_affine_of_an_augmented_slice_is_where_its_pixels_were_taken_from(name: str) -> None:
    augment = slice_augmentation(name, (64, 64), flips=name == "published")
    for seed in range(12):
        # a label map that is smooth enough to tell a pixel from its neighbors: bands of rows, and of columns
        bands = coordinates(90, 70)
        label = (bands[:1] // 3 % 2 + 2 * (bands[1:] // 3 % 2)).long() + 1
        out = augment.set_random_state(seed=seed)({"image": torch.rand(1, 90, 70), "label": label})
        affine = out["label"].affine
        pixels = pixels_of(64, 64)
        places = (pixels.double() @ affine[:2, :2].T + affine[:2, 3]).round().long()
        inside = ((places > 0) & (places < torch.tensor([89, 69]))).all(dim=1)
        taken = label[0, places[inside, 0], places[inside, 1]]
        same = (taken == out["label"][0].flatten()[inside]).float().mean()

        assert same > 0.97  # the rest lies on the border between two pixels


def test_points_come_back_to_the_slice_and_pixel_they_were_of() -> None:
    geometry = SliceGeometry({"a": OBLIQUE, "b": torch.diag(torch.tensor([1.0, 2.0, 4.0, 1.0]))})
    pixels = torch.tensor([[3.25, 7.5], [0.0, 100.0]])
    points = geometry.to_millimeters("a", 5, pixels)
    by_hand = torch.cat([pixels, torch.tensor([[5.0, 1.0]] * 2)], dim=1) @ OBLIQUE.T
    numbers, places = geometry.to_slices("a", points)

    torch.testing.assert_close(points.float(), by_hand[:, :3])
    assert numbers.tolist() == [5, 5]
    torch.testing.assert_close(places.float(), pixels)
    assert geometry.to_slices("b", torch.tensor([[1.0, 2.0, 5.9]]))[0].tolist() == [1]
    with pytest.raises(ValueError, match="the geometry of 'c' is not known"):
        geometry.to_slices("c", points)


def test_an_affine_without_an_inverse_is_refused() -> None:
    with pytest.raises(ValueError, match="the affine of 'flat' must be an invertible"):
        SliceGeometry({"flat": torch.diag(torch.tensor([1.0, 1.0, 0.0, 1.0]))})
