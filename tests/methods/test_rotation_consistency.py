"""Rotation consistency: one network, and the same unlabeled images turned."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.losses import supervised_loss
from fewlabel.methods import RotationConsistency
from helpers.pixel_networks import make_batch

SEEDS = {0: 0, 1: 1, 2: 3, 3: 5}  # of PyTorch, by the turn that is drawn first; checked below


class Looking(nn.Module):
    """A network that knows up from down, and keeps what it was shown."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(1, 4, 3, padding=1)
        self.shown: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.shown.append(x)
        logits: Tensor = self.layer(x)
        return logits


def oblong(unlabeled: int = 2) -> dict[str, Any]:
    """A batch of images of 8 rows and 6 columns."""
    batch = make_batch(2, unlabeled)
    return {name: half and {key: value[..., 1:7] for key, value in half.items()} for name, half in batch.items()}


def turned_once(maps: Tensor) -> Tensor:
    """Each row, read from the last column to the first, of what were columns: a quarter turn counterclockwise."""
    rows, columns = maps.shape[2:]
    turned = maps.new_zeros(*maps.shape[:2], columns, rows)
    for row in range(columns):
        for column in range(rows):
            turned[:, :, row, column] = maps[:, :, column, columns - 1 - row]
    return turned


def views(network: nn.Module, images: Tensor, turns: int) -> tuple[Tensor, Tensor]:
    """Probabilities of the images, then turned, and of the turned images."""
    upright, turned = network(images).softmax(dim=1), images
    for _ in range(turns):
        upright, turned = turned_once(upright), turned_once(turned)
    return upright, network(turned).softmax(dim=1)


@pytest.mark.parametrize("turns", SEEDS)
def test_value_and_gradient_are_those_of_the_two_stopped_directions_written_out(turns: int) -> None:
    network, batch = Looking(), oblong()
    torch.manual_seed(SEEDS[turns])
    assert int(torch.randint(4, ())) == turns
    torch.manual_seed(SEEDS[turns])
    term = RotationConsistency(network)(batch)["consistency"]
    upright, turned = views(network, batch["unlabeled"]["image"], turns)
    expected = ((upright - turned.detach()) ** 2).mean() / 2 + ((upright.detach() - turned) ** 2).mean() / 2
    torch.testing.assert_close(term, expected)
    assert (term.item() > 1e-6) == (turns > 0)
    parameters = [*network.parameters()]
    found = torch.autograd.grad(term, parameters)
    torch.testing.assert_close(found, torch.autograd.grad(expected, parameters, retain_graph=True))
    # a gradient through both sides of both directions would be twice as large
    both = torch.autograd.grad(((upright - turned) ** 2).mean() / 2, parameters)
    torch.testing.assert_close(found, both)


@pytest.mark.parametrize("turns", SEEDS)
def test_a_network_of_single_pixels_turns_with_the_image_to_the_last_bit(turns: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 3, 1), nn.Tanh(), nn.Conv2d(3, 4, 1))
    torch.manual_seed(SEEDS[turns])
    assert RotationConsistency(network)(oblong())["consistency"].item() == pytest.approx(0, abs=1e-12)


def test_one_turn_of_four_is_drawn_for_all_unlabeled_images_of_a_step() -> None:
    network, batch = Looking(), make_batch(2, 3)
    method = RotationConsistency(network)
    images = batch["unlabeled"]["image"]
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        method(batch)
        (turns,) = [k for k in range(4) if torch.equal(network.shown[-1], torch.rot90(images, k, (2, 3)))]
        seen.add(turns)
        torch.testing.assert_close(network.shown[-2], torch.cat([batch["labeled"]["image"], images]))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("unlabeled", [0, 2])
def test_the_terms_keep_their_names_and_the_supervised_one_sees_the_labeled_images_alone(unlabeled: int) -> None:
    network, batch = Looking(), oblong(unlabeled)
    torch.manual_seed(SEEDS[1])
    terms = RotationConsistency(network)(batch, 0.5)
    assert list(terms) == ["supervised", "consistency"]
    assert (terms["consistency"] == 0) == (unlabeled == 0)
    expected = supervised_loss()(network(batch["labeled"]["image"]), batch["labeled"]["label"])
    torch.testing.assert_close(terms["supervised"], expected)
