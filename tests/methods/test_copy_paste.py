from __future__ import annotations

from typing import Any

import pytest
import torch
from monai.data import MetaTensor
from scipy import ndimage
from torch import Tensor, nn

from fewlabel.methods import BidirectionalCopyPaste
from fewlabel.mixing import Mixture

CLASSES = 3


class Pointwise(nn.Module):
    """Logits that depend on a voxel alone, so that what a mixture must give can be put together by hand."""

    def __init__(self, dims: int = 2) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.head = convolution(1, CLASSES, kernel_size=1)
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        logits: Tensor = self.head(x)
        return logits


def batch(labeled: int = 2, unlabeled: int = 2, spatial: tuple[int, ...] = (9, 6), seed: int = 0) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    image = torch.rand(labeled, 1, *spatial, generator=generator)
    label = torch.randint(CLASSES, (labeled, 1, *spatial), generator=generator)
    others = torch.rand(unlabeled, 1, *spatial, generator=generator)
    return {"labeled": {"image": image, "label": label}, "unlabeled": {"image": others} if unlabeled else None}


def build(dims: int = 2, seed: int = 1, **options: Any) -> BidirectionalCopyPaste:
    torch.manual_seed(seed)
    return BidirectionalCopyPaste(Pointwise(dims), **options)


def literal_region_loss(logits: Tensor, labels: Tensor, inside: Tensor, smooth: float = 1e-5) -> float:
    """Half cross-entropy averaged over the region's voxels, half Dice over them, voxel by voxel."""
    entropy, count = 0.0, 0
    both, sizes = [0.0] * CLASSES, [0.0] * CLASSES
    for image in range(len(logits)):
        for place in torch.nonzero(inside[image, 0]).tolist():
            probabilities = logits[(image, slice(None), *place)].softmax(dim=0).tolist()
            truth = int(labels[(image, 0, *place)])
            entropy -= float(torch.tensor(probabilities[truth]).log())
            count += 1
            for number in range(CLASSES):
                hit = float(number == truth)
                both[number] += probabilities[number] * hit
                sizes[number] += probabilities[number] ** 2 + hit
    dice = [(2 * both[number] + smooth) / (sizes[number] + smooth) for number in range(CLASSES)]
    return 0.5 * entropy / count + 0.5 * (1 - sum(dice) / CLASSES)


def drawn_mixture(method: BidirectionalCopyPaste, count: int, image: Tensor, seed: int) -> Mixture:
    torch.manual_seed(seed)
    return method._mixture(count, image)


@pytest.mark.parametrize("spatial", [(9, 6), (6, 6, 3)])
@pytest.mark.parametrize("mixed", ["all", "published"])
def test_the_second_stage_equals_the_literal_mixture(spatial: tuple[int, ...], mixed: str) -> None:
    method = build(len(spatial), mixed=mixed, largest_component=False, labeled_stage=0.25)
    data = batch(spatial=spatial)
    torch.manual_seed(5)
    terms = method(data, 0.5)

    image, label, unlabeled = data["labeled"]["image"], data["labeled"]["label"], data["unlabeled"]["image"]
    pseudo = method.teacher.network.head(unlabeled).argmax(dim=1, keepdim=True)
    mask = drawn_mixture(method, 2, image, seed=5).mask
    pasted_labeled = torch.where(mask, unlabeled, image)
    pasted_unlabeled = torch.where(mask, image, unlabeled)
    rows = (slice(0, 1), slice(1, 2)) if mixed == "published" else (slice(0, 2), slice(0, 2))
    expected = {"supervised": 0.0, "pseudo": 0.0}
    for images, labels, from_labeled, taken in (
        (pasted_labeled, torch.where(mask, pseudo, label), ~mask, rows[0]),
        (pasted_unlabeled, torch.where(mask, label, pseudo), mask, rows[1]),
    ):
        logits = method.network.head(images[taken])
        expected["supervised"] += literal_region_loss(logits, labels[taken], from_labeled[taken])
        expected["pseudo"] += literal_region_loss(logits, labels[taken], ~from_labeled[taken])
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected, abs=1e-5)


def test_the_first_stage_sees_labeled_images_alone_and_supervises_both_regions() -> None:
    method = build(labeled_stage=0.25)
    data = batch(labeled=3)
    torch.manual_seed(5)
    terms = method(data, 0.2)
    image, label = data["labeled"]["image"], data["labeled"]["label"]
    mask = drawn_mixture(method, 3, image, seed=5).mask
    following = [1, 2, 0]
    images = torch.where(mask, image, image[following])
    labels = torch.where(mask, label, label[following])
    assert torch.equal(method.network.seen[0], images)
    logits = method.network.head(images)
    expected = literal_region_loss(logits, labels, mask) + literal_region_loss(logits, labels, ~mask)
    assert terms["supervised"].item() == pytest.approx(expected, abs=1e-5)
    assert terms["pseudo"].item() == 0


def test_the_published_half_mixes_the_first_half_of_the_labeled_images_with_the_second() -> None:
    method = build(mixed="published", labeled_stage=1.0)
    data = batch(labeled=4)
    torch.manual_seed(5)
    method(data, 0.0)
    image = data["labeled"]["image"]
    mask = drawn_mixture(method, 2, image, seed=5).mask
    assert torch.equal(method.network.seen[0], torch.where(mask, image[:2], image[2:]))


@pytest.mark.parametrize(("labeled", "unlabeled"), [(1, 3), (3, 1), (2, 2)])
def test_every_image_of_both_halves_is_used_whatever_their_numbers(labeled: int, unlabeled: int) -> None:
    method = build(labeled_stage=0.0, fraction=0.5)
    data = batch(labeled, unlabeled)
    method(data, 0.5)
    mixed = method.network.seen[0]
    for part in ("labeled", "unlabeled"):
        for image in data[part]["image"]:
            assert bool((mixed == image).flatten(1).any(dim=1).any())


def test_without_unlabeled_images_it_is_the_first_stage() -> None:
    method = build(labeled_stage=0.0)
    torch.manual_seed(5)
    without = method(batch(unlabeled=0), 0.9)
    torch.manual_seed(5)
    first_stage = build(labeled_stage=1.0)
    torch.manual_seed(5)
    expected = first_stage(batch(), 0.1)
    assert {k: v.item() for k, v in without.items()} == {k: v.item() for k, v in expected.items()}


def test_terms_are_plain_tensors_and_an_empty_unlabeled_part_is_none() -> None:
    method = build(labeled_stage=0.0)
    data = batch()
    data["labeled"] = {key: MetaTensor(value) for key, value in data["labeled"].items()}
    data["unlabeled"] = {"image": MetaTensor(data["unlabeled"]["image"])}
    assert {type(term) for term in method(data, 0.5).values()} == {Tensor}
    data["unlabeled"] = {"image": torch.zeros(0, 1, 9, 6)}
    assert method(data, 0.5)["pseudo"].item() == 0


def test_the_teacher_labels_without_a_gradient_and_without_being_trained() -> None:
    method = build(labeled_stage=0.0)
    sum(method(batch(), 0.5).values()).backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())
    assert all(parameter.grad is not None for parameter in method.network.parameters())


def test_pseudo_labels_keep_the_largest_component_of_each_class() -> None:
    method = build(labeled_stage=0.0)
    unlabeled = batch(unlabeled=2, spatial=(24, 24))["unlabeled"]["image"]
    raw = method.teacher.network.head(unlabeled).argmax(dim=1).numpy()
    cleaned = method._pseudo_labels(unlabeled)[:, 0].numpy()
    for one, clean in zip(raw, cleaned, strict=True):
        for number in range(1, CLASSES):
            parts, _ = ndimage.label(one == number, structure=ndimage.generate_binary_structure(2, 2))
            sizes = ndimage.sum(one == number, parts, range(1, parts.max() + 1))
            kept, _ = ndimage.label(clean == number, structure=ndimage.generate_binary_structure(2, 2))
            assert kept.max() == (1 if len(sizes) else 0)
            assert int((clean == number).sum()) == (int(max(sizes)) if len(sizes) else 0)
        assert bool(((one == clean) | (clean == 0)).all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labeled_stage": 1.5}, r"labeled_stage is a share of the training run in \[0, 1\], got 1.5"),
        ({"mixed": "half"}, "mixed must be one of .*, got 'half'"),
        ({"fraction": 1.5}, r"fraction must be in \(0, 1\], got 1.5"),
        ({"decay": 1.0}, r"decay must be in \[0, 1\)"),
        ({"teacher_mode": "both"}, 'mode must be "eval" or "train"'),
    ],
)
def test_options_out_of_range_are_errors(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(**options)
