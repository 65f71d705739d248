from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from fewlabel.conventions.labels import IGNORED
from fewlabel.methods import RegisteredContrast
from fewlabel.methods.cct_r.registered_contrast import ContrastedImages, image_numbers
from fewlabel.networks import forward_features
from fewlabel.sampling import RegisteredPositives, SliceGeometry
from helpers.pixel_networks import PixelNetwork, make_batch

CLASSES = 3


class Same:
    """Two patients who lie alike."""

    def partners(self, volume: str) -> list[str]:
        return [name for name in ("a", "b") if name != volume]

    def points(self, source: str, target: str, points: Tensor) -> Tensor:
        return points


def place(batch: dict[str, Any]) -> dict[str, Any]:
    """Say where the images are from: the labeled ones from a, the others from b, slices 0, 1, ..."""
    for half, volume in (("labeled", "a"), ("unlabeled", "b")):
        count = len(batch[half]["image"])
        batch[half] |= {
            "volume": [volume] * count,
            "slice": list(range(count)),
            "affine": torch.eye(4).repeat(count, 1, 1),
        }
    return batch


def images_of(networks: tuple[PixelNetwork, PixelNetwork], batch: dict[str, Any]) -> ContrastedImages:
    first, second = (
        forward_features(network, batch["labeled"]["image"], batch["unlabeled"]["image"], "joint")
        for network in networks
    )
    label = batch["labeled"]["label"]
    guesses = [output.unlabeled.detach().argmax(dim=1, keepdim=True) for output in (first, second)]
    labels = [torch.cat([label, guess]) for guess in guesses]
    return ContrastedImages(first, second, labels[0], labels[1], image_numbers(0, len(first.logits), first.logits))


def build(positives: bool, **options: Any) -> tuple[RegisteredContrast, tuple[PixelNetwork, PixelNetwork]]:
    torch.manual_seed(0)
    networks = PixelNetwork(3, CLASSES), PixelNetwork(4, CLASSES)
    for network in networks:
        network.head.weight.data *= 8
    geometry = SliceGeometry({name: torch.diag(torch.tensor([1.5, 1.5, 10.0, 1.0])) for name in "ab"})
    found = RegisteredPositives(Same(), geometry, 10) if positives else None
    settings: dict[str, Any] = {"num_anchors": 10_000, "num_negatives": 10_000, **options}
    return RegisteredContrast(*networks, num_classes=CLASSES, positives=found, stride=2, **settings), networks


def literal(
    contrast: RegisteredContrast, images: ContrastedImages, known: dict[tuple[int, int, int], Tensor]
) -> Tensor:
    """Equations 6.3 to 6.5 and 6.13, pixel by pixel; ``known`` has the registered feature by image, row and column."""
    maps = contrast.projector(images.first.features[2], images.second.features[2])
    pixels: list[tuple[Tensor, int, tuple[int, int, int]]] = []
    for output, labels, vectors in (
        (images.first, images.labels_of_first, maps[0]),
        (images.second, images.labels_of_second, maps[1]),
    ):
        for image in range(len(vectors)):
            for row in range(vectors.shape[2]):
                for column in range(vectors.shape[3]):
                    at = (image, slice(None), 2 * row + 1, 2 * column + 1)
                    label = int(labels[image, 0, 2 * row + 1, 2 * column + 1])
                    if label != IGNORED and output.logits[at].softmax(dim=0).max() > contrast.threshold:
                        pixels.append((vectors[image, :, row, column], label, (image, row, column)))
    total = torch.zeros(())
    for number in range(CLASSES):
        own = [(vector, where) for vector, label, where in pixels if label == number]
        others = [vector for vector, label, _ in pixels if label != number]
        if not own or not others:
            continue
        center = torch.stack([vector for vector, _ in own]).mean(dim=0)
        center = center / center.norm()
        summed = torch.zeros(())
        for vector, where in own:
            positive = center
            if where in known:
                registered = known[where] / known[where].norm()
                positive = (1 - contrast.registered_share) * center + contrast.registered_share * registered
                positive = positive / positive.norm()
            near = (vector @ positive / contrast.temperature).exp()
            far = torch.stack([(vector @ other / contrast.temperature).exp() for other in others]).sum()
            summed = summed - (near / (near + far)).log()
        total = total + summed / len(own)
    return total / CLASSES


@pytest.mark.parametrize("positives", [False, True])
def test_it_is_the_thesis_equation_in_value_and_gradient(positives: bool) -> None:
    batch = place(make_batch(num_classes=CLASSES))
    batch["labeled"]["label"][0, 0, :2] = IGNORED
    contrast, networks = build(positives, registered_share=0.3)
    known: dict[tuple[int, int, int], Tensor] = {}
    if contrast.positives is not None:
        # what the memory holds: one slice of each patient
        stored = {}
        for volume in "ab":
            stored[volume] = torch.nn.functional.normalize(torch.randn(128, 4, 4), dim=0)
            contrast.positives.push(volume, 1, torch.eye(4), 2, stored[volume])
        for image, other in ((1, "b"), (3, "a")):  # the second slices of a and of b
            for row in range(4):
                for column in range(4):
                    known[image, row, column] = stored[other][:, row, column].half().float()
    images = images_of(networks, batch)
    expected = literal(contrast, images, known)
    got = contrast(images, batch)
    weights = [*contrast.projector.parameters(), *networks[0].coarse.parameters(), *networks[1].coarse.parameters()]
    of_expected = torch.autograd.grad(expected, weights, retain_graph=True)
    of_got = torch.autograd.grad(got, weights)

    assert got.item() == pytest.approx(expected.item(), rel=1e-5)
    for one, other in zip(of_got, of_expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-3)


def test_the_memory_takes_the_mean_of_both_networks_of_each_slice() -> None:
    batch = place(make_batch(num_classes=CLASSES))
    contrast, networks = build(positives=True)
    images = images_of(networks, batch)
    contrast(images, batch)
    assert contrast.positives is not None
    first, second = contrast.projector(images.first.features[2], images.second.features[2])
    both = torch.nn.functional.normalize((first + second) / 2, dim=1)

    assert contrast.positives.bank.keys() == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    for image, (volume, number) in enumerate(contrast.positives.bank.keys()):
        seen, _ = contrast.positives.bank.lookup(volume, number, torch.tensor([[0.5, 0.5]]))
        torch.testing.assert_close(seen[0], both[image, :, 0, 0], atol=2e-3, rtol=0)


def test_a_batch_without_places_is_named() -> None:
    contrast, networks = build(positives=True)
    batch = make_batch(num_classes=CLASSES)
    with pytest.raises(ValueError, match="the batch lacks 'volume'"):
        contrast(images_of(networks, batch), batch)


def test_a_single_class_gives_nothing_to_contrast() -> None:
    contrast, networks = build(positives=False)
    batch = make_batch(num_classes=CLASSES)
    images = images_of(networks, batch)
    nothing = torch.zeros_like(images.labels_of_first)
    one = ContrastedImages(images.first, images.second, nothing, nothing, images.origins)
    loss = contrast(one, batch)
    loss.backward()

    assert loss.item() == 0.0
    assert math.isfinite(sum(float(weight.grad.abs().sum()) for weight in contrast.projector.parameters()))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 1.0}, "threshold is a probability"),
        ({"registered_share": 1.5}, "registered_share must be in"),
        ({"num_negatives": 0}, "num_anchors and num_negatives"),
        ({"temperature": 0.0}, "temperature"),
    ],
)
def test_wrong_settings_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(positives=False, **options)
