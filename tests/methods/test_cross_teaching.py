from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.losses import supervised_loss
from fewlabel.methods import MCSC, CrossTeaching
from helpers.pixel_networks import OneClass, PixelNetwork, Unreadable, make_batch, small_swin, small_unet

NAMES = {"supervised_cnn", "supervised_transformer", "cross_cnn", "cross_transformer"}


def methods(**options: Any) -> list[tuple[nn.Module, set[str]]]:
    torch.manual_seed(0)
    return [
        (CrossTeaching(PixelNetwork(3), PixelNetwork(4), **options), NAMES),
        (MCSC(PixelNetwork(3), PixelNetwork(4), {1: 4, 2: 2}, **options), NAMES | {"contrastive"}),
    ]


def terms_of(method: nn.Module, batch: dict[str, Any], progress: float = 1.0) -> dict[str, Tensor]:
    torch.manual_seed(1)
    terms: dict[str, Tensor] = method(batch, progress)
    return terms


@pytest.mark.parametrize("passes", ["joint", "separate"])
@pytest.mark.parametrize("unlabeled", [0, 1, 3])
@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_terms_keep_their_names_and_are_finite_scalars(passes: str, unlabeled: int, progress: float) -> None:
    for method, names in methods(passes=passes):
        terms = method(make_batch(2, unlabeled), progress)

        assert set(terms) == names
        assert all(term.ndim == 0 and term.isfinite() for term in terms.values())


def test_supervised_terms_look_at_the_labeled_images_of_each_network() -> None:
    batch = make_batch(3, 2)
    for method, _ in methods():
        terms = terms_of(method, batch)
        for name in ("cnn", "transformer"):
            network = method.get_submodule(name)
            logits = network.head(network.features(batch["labeled"]["image"])[1])
            torch.testing.assert_close(
                terms[f"supervised_{name}"], supervised_loss()(logits, batch["labeled"]["label"])
            )


def test_two_networks_sure_of_different_classes_contradict_each_other_in_two_of_three_classes() -> None:
    # class 0: nobody claims it, loss 0; classes 1 and 2: one claims what the other denies, loss 1. Own labels give 0.
    terms = CrossTeaching(OneClass(1), OneClass(2))(make_batch(num_classes=3))

    assert terms["cross_cnn"].item() == pytest.approx(2 / 3, abs=1e-4)
    assert terms["cross_transformer"].item() == pytest.approx(2 / 3, abs=1e-4)


def test_two_networks_sure_of_the_same_class_have_no_cross_loss() -> None:
    terms = CrossTeaching(OneClass(1), OneClass(1))(make_batch(num_classes=3))

    assert terms["cross_cnn"].item() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(("pupil", "teacher"), [("cnn", "transformer"), ("transformer", "cnn")])
def test_a_cross_term_teaches_its_own_network_only(pupil: str, teacher: str) -> None:
    for method, _ in methods():
        terms_of(method, make_batch())[f"cross_{pupil}"].backward()

        assert all(p.grad is not None for p in method.get_submodule(pupil).parameters())
        assert all(p.grad is None for p in method.get_submodule(teacher).parameters())


def test_without_unlabeled_images_the_cross_terms_are_zero_and_training_works() -> None:
    for method, _ in methods():
        terms = method(make_batch(2, 0), 1.0)
        assert float(terms["cross_cnn"]) == float(terms["cross_transformer"]) == 0.0

        sum(terms.values()).backward()  # type: ignore[union-attr]

        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


def test_labels_of_unlabeled_images_are_never_read() -> None:
    batch = make_batch()
    hidden = {**batch, "unlabeled": Unreadable(batch["unlabeled"]["image"])}
    for method, _ in methods():
        expected = terms_of(method, batch)

        assert terms_of(method, hidden) == expected


@pytest.mark.parametrize("num_classes", [2, 9])
def test_any_number_of_classes_works_with_the_real_networks(num_classes: int) -> None:
    torch.manual_seed(0)
    batch = make_batch(1, 2, size=32, num_classes=num_classes)
    for method in (
        CrossTeaching(small_unet(num_classes), small_swin(num_classes)),
        MCSC(small_unet(num_classes), small_swin(num_classes), {1: 16, 8: 2}),
    ):
        terms = method(batch, 1.0)
        sum(terms.values()).backward()

        assert all(term.isfinite() for term in terms.values())
        assert all(p.grad is not None and p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("method", [CrossTeaching, MCSC])
def test_an_unknown_kind_of_passes_is_an_error(method: type[nn.Module]) -> None:
    arguments = {"patch_sizes": {1: 2}} if method is MCSC else {}
    with pytest.raises(ValueError, match='passes must be "joint" or "separate", got \'both\''):
        method(PixelNetwork(3), PixelNetwork(4), passes="both", **arguments)
