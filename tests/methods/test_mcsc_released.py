"""What the released loss of MCSC computes, written out, and how far it is from the one of its paper."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from fewlabel.losses import balanced_contrastive
from fewlabel.sampling import nearest_pixels
from helpers.pixel_networks import build_mcsc, contrast, make_batch


def released_order(labels: Tensor) -> list[int]:
    """A group's labels (maps, rows, columns) in the order of the released code: row by row, in each map by map."""
    maps, rows, columns = labels.shape
    return [int(labels[m, r, c]) for r in range(rows) for m in range(maps) for c in range(columns)]


def released_loss(vectors: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """The released loss of a group, anchor by anchor, of features (maps, d, rows, columns) and labels without d."""
    maps, _, rows, columns = vectors.shape
    pixels = torch.stack([vectors[m, :, r, c] for m in range(maps) for r in range(rows) for c in range(columns)])
    classes = released_order(labels)
    count = {y: classes.count(y) for y in classes}
    losses = []
    for i, y in enumerate(classes):
        similar = pixels @ pixels[i] / temperature
        others = [k for k in range(len(classes)) if k != i]
        sizes = torch.tensor([count[classes[k]] - (classes[k] == y) for k in others])
        denominator = (similar[others].exp() / sizes).sum() + 1e-6
        positives = [k for k in others if classes[k] == y]
        losses.append(-(similar[positives] - denominator.log()).sum() / (len(positives) + 1e-6))
    return torch.stack(losses).mean()


def a_group(maps: int, side: int) -> tuple[Tensor, Tensor]:
    """Labels of round structures, class 2 in a ring of class 1, elsewhere in each map; unit vectors that know them."""
    generator = torch.Generator().manual_seed(maps)
    grid = torch.arange(side)
    labels = torch.zeros(maps, side, side, dtype=torch.long)
    for m in range(maps):
        row, column = (torch.rand(2, generator=generator) * side).tolist()
        distance = ((grid[:, None] - row) ** 2 + (grid[None, :] - column) ** 2).sqrt()
        labels[m][distance < 0.45 * side] = 1
        labels[m][distance < 0.25 * side] = 2
    noise = torch.randn(maps, 5, side, side, dtype=torch.float64, generator=generator)
    return F.normalize(noise + 2 * F.one_hot(labels, 5).movedim(-1, 1), dim=1), labels


@pytest.mark.parametrize(("maps", "side"), [(2, 6), (4, 5), (8, 4)])
def test_the_released_loss_and_its_gradient_are_ours_with_its_labels_in_their_order(maps: int, side: int) -> None:
    vectors, labels = a_group(maps, side)
    vectors.requires_grad_()
    labels[0, 0, 0] = 3  # one pixel of a class of its own: all pixels divide, not the anchors alone
    pixels = vectors.movedim(1, -1).flatten(0, 2)
    theirs = released_loss(vectors, labels)
    ours = balanced_contrastive(pixels, torch.tensor(released_order(labels)), divide_by="pixels")
    right = balanced_contrastive(pixels, labels.flatten(), divide_by="pixels")

    assert ours.item() == pytest.approx(theirs.item(), abs=1e-6)
    for slope, wanted in zip(*(torch.autograd.grad(value, vectors) for value in (ours, theirs)), strict=True):
        torch.testing.assert_close(slope, wanted, rtol=0, atol=1e-6)
    assert right.item() < theirs.item() - 0.1


def test_with_the_released_order_the_contrast_of_a_batch_is_the_released_one() -> None:
    # one patch a map, so nothing is shuffled, and labeled slices alone
    values = {}
    for order in ("pixels", "released"):
        method, batch = build_mcsc(patch_sizes={1: 8}, warmup=1.0, label_order=order), make_batch(3, 1)
        image, label = batch["labeled"]["image"], batch["labeled"]["label"]
        values[order] = contrast(method, batch, 0.0).item()
    projected = method.projectors["1"](method.cnn.features(image)[1], method.transformer.features(image)[1])
    wanted = released_loss(torch.cat(projected).double(), torch.cat([label, label])[:, 0])

    assert values["released"] == pytest.approx(wanted.item(), rel=1e-5)
    assert values["pixels"] != pytest.approx(wanted.item(), rel=1e-3)


def test_nearly_every_pixel_of_a_published_group_gets_the_label_of_another_one_in_its_column() -> None:
    own = torch.arange(8 * 19 * 19).view(8, 19, 19)
    given = torch.tensor(released_order(own))

    assert torch.equal(given % 19, own.flatten() % 19)
    # 2 rows of 8 x 19 stay where they were
    assert int((given == own.flatten()).sum()) == 2 * 19


def test_most_pixels_of_a_group_get_another_pixels_class() -> None:
    _, labels = a_group(8, 19)
    right = labels.flatten()
    moved = torch.tensor(released_order(labels)) != right

    # the figures of the bundle's README
    assert moved.float().mean().item() == pytest.approx(0.49, abs=0.005)
    assert moved[right > 0].float().mean().item() == pytest.approx(0.76, abs=0.005)


def test_the_released_labels_of_a_coarse_map_are_aligned_at_the_corners_and_ours_at_the_centers() -> None:
    pixels = torch.arange(224)
    released = ndimage.zoom(pixels.numpy(), 28 / 224, order=0).tolist()

    assert released[:3] + released[-1:] == [0, 8, 17, 223]
    assert nearest_pixels(pixels, [8]).tolist() == list(range(4, 224, 8))
    # a cell covers the pixels 8 i to 8 i + 7: theirs is from the one side of it at one end, from the other at the other
    assert [released[i] - 8 * i for i in (0, 13, 27)] == [0, 3, 7]
