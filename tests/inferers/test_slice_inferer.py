from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from monai.data import MetaTensor, decollate_batch
from torch import nn

from fewlabel.inferers import ResizedSliceInferer


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 3, 1)).eval()


def one_by_one(volume: torch.Tensor, network: nn.Module, size: tuple[int, int], axis: int) -> torch.Tensor:
    """Segment volume after volume, slice after slice."""
    results = []
    for image in volume:
        slices = []
        for position in range(image.shape[axis + 1]):
            single = image.select(axis + 1, position)[None]
            small = F.interpolate(single, size, mode="bilinear", align_corners=False)
            slices.append(F.interpolate(network(small), single.shape[2:], mode="bilinear", align_corners=False)[0])
        results.append(torch.stack(slices, dim=axis + 1))
    return torch.stack(results)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
@pytest.mark.parametrize("axis", [0, 1, 2])
@torch.no_grad()
def test_the_result_is_that_of_a_loop_over_slices(network: nn.Module, axis: int, batch_size: int) -> None:
    volume = torch.rand(2, 2, 7, 9, 5)
    result = ResizedSliceInferer((6, 8), slice_axis=axis, batch_size=batch_size)(volume, network)
    torch.testing.assert_close(result, one_by_one(volume, network, (6, 8), axis))


@torch.no_grad()
def test_a_slice_of_the_networks_size_is_not_resized(network: nn.Module) -> None:
    volume = torch.rand(1, 2, 6, 8, 3)
    result = ResizedSliceInferer((6, 8))(volume, network)
    expected = torch.stack([network(volume[..., k]) for k in range(3)], dim=-1)
    torch.testing.assert_close(result, expected)


def nearest(array: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Take the pixel in which the center of each new pixel falls."""
    rows, columns = (
        [int((k + 0.5) * old / new) for k in range(new)] for old, new in zip(array.shape, size, strict=True)
    )
    return array[np.ix_(rows, columns)]


@torch.no_grad()
def test_published_resizing_is_nearest_of_the_image_and_of_the_classes(network: nn.Module) -> None:
    volume = torch.rand(1, 2, 7, 9, 4)
    result = ResizedSliceInferer((5, 11), released_resize=True)(volume, network)[0].argmax(0).numpy()
    for position in range(4):
        small = np.stack([nearest(channel, (5, 11)) for channel in volume[0, ..., position].numpy()])
        classes = network(torch.from_numpy(small)[None])[0].argmax(0).numpy()
        np.testing.assert_array_equal(result[..., position], nearest(classes, (7, 9)))


@pytest.mark.parametrize("published", [False, True])
def test_resizing_moves_nothing_to_one_side(published: bool) -> None:
    # mirrored before or after, the result is the same: plain "nearest" fails here by a pixel. The sizes are odd, so
    # that no center falls between two pixels
    volume = torch.rand(1, 1, 13, 15, 2)
    inferer = ResizedSliceInferer((7, 23), released_resize=published)
    torch.testing.assert_close(inferer(volume.flip(2, 3), nn.Identity()), inferer(volume, nn.Identity()).flip(2, 3))


def test_no_more_slices_than_asked_for_meet_the_network_at_once() -> None:
    seen = []

    def network(slices: torch.Tensor, gain: float, shift: float = 0.0) -> torch.Tensor:
        seen.append((len(slices), gain, shift))
        return slices

    ResizedSliceInferer((4, 4), batch_size=4)(torch.rand(2, 1, 5, 5, 5), network, 2.0, shift=1.0)
    assert seen == [(4, 2.0, 1.0), (1, 2.0, 1.0)] * 2  # a batch never holds slices of two volumes


def test_the_result_keeps_the_files_name_and_geometry() -> None:
    affine = torch.diag(torch.tensor([1.5, 1.5, 10.0, 1.0], dtype=torch.float64))
    items = [MetaTensor(torch.rand(1, 6, 5, 3), affine=affine, meta={"filename_or_obj": f"{n}.nii.gz"}) for n in "ab"]
    from monai.data import list_data_collate

    batch = list_data_collate([{"image": item} for item in items])["image"]
    result = ResizedSliceInferer((8, 8))(batch, nn.Conv2d(1, 4, 1))
    first, second = decollate_batch({"pred": result.detach()})
    assert first["pred"].shape == (4, 6, 5, 3)
    assert [item["pred"].meta["filename_or_obj"] for item in (first, second)] == ["a.nii.gz", "b.nii.gz"]
    assert torch.equal(first["pred"].affine, affine)


def test_half_precision_of_the_network_does_not_reach_the_result() -> None:
    result = ResizedSliceInferer((4, 4))(torch.rand(1, 1, 5, 5, 2), lambda slices: slices.bfloat16())
    assert result.dtype == torch.float32


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": (0, 4)}, "size must be two numbers of pixels"),
        ({"size": (4,)}, "size must be two numbers of pixels"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"slice_axis": 3}, 'slice_axis must be "auto"'),
        ({"slice_axis": -1}, 'slice_axis must be "auto"'),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ResizedSliceInferer(**{"size": (4, 4), **settings})


def test_what_is_no_volume_and_what_gives_no_logits_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected volumes \(B, C, H, W, D\), got a tensor of shape \(1, 4, 4, 4\)"):
        ResizedSliceInferer((4, 4))(torch.rand(1, 4, 4, 4), nn.Identity())
    volume = torch.rand(1, 1, 6, 6, 2)
    with pytest.raises(ValueError, match=r"return logits \(N, K, 4, 4\), got \(2, 1, 2, 2\)"):
        ResizedSliceInferer((4, 4))(volume, nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=r"return logits \(N, K, 4, 4\), got tuple"):
        ResizedSliceInferer((4, 4))(volume, lambda slices: (slices, slices))


@pytest.mark.parametrize("axis", [0, 1, 2])
@torch.no_grad()
def test_the_batches_put_together_are_the_result(network: nn.Module, axis: int) -> None:
    volume, inferer = torch.rand(1, 2, 7, 9, 5), ResizedSliceInferer((6, 8), slice_axis=axis, batch_size=4)
    parts = list(inferer.batches(volume, network))
    number = volume.shape[axis + 2]
    assert [(part.start, part.stop) for part, _ in parts] == [(k, min(k + 4, number)) for k in range(0, number, 4)]
    together = inferer.assemble(torch.cat([logits for _, logits in parts]), volume)
    assert torch.equal(together, inferer(volume, network))


def test_a_batch_is_not_made_before_it_is_asked_for() -> None:
    seen: list[int] = []

    def network(slices: torch.Tensor) -> torch.Tensor:
        seen.append(len(slices))
        return slices

    batches = ResizedSliceInferer((4, 4), batch_size=2).batches(torch.rand(1, 1, 4, 4, 6), network)
    assert seen == []
    next(batches)
    assert seen == [2]


@pytest.mark.parametrize("channels", [1, 2])
def test_a_convolution_on_the_cpu_meets_pixels_with_their_channels_side_by_side(channels: int) -> None:
    seen = []

    def network(slices: torch.Tensor) -> torch.Tensor:
        seen.append(nn.functional.conv2d(slices, torch.ones(3, channels, 1, 1)).stride())
        return slices

    ResizedSliceInferer((4, 5))(torch.rand(1, channels, 6, 6, 2), network)
    assert seen == [(60, 1, 15, 3)]


def test_a_volume_without_slices_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"expected volumes \(B, C, H, W, D\), got a tensor of shape \(1, 1, 4, 4, 0\)"
    ):
        ResizedSliceInferer((4, 4))(torch.rand(1, 1, 4, 4, 0), nn.Identity())
