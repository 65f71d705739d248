from __future__ import annotations

import pytest
import torch
from torch import nn

from fewlabel.losses import supervised_loss
from fewlabel.methods import MCSC, BidirectionalCopyPaste, CrossPseudoSupervision, CrossTeaching, MCSCv2, Supervised
from fewlabel.methods.base import Method, labeled_part, unlabeled_images
from fewlabel.networks import Averaged
from helpers.pixel_networks import PixelNetwork, make_batch


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


@pytest.mark.parametrize(
    ("method", "names"),
    [
        (Supervised(nn.Conv2d(1, 2, 1)), ["network"]),
        (BidirectionalCopyPaste(nn.Conv2d(1, 2, 1)), ["network", "teacher.network"]),
        (CrossPseudoSupervision(nn.Conv2d(1, 2, 1), nn.Conv2d(1, 2, 1)), ["network", "second_network"]),
        (CrossTeaching(PixelNetwork(3), PixelNetwork(4)), ["cnn", "transformer"]),
        (MCSC(PixelNetwork(3), PixelNetwork(4), {1: 2}), ["cnn", "transformer"]),
        (MCSCv2(PixelNetwork(3), PixelNetwork(4), strides=(1,)), ["cnn", "transformer"]),
    ],
)
def test_a_method_offers_its_networks_for_scoring_the_one_for_inference_first(method: Method, names: list[str]) -> None:
    offered = method.networks()
    assert list(offered) == [name.removesuffix(".network") for name in names]
    assert list(offered.values()) == [method.get_submodule(name) for name in names]


def test_a_method_that_does_not_say_which_of_its_networks_segment_is_told_to() -> None:
    method = Supervised(nn.Conv2d(1, 2, 1))
    del method.network
    with pytest.raises(ValueError, match=r"Supervised has no network: name those that segment in networks\(\)"):
        method.networks()


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
