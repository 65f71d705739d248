from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.inferers import WindowInferer


def network(windows: torch.Tensor) -> torch.Tensor:
    """Two classes; the logits depend on the place in the window, so that overlapping windows disagree."""
    place = torch.linspace(-1, 1, windows[0, 0].numel()).reshape(windows.shape[2:])
    return torch.cat([torch.zeros_like(windows), 2 * windows + place], dim=1)


def literal(volume: torch.Tensor, size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    """The published evaluation: starts stride apart, the last window at the end; probabilities averaged evenly."""
    starts = []
    for side, n, step in zip(volume.shape[1:], size, stride, strict=True):
        count = math.ceil((side - n) / step) + 1
        starts.append([min(k * step, side - n) for k in range(count)])
    total, times = torch.zeros(2, *volume.shape[1:]), torch.zeros(volume.shape[1:])
    for x in starts[0]:
        for y in starts[1]:
            for z in starts[2]:
                at = (slice(x, x + size[0]), slice(y, y + size[1]), slice(z, z + size[2]))
                window = volume[(slice(None), *at)]
                total[(slice(None), *at)] += network(window[None])[0].softmax(0)
                times[at] += 1
    return total / times


@pytest.mark.parametrize("stride", [(3, 3, 2), (1, 2, 4), (6, 5, 4)])
@pytest.mark.parametrize("batch_size", [1, 5])
def test_probabilities_are_the_even_mean_over_the_published_windows(
    stride: tuple[int, int, int], batch_size: int
) -> None:
    volume, size = torch.randn(1, 11, 8, 7), (6, 5, 4)
    found = WindowInferer(size, stride, batch_size=batch_size)(volume[None], network)
    torch.testing.assert_close(found[0].exp(), literal(volume, size, stride))


@pytest.mark.parametrize(("size", "step"), [(112, 18), (80, 4), (96, 16), (112, 112), (7, 3)])
def test_a_stride_is_not_lost_in_rounding(size: int, step: int) -> None:
    starts = []
    volume = torch.arange(size + 4 * step, dtype=torch.float32).expand(1, 1, 1, 1, -1)

    def note(windows: torch.Tensor) -> torch.Tensor:
        starts.append(int(windows[0, 0, 0, 0, 0]))
        return windows

    WindowInferer((1, 1, size), (1, 1, step))(volume, note)
    assert starts == [0, step, 2 * step, 3 * step, 4 * step]


def test_gaussian_blending_trusts_the_middle_of_a_window_more_than_its_border() -> None:
    def first_voxel(windows: torch.Tensor) -> torch.Tensor:
        foreground = torch.full_like(windows, -20.0)
        foreground[..., 0] = 20
        return torch.cat([-foreground, foreground], dim=1)

    volume = torch.zeros(1, 1, 4, 4, 12)
    even, middle = (
        WindowInferer((4, 4, 8), (4, 4, 4), mode=kind)(volume, first_voxel)[0, 1, 2, 2].exp()
        for kind in ("constant", "gaussian")
    )
    # the second window begins at 4, in the middle of the first one, which contradicts it there
    assert even[4].item() == pytest.approx(0.5)
    assert middle[4].item() < 0.2
    assert middle[0].item() == pytest.approx(1)


def test_a_volume_smaller_than_the_window_is_padded_and_cut_back() -> None:
    volume = torch.randn(1, 1, 3, 9, 2)
    shapes = []

    def note(windows: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(windows.shape[2:]))
        return network(windows)

    assert WindowInferer((8, 8, 4))(volume, note).shape == (1, 2, 3, 9, 2)
    assert set(shapes) == {(8, 8, 4)}


def test_the_result_has_the_probabilities_of_the_network_as_logits() -> None:
    found = WindowInferer((4, 4, 4))(torch.randn(2, 1, 6, 6, 6), lambda x: torch.cat([x, 30 * x, -x], 1))
    torch.testing.assert_close(found.softmax(1), found.exp())
    assert torch.isfinite(found).all()


def spaced(volume: torch.Tensor, spacing: float) -> MetaTensor:
    return MetaTensor(volume, affine=torch.diag(torch.tensor([spacing] * 3 + [1.0], dtype=torch.float64)))


def test_the_network_sees_its_own_spacing_and_the_result_lies_on_the_scans_grid() -> None:
    shapes = []

    def note(windows: torch.Tensor) -> torch.Tensor:
        shapes.append(tuple(windows.shape[2:]))
        return network(windows)

    ramp = torch.linspace(-1, 1, 16)[None, None, :, None, None].expand(1, 1, 16, 12, 8)
    found = WindowInferer((8, 6, 4), spacing=(1.25, 1.25, 1.25))(spaced(ramp.contiguous(), 0.625), note)
    assert shapes == [(8, 6, 4)]
    assert found.shape == (1, 2, 16, 12, 8)
    assert isinstance(found, MetaTensor)
    assert found.affine.reshape(-1, 4, 4)[0, 0, 0] == 0.625
    torch.testing.assert_close(found.exp().sum(1).as_subclass(torch.Tensor), torch.ones(1, 16, 12, 8))


def test_a_batch_of_scans_is_resampled_each_by_its_own_affine() -> None:
    volumes = torch.randn(2, 1, 8, 8, 8)
    batch = MetaTensor(volumes, affine=torch.eye(4, dtype=torch.float64).repeat(2, 1, 1))
    inferer = WindowInferer((4, 4, 4), spacing=(2.0, 2.0, 2.0))
    both = inferer(batch, network)
    alone = [inferer(spaced(volume[None], 1.0), network)[0] for volume in volumes]
    torch.testing.assert_close(both.as_subclass(torch.Tensor), torch.stack(alone).as_subclass(torch.Tensor))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"roi_size": (4, 4)}, "roi_size must be three"),
        ({"roi_size": (4, 0, 4)}, "roi_size must be three"),
        ({"stride": (1, 1)}, "stride must be three"),
        ({"stride": (5, 1, 1)}, "stride must be three"),
        ({"stride": (0, 1, 1)}, "stride must be three"),
        ({"mode": "cosine"}, "mode must be"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"spacing": (1, 1)}, "spacing must be three"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowInferer(**{"roi_size": (4, 4, 4), **settings})


def test_what_is_no_volume_or_has_no_affine_is_refused() -> None:
    with pytest.raises(ValueError, match="expected volumes"):
        WindowInferer((4, 4, 4))(torch.zeros(1, 1, 4, 4), network)
    with pytest.raises(ValueError, match="has no affine"):
        WindowInferer((4, 4, 4), spacing=(1, 1, 1))(torch.zeros(1, 1, 4, 4, 4), network)
