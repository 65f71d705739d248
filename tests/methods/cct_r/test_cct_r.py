from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.conventions.labels import IGNORED
from fewlabel.losses import supervised_loss
from fewlabel.methods import (
    CCTR,
    BidirectionalCopyPaste,
    CrossPseudoSupervision,
    CrossTeaching,
    MeanTeacher,
    RegisteredContrast,
    Supervised,
    WithRegistration,
)
from fewlabel.networks import MeanOfTwo
from helpers.pixel_networks import PixelNetwork, make_batch

CTS = {"supervised_cnn", "supervised_transformer", "cross_cnn", "cross_transformer"}
REGISTERED = {"registered_cnn", "registered_transformer"}


def registered_batch(unlabeled: int = 2) -> dict[str, Any]:
    batch = make_batch(2, unlabeled)
    if unlabeled:
        generator = torch.Generator().manual_seed(5)
        batch["unlabeled"]["registered_label"] = torch.randint(-1, 4, (unlabeled, 1, 8, 8), generator=generator)
    return batch


def mean_of_two(seed: int = 0) -> MeanOfTwo:
    torch.manual_seed(seed)
    return MeanOfTwo(PixelNetwork(3), PixelNetwork(4))


def terms_of(method: Any, batch: dict[str, Any], progress: float = 1.0) -> dict[str, Tensor]:
    torch.manual_seed(1)
    terms: dict[str, Tensor] = method(batch, progress)
    return terms


@pytest.mark.parametrize("mixing", ["none", "copy_paste", "cut_mix"])
@pytest.mark.parametrize("unlabeled", [0, 1, 3])
def test_terms_keep_their_names_and_are_finite_scalars(mixing: str, unlabeled: int) -> None:
    network = mean_of_two()
    contrast = RegisteredContrast(network.first, network.second, stride=2)
    terms = terms_of(CCTR(network, contrast=contrast, mixing=mixing), registered_batch(unlabeled))

    assert set(terms) == CTS | REGISTERED | {"contrastive"}
    assert all(term.ndim == 0 and term.isfinite() for term in terms.values())


@pytest.mark.parametrize("mixing", ["none", "copy_paste"])
def test_without_registration_and_contrast_it_is_cross_teaching(mixing: str) -> None:
    network = mean_of_two()
    ours = terms_of(CCTR(network, registered=False, mixing=mixing), registered_batch())
    theirs = terms_of(CrossTeaching(network.first, network.second, mixing=mixing), registered_batch())

    assert {name: term.item() for name, term in ours.items()} == {name: term.item() for name, term in theirs.items()}


def test_registered_labels_supervise_the_unlabeled_images_of_each_network() -> None:
    network = mean_of_two()
    batch = registered_batch()
    terms = terms_of(CCTR(network), batch)
    for name, student in (("cnn", network.first), ("transformer", network.second)):
        logits = student.head(student.features(batch["unlabeled"]["image"])[1])
        expected = supervised_loss()(logits, batch["unlabeled"]["registered_label"])
        torch.testing.assert_close(terms[f"registered_{name}"], expected)


def test_mixed_registered_labels_count_where_a_pixel_is_from_an_unlabeled_image() -> None:
    # labels of labeled images, whatever they are, do not enter
    network = mean_of_two()
    batch = registered_batch()
    first = terms_of(CCTR(network, mixing="copy_paste"), batch)
    batch["labeled"]["label"] = 3 - batch["labeled"]["label"]
    second = terms_of(CCTR(network, mixing="copy_paste"), batch)
    batch["unlabeled"]["registered_label"] = torch.full((2, 1, 8, 8), IGNORED)
    third = terms_of(CCTR(network, mixing="copy_paste"), batch)

    for name in REGISTERED:
        assert first[name].item() == second[name].item() > 0
        assert third[name].item() == 0
    assert first["supervised_cnn"].item() != second["supervised_cnn"].item()


def test_the_prediction_is_the_mean_of_both_logits_and_both_are_trained_once() -> None:
    network = mean_of_two()
    method = CCTR(network)
    image = torch.rand(1, 1, 8, 8)
    logits = [student.head(student.features(image)[1]) for student in (network.first, network.second)]
    network.first.forward = lambda x: logits[0]
    network.second.forward = lambda x: logits[1]

    torch.testing.assert_close(method.networks()["network"](image), (logits[0] + logits[1]) / 2)
    groups = method.parameter_groups(cnn=0.1, transformer=0.2)
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert not any(name.startswith("network") for name in method.state_dict())


def test_registered_labels_that_are_missing_are_named() -> None:
    with pytest.raises(ValueError, match="the unlabeled half of the batch has no 'registered_label'"):
        CCTR(mean_of_two())(make_batch())


def bases() -> list[Any]:
    torch.manual_seed(0)
    return [
        CrossPseudoSupervision(PixelNetwork(3), PixelNetwork(3)),
        MeanTeacher(_Callable(3)),
        BidirectionalCopyPaste(_Callable(3), labeled_stage=0.0),
    ]


class _Callable(PixelNetwork):
    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(x)[1])
        return logits


@pytest.mark.parametrize("which", range(3))
def test_on_top_of_another_method_its_own_terms_stay_and_only_students_learn(which: int) -> None:
    base = bases()[which]
    if which == 0:
        base.network, base.second_network = _Callable(3), _Callable(4)
    networks = list(base.networks().values())
    contrast = RegisteredContrast(networks[0], networks[1], stride=2)
    method = WithRegistration(base, contrast=contrast)
    alone = terms_of(base, registered_batch())
    terms = terms_of(method, registered_batch())
    sum(terms.values()).backward()

    assert set(terms) == set(alone) | {"registered", "contrastive"}
    assert all(terms[name].item() == alone[name].item() for name in alone)
    assert networks[0].coarse.weight.grad is not None
    assert (networks[1].coarse.weight.grad is not None) == (which == 0)
    names = [group["name"] for group in method.parameter_groups(**dict.fromkeys([*_trained(base), "contrast"], 0.1))]
    assert names == [*_trained(base), "contrast"]
    with pytest.raises(ValueError, match="give learning_rates a rate for contrast"):
        method.parameter_groups(network=0.1)


def _trained(base: Any) -> list[str]:
    return [name for name in ("network", "second_network") if name in dict(base.named_children())]


def test_a_contrast_of_a_single_network_is_refused() -> None:
    network = PixelNetwork(3)
    with pytest.raises(ValueError, match="Supervised has one network, and a contrast needs two"):
        WithRegistration(Supervised(network), contrast=RegisteredContrast(network, network, stride=2))
