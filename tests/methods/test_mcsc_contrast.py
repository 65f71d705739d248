from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.losses import balanced_contrastive
from fewlabel.methods import MCSC
from helpers.pixel_networks import build_mcsc, contrast, make_batch

STARTS = {  # where patches begin, by hand: side of the map, side of the patch, coverage
    (8, 4, "whole"): [0, 4], (8, 3, "whole"): [0, 2, 5], (8, 3, "floor"): [0, 3], (8, 3, "released"): [0],
    (4, 2, "whole"): [0, 2], (4, 3, "whole"): [0, 1], (4, 2, "released"): [0],
}  # fmt: skip


def oracle(method: MCSC, batch: dict[str, Any], coverage: str, keep_all: bool, most: int | None, cross: bool) -> Tensor:
    """Thesis algorithm 1 and eq. 4.2, anchor by anchor, from the whole projected maps."""
    images = torch.cat([batch["labeled"]["image"], batch["unlabeled"]["image"]])
    truth = batch["labeled"]["label"]
    students = [method.cnn, method.transformer]
    maps = [student.features(images) for student in students]
    seen = [student.head(features[1]).argmax(dim=1) for student, features in zip(students, maps, strict=True)]
    torch.manual_seed(7)
    total = torch.zeros((), dtype=torch.float64)
    for stride, patch in method.patch_sizes.items():
        projected = method.projectors[str(stride)](maps[0][stride], maps[1][stride])
        side = projected[0].shape[-1]
        corners = [(r, c) for r in STARTS[side, patch, coverage] for c in STARTS[side, patch, coverage]]
        # one shuffled pack of patches for each image of the CNN, then for each of the Transformer
        packs = [torch.randperm(len(corners)).tolist() for _ in range(2 * len(images))]
        losses: list[Tensor] = []
        for group in range(len(corners)):
            pixels, classes = [], []
            for position, pack in enumerate(packs):
                student, image = divmod(position, len(images))
                labeler = 1 - student if cross else student
                top, left = corners[pack[group]]
                for row in range(top, top + patch):
                    for column in range(left, left + patch):
                        fine = (row * stride + stride // 2, column * stride + stride // 2)
                        known = image < len(truth)
                        classes.append(int(truth[image, 0][fine] if known else seen[labeler][image][fine]))
                        pixels.append(projected[student][image, :, row, column].double())
            if (keep_all or any(classes)) and (most is None or len(losses) < most):
                losses.append(group_loss(pixels, classes))
        if losses:
            total = total + torch.stack(losses).mean()
    return total


def group_loss(pixels: list[Tensor], classes: list[int], temperature: float = 0.1) -> Tensor:
    """Equation 4.2 without the anchor in its own denominator; anchors without a positive add 0 to the mean of all."""
    values, everyone = [], torch.stack(pixels)
    for i, (anchor, y) in enumerate(zip(pixels, classes, strict=True)):
        similar = everyone @ anchor / temperature
        others = {c: [j for j in range(len(pixels)) if j != i and classes[j] == c] for c in set(classes)}
        if others[y]:
            denominator = sum(similar[members].exp().mean() for members in others.values() if members)
            values.append(denominator.log() - similar[others[y]].mean())
    return torch.stack(values).sum() / len(pixels) if values else torch.zeros((), dtype=torch.float64)


@pytest.mark.parametrize(
    ("sizes", "coverage", "keep_all", "most", "cross"),
    [
        ({1: 4}, "whole", False, None, True),
        ({1: 3}, "whole", False, None, True),
        ({2: 2}, "whole", True, None, True),
        ({1: 4, 2: 2}, "whole", False, None, True),
        ({1: 3}, "floor", True, 2, True),
        ({1: 3, 2: 2}, "released", False, None, True),
        ({2: 3}, "whole", False, 1, False),
    ],
)
def test_the_contrast_and_its_gradient_equal_the_literal_algorithm(
    sizes: dict[int, int], coverage: str, keep_all: bool, most: int | None, cross: bool
) -> None:
    method = build_mcsc(
        patch_sizes=sizes, patches=coverage, skip_background=not keep_all, groups_per_step=most, cross_labels=cross
    )
    batch = make_batch(1, 1)
    parameters = list(method.parameters())

    expected = oracle(method, batch, coverage, keep_all, most, cross)
    slopes = torch.autograd.grad(expected, parameters, allow_unused=True)
    value = contrast(method, batch)

    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    for ours, theirs in zip(torch.autograd.grad(value, parameters, allow_unused=True), slopes, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None and theirs is not None:
            torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


def test_a_pixel_that_is_alone_in_its_class_counts_in_the_mean_of_all_pixels() -> None:
    method, batch = build_mcsc(patch_sizes={1: 4}, warmup=1.0), make_batch(1, 0, size=4)
    label = batch["labeled"]["label"]
    label[:] = 1
    label[..., 0, 0] = 2  # in the CNN's map and in the Transformer's: a pair
    paired = method.projectors["1"](
        *(n.features(batch["labeled"]["image"])[1] for n in (method.cnn, method.transformer))
    )
    pixels = [vector for maps in paired for vector in maps[0].flatten(1).T.double()]
    classes = [2, *[1] * 15] * 2
    assert contrast(method, batch, 0.0).item() == pytest.approx(group_loss(pixels, classes).item(), rel=1e-5)

    vectors = torch.stack(pixels)
    classes[0] = 3
    classes[16] = 4
    by_pixels = balanced_contrastive(vectors, torch.tensor(classes), divide_by="pixels")
    by_anchors = balanced_contrastive(vectors, torch.tensor(classes))
    assert by_pixels.item() == pytest.approx(group_loss(pixels, classes).item(), rel=1e-10)
    assert by_anchors.item() == pytest.approx(by_pixels.item() * 32 / 30, rel=1e-10)


@pytest.mark.parametrize(("changed", "crossed"), [("cnn", "transformer"), ("transformer", "cnn")])
def test_pixels_of_a_network_are_sorted_by_the_other_networks_classes(changed: str, crossed: str) -> None:
    # One image, one patch, labels known: a group is two maps of the same pixels, the CNN's and the Transformer's.
    for cross in (True, False):
        method = build_mcsc(patch_sizes={1: 4}, cross_labels=cross)
        batch = make_batch(1, 1, size=4)
        batch["labeled"]["label"][:] = 1
        for name in ("cnn", "transformer"):
            head = method.get_submodule(name).head
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
            head.bias.data[3 if name == changed else 1] = 9.0  # sure of class 3, or of class 1

        torch.manual_seed(7)
        images = torch.cat([batch["labeled"]["image"], batch["unlabeled"]["image"]])
        projected = method.projectors["1"](
            *(method.get_submodule(name).features(images)[1] for name in ("cnn", "transformer"))
        )
        # class 3 sits on the unlabeled map of the network that is taught by the changed one
        order = ["cnn", "transformer"]
        owner = order.index(crossed if cross else changed)
        pixels, classes = [], []
        for student in range(2):
            for image in range(2):
                pixels += list(projected[student][image].flatten(1).T.double())
                classes += [3 if student == owner and image == 1 else 1] * 16
        expected = group_loss(pixels, classes).item()

        assert contrast(method, batch).item() == pytest.approx(expected, rel=1e-5)
