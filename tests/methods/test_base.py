from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from fewlabel.losses import hard_labels, pseudo_label_loss, supervised_loss
from fewlabel.methods import MCSC, CrossTeaching, Supervised
from fewlabel.methods.base import labeled_part, unlabeled_images
from fewlabel.networks import Averaged
from helpers.pixel_networks import PixelNetwork, make_batch


def published_dice(probabilities: torch.Tensor, label: torch.Tensor) -> float:
    """Dice loss of SSL4MIS, pixel by pixel."""
    classes, losses = probabilities.shape[1], []
    for c in range(classes):
        p = [float(v) for v in probabilities[:, c].flatten()]
        g = [float(v == c) for v in label.flatten()]
        overlap, p2, g2 = (sum(a * b for a, b in zip(u, v, strict=True)) for u, v in ((p, g), (p, p), (g, g)))
        losses.append(1 - (2 * overlap + 1e-5) / (p2 + g2 + 1e-5))
    return sum(losses) / classes


def test_the_pseudo_label_loss_is_the_published_dice_over_the_whole_batch() -> None:
    logits, label = torch.randn(3, 4, 5, 5), torch.randint(4, (3, 1, 5, 5))

    assert float(pseudo_label_loss()(logits, label)) == pytest.approx(
        published_dice(logits.softmax(1), label), abs=1e-5
    )


def test_the_supervised_loss_is_half_cross_entropy_and_half_dice() -> None:
    logits, label = torch.randn(2, 3, 5, 5), torch.randint(3, (2, 1, 5, 5))
    probabilities = logits.softmax(1)
    own = probabilities.gather(1, label).flatten().tolist()
    entropy = sum(-math.log(p) for p in own) / len(own)

    expected = 0.5 * entropy + 0.5 * published_dice(probabilities, label)
    assert float(supervised_loss()(logits, label)) == pytest.approx(expected, abs=1e-5)


def test_hard_labels_are_the_most_probable_classes_without_a_gradient() -> None:
    logits = torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]], [[-1.0, 4.0]]]], requires_grad=True)

    labels = hard_labels(logits)

    assert labels.tolist() == [[[[1, 2]]]]
    assert not labels.requires_grad


def test_parameter_groups_hold_every_parameter_once_under_its_rate() -> None:
    method = MCSC(PixelNetwork(3), PixelNetwork(4), {1: 2, 2: 2})

    groups = method.parameter_groups(cnn=0.1, transformer=0.2, projectors=0.3)

    assert {group["name"]: group["lr"] for group in groups} == {"cnn": 0.1, "transformer": 0.2, "projectors": 0.3}
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(parameter) for parameter in method.parameters())


@pytest.mark.parametrize("rates", [{}, {"cnn": 0.1}, {"cnn": 0.1, "transformer": 0.1, "projectors": 0.1}])
def test_parameter_groups_reject_rates_that_do_not_name_each_network_once(rates: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"CrossTeaching trains parameters in \['cnn', 'transformer'\].*each once"):
        CrossTeaching(PixelNetwork(3), PixelNetwork(4)).parameter_groups(**rates)


@pytest.mark.parametrize("batch", [{"labeled": None}, {"unlabeled": None}])
def test_a_batch_without_a_labeled_part_is_an_error(batch: dict[str, None]) -> None:
    with pytest.raises(ValueError, match="no labeled part"):
        labeled_part(batch)  # type: ignore[arg-type]


def test_a_labeled_part_without_labels_is_an_error_that_names_the_key() -> None:
    with pytest.raises(ValueError, match=r"lacks \['label'\], it has \['image'\]"):
        labeled_part({"labeled": {"image": torch.rand(1, 1, 4, 4)}})


def test_unlabeled_images_that_were_not_stacked_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"must be one tensor .* got list"):
        unlabeled_images({"unlabeled": {"image": [torch.rand(1, 4, 4)]}})


def test_the_supervised_method_is_the_supervised_loss_of_its_network_on_labeled_images() -> None:
    network, batch = torch.nn.Conv2d(1, 4, 3, padding=1), make_batch()
    terms = Supervised(network)(batch)

    assert set(terms) == {"supervised"}
    expected = supervised_loss()(network(batch["labeled"]["image"]), batch["labeled"]["label"])
    assert torch.equal(terms["supervised"], expected)


class Frozen(Supervised):
    """A method with a frozen network and an averaged teacher beside the one that is trained."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(1, 2, 1))
        self.frozen = nn.Conv2d(1, 2, 1).requires_grad_(False)
        self.teacher = Averaged(self.network)


def test_frozen_networks_and_teachers_are_in_no_parameter_group() -> None:
    method = Frozen()
    (group,) = method.parameter_groups(network=0.1)
    assert group["name"] == "network"
    assert {id(parameter) for parameter in group["params"]} == {id(p) for p in method.network.parameters()}
    with pytest.raises(ValueError, match=r"trains parameters in \['network'\], but learning rates .* \['teacher'\]"):
        method.parameter_groups(teacher=0.1)


def test_a_partly_frozen_network_trains_the_rest() -> None:
    method = Supervised(nn.Conv2d(1, 2, 1))
    method.network.bias.requires_grad_(False)
    (group,) = method.parameter_groups(network=0.1)
    assert [parameter is method.network.weight for parameter in group["params"]] == [True]
