from __future__ import annotations

import pytest
import torch
from torch import nn

from fewlabel.losses import foreground_dice_loss, supervised_loss
from fewlabel.methods import MutualConsistency, Supervised


def batch() -> dict[str, dict[str, torch.Tensor] | None]:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(2, 1, 4, 4, 4, generator=generator)
    return {
        "labeled": {"image": image, "label": torch.randint(2, (2, 1, 4, 4, 4), generator=generator)},
        "unlabeled": None,
    }


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv3d(1, 2, 1)


@pytest.mark.parametrize(
    ("loss", "expected"), [("dice_ce", supervised_loss), ("foreground_dice", foreground_dice_loss)]
)
def test_the_loss_is_the_one_asked_for(loss, expected):
    given = batch()
    term = Supervised(network(), loss)(given)["supervised"]
    torch.testing.assert_close(term, expected()(network()(given["labeled"]["image"]), given["labeled"]["label"]))


def test_by_default_it_is_that_of_the_studies_on_slices():
    assert Supervised(network())(batch()) == Supervised(network(), "dice_ce")(batch())


class Twice(nn.Module):
    """One network as both decoders of MC-Net."""

    def __init__(self) -> None:
        super().__init__()
        self.one = network()

    def outputs(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [self.one(x), self.one(x)]


def test_the_foregrounds_dice_is_what_mc_net_with_its_half_learns_from_labels():
    twice = 0.5 * MutualConsistency(Twice())(batch())["supervised"]
    torch.testing.assert_close(Supervised(network(), "foreground_dice")(batch())["supervised"], twice)


def test_an_unknown_loss_is_refused():
    with pytest.raises(ValueError, match=r"loss must be one of \('dice_ce', 'foreground_dice'\), got 'dice'"):
        Supervised(network(), "dice")
