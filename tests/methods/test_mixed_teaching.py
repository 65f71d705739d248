"""Mixing in the methods of cross teaching: two networks that label each other's images before these are mixed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel import mixing
from fewlabel.losses import region_loss, weighted_dice
from fewlabel.methods import CertaintyGuidedContrastiveLoss, CrossTeaching
from fewlabel.methods.base import Method
from fewlabel.networks import mixed_pass
from helpers.pixel_networks import PixelNetwork, build_mcsc, build_mcsc_v2, make_batch

guided = partial(CertaintyGuidedContrastiveLoss, num_anchors=20, num_keys=20, bank_size=100)


def build_cts(**options: Any) -> Method:
    torch.manual_seed(0)
    return CrossTeaching(PixelNetwork(3), PixelNetwork(4), **options)


METHODS: dict[str, Callable[..., Method]] = {
    "cts": build_cts,
    "mcsc": partial(build_mcsc, patch_sizes={1: 4, 2: 2}, warmup=0.5),
    "mcsc_v2": partial(build_mcsc_v2, contrastive_loss=guided, strides=(1, 2)),
}
EACH = pytest.mark.parametrize("name", METHODS)


def terms_of(method: Method, batch: dict[str, Any], progress: float = 1.0, seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return method(batch, progress)


@EACH
@pytest.mark.parametrize("kind", ["copy_paste", "cut_mix"])
@pytest.mark.parametrize("unlabeled", [0, 1, 3])
@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_terms_keep_their_names_and_reach_every_parameter(
    name: str, kind: str, unlabeled: int, progress: float
) -> None:
    method = METHODS[name](mixing=kind)
    batch = make_batch(2, unlabeled)
    terms = terms_of(method, batch, progress)
    assert terms.keys() == terms_of(METHODS[name](), batch, progress).keys()
    total = torch.stack([*terms.values()]).sum()
    total.backward()
    assert bool(total.isfinite())
    assert all(parameter.grad is not None for parameter in method.parameters())


@EACH
def test_cut_mix_that_mixes_nothing_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mixed_pass, "mix_halves", partial(mixing.mix_halves, prob=0.0))
    batch = make_batch(2, 3)
    plain, mixed = METHODS[name](), METHODS[name](mixing="cut_mix", largest_component=False)
    expected = terms_of(plain, batch)
    found = terms_of(mixed, batch)
    deterministic = [key for key in expected if key != "contrastive"]  # groups and anchors are drawn after the boxes
    for key in deterministic:
        torch.testing.assert_close(found[key], expected[key])


def test_each_voxel_is_supervised_by_truth_or_taught_by_the_others_classes() -> None:
    method = build_cts(mixing="copy_paste", largest_component=False)
    batch = make_batch(2, 2)
    terms = terms_of(method, batch, seed=5)

    image, label, others = batch["labeled"]["image"], batch["labeled"]["label"], batch["unlabeled"]["image"]
    torch.manual_seed(5)
    outside = mixing.copy_paste(2, (8, 8)).mask
    logits = {part: network.head(network.features(torch.cat([
        torch.where(outside, others, image), torch.where(outside, image, others)
    ]))[1]) for part, network in (("cnn", method.cnn), ("transformer", method.transformer))}  # fmt: skip
    classes = {
        part: network.head(network.features(others)[1]).argmax(dim=1, keepdim=True)
        for part, network in (("cnn", method.transformer), ("transformer", method.cnn))
    }
    labeled = torch.cat([~outside, outside]).float()
    for part in ("cnn", "transformer"):
        labels = torch.cat([torch.where(outside, classes[part], label), torch.where(outside, label, classes[part])])
        torch.testing.assert_close(terms[f"supervised_{part}"], region_loss(logits[part], labels, labeled))
        torch.testing.assert_close(terms[f"cross_{part}"], weighted_dice(logits[part], labels, 1 - labeled))


def test_pseudo_labels_teach_with_their_largest_component_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    cleaned: list[Tensor] = []
    monkeypatch.setattr(
        mixed_pass,
        "largest_components",
        lambda labels, classes: cleaned.append(labels) or labels.new_zeros(labels.shape),
    )
    method = build_cts(mixing="copy_paste")
    terms_of(method, make_batch(2, 2))
    assert len(cleaned) == 2
    terms_of(build_cts(mixing="copy_paste", largest_component=False), make_batch(2, 2))
    assert len(cleaned) == 2


def test_in_the_warm_up_of_mcsc_only_voxels_of_labeled_images_are_contrasted(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(2, 2)
    other = {**batch, "unlabeled": {"image": 1 - batch["unlabeled"]["image"]}}
    # the networks see single pixels and blocks of two: on that grid a box keeps labeled voxels from unlabeled ones
    outside = torch.ones(2, 1, 8, 8, dtype=torch.bool)
    outside[..., 2:6, 2:6] = False
    monkeypatch.setattr("fewlabel.mixing.halves.copy_paste", lambda *_, **__: mixing.Mixture(outside))
    found = []
    for data in (batch, other):
        method = build_mcsc(patch_sizes={1: 8}, warmup=0.5, mixing="copy_paste", skip_background=False)
        torch.manual_seed(3)
        found.append(method(data, 0.1)["contrastive"])
    torch.testing.assert_close(found[0], found[1])


@EACH
@pytest.mark.parametrize(
    ("options", "message"),
    [({"mixing": "half"}, "mixing must be one of"), ({"mixing": "cut_mix", "passes": "separate"}, "joint")],
)
def test_what_cannot_be_mixed_is_an_error(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        METHODS[name](**options)
