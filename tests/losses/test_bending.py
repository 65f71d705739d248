from __future__ import annotations

import warnings

import pytest
import torch
from monai.losses import BendingEnergyLoss

from fewlabel.losses import bending_energy


def test_affine_fields_do_not_bend() -> None:
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(9.0), indexing="ij")
    field = torch.stack([0.5 * rows - 0.25 * columns + 3, 0.75 * columns + 0.5 * rows])[None]
    assert float(bending_energy(field)) == pytest.approx(0, abs=1e-6)


def test_it_is_monais_loss_in_units_of_the_image() -> None:
    torch.manual_seed(0)
    field = torch.randn(2, 2, 6, 9, dtype=torch.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its indexing
        expected = BendingEnergyLoss(normalize=True)(field)
    torch.testing.assert_close(bending_energy(field), expected)


def test_the_same_field_at_twice_the_resolution_bends_as_much() -> None:
    def wave(side: int) -> torch.Tensor:
        y = (torch.arange(side, dtype=torch.float64) + 0.5) / side
        return side * 0.1 * torch.sin(2 * torch.pi * (y[:, None] + 2 * y)).expand(1, 2, side, side)

    energies = [float(bending_energy(wave(side))) for side in (64, 128)]
    assert energies[1] == pytest.approx(energies[0], rel=0.05)


@pytest.mark.parametrize("shape", [(1, 3, 4, 4), (2, 4, 4), (1, 2, 2, 4)])
def test_what_is_no_field_of_slices_is_an_error(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a displacement \(B, 2, H, W\) of at least 3 x 3 pixels"):
        bending_energy(torch.zeros(shape))
