from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewlabel.methods.mcsc_v2 import pixels as pixels_module
from fewlabel.methods.mcsc_v2.pixels import Guidance, Pixels, build_guidance
from fewlabel.networks import ContrastProjector
from fewlabel.networks.feature_network import NetworkOutput
from helpers.pixel_networks import make_batch


def views(
    labeled: int = 1, unlabeled: int = 2, size: int = 4, classes: int = 3
) -> tuple[NetworkOutput, NetworkOutput, Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(2, labeled + unlabeled, classes, size, size, generator=generator) * 2
    label = torch.randint(classes, (labeled, 1, size, size), generator=generator)
    return NetworkOutput({}, logits[0], labeled), NetworkOutput({}, logits[1], labeled), label


def some_pixels(maps: int = 3, size: int = 4, seed: int = 0) -> Pixels:
    torch.manual_seed(seed)
    cnn, transformer, label = views(1, maps - 1, size)
    guide = build_guidance(cnn, transformer, label, 0.25)
    features = (
        torch.randn(maps, 5, size, size, requires_grad=True),
        torch.randn(maps, 6, size, size, requires_grad=True),
    )
    return Pixels(*features, ContrastProjector(5, 6, 8, 7, norm_b=True), guide)


def projected_maps(pixels: Pixels) -> Tensor:
    return torch.cat([part.movedim(1, -1).flatten(0, 2) for part in pixels.projector(*pixels.maps)])


@pytest.mark.parametrize("cross", [True, False])
def test_each_pixel_is_guided_as_the_thesis_says(cross: bool) -> None:
    cnn, transformer, label = views()
    guide = build_guidance(cnn, transformer, label, 0.25, cross)
    entropies = []
    for student, guided_by in enumerate((transformer, cnn) if cross else (cnn, transformer)):
        for image in range(3):
            for row in range(4):
                for column in range(4):
                    at = (3 * student + image, row, column)
                    p = guided_by.logits[image, :, row, column].softmax(dim=0)
                    torch.testing.assert_close(guide.probabilities[at[0], :, row, column], p)
                    known = image == 0
                    assert guide.labeled[at] == known
                    assert guide.labels[at] == (label[0, 0, row, column] if known else p.argmax())
                    if known:
                        assert guide.certain[at]
                    else:
                        entropies.append((-(p * p.log()).sum().item(), bool(guide.certain[at])))
    # of 2 networks x 2 images x 16 unlabeled pixels a quarter is uncertain, those with the highest entropy
    assert [certain for _, certain in sorted(entropies)] == [True] * 48 + [False] * 16


def test_without_unlabeled_images_every_pixel_is_certain() -> None:
    guide = build_guidance(*views(labeled=2, unlabeled=0), uncertain_fraction=1.0)

    assert guide.certain.all()
    assert guide.labeled.all()


def test_with_a_share_of_one_no_unlabeled_pixel_is_certain() -> None:
    guide = build_guidance(*views(), uncertain_fraction=1.0)

    assert torch.equal(guide.certain, guide.labeled)


def test_a_coarse_map_is_guided_by_the_pixels_beside_the_centers() -> None:
    cnn, transformer, label = views(size=8)
    guide = build_guidance(cnn, transformer, label, 0.5)
    coarse = guide.at(4)

    assert coarse.labels.shape == (6, 2, 2)
    for row in range(2):
        for column in range(2):
            fine = (4 * row + 2, 4 * column + 2)
            assert torch.equal(coarse.labels[:, row, column], guide.labels[:, fine[0], fine[1]])
            assert torch.equal(coarse.certain[:, row, column], guide.certain[:, fine[0], fine[1]])
            assert torch.equal(coarse.probabilities[:, :, row, column], guide.probabilities[:, :, fine[0], fine[1]])


def test_projecting_chosen_pixels_equals_choosing_among_projected_ones_and_so_do_the_gradients() -> None:
    pixels = some_pixels()
    indices = torch.randperm(96)[:40]
    weights = torch.randn(40, 7)
    inputs = [*pixels.maps, *pixels.projector.parameters()]

    ours, theirs = pixels.embed(indices), projected_maps(pixels)[indices]
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(*(torch.autograd.grad((v * weights).sum(), inputs) for v in (ours, theirs)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-5)
    assert pixels.projected == 40


def test_guidance_and_maps_number_the_pixels_alike() -> None:
    pixels = some_pixels()
    position = (3 + 2) * 16 + 1 * 4 + 3  # the Transformer's third image, second row, fourth column

    assert pixels.labels[position] == pixels.guide.labels[5, 1, 3]
    assert torch.equal(pixels.probabilities[position], pixels.guide.probabilities[5, :, 1, 3])
    expected = pixels.projector(*pixels.maps)[1][2, :, 1, 3]
    torch.testing.assert_close(pixels.embed(torch.tensor([position]))[0], expected)


@pytest.mark.parametrize("chunk", [1, 16, 32, 10**6])
def test_centers_in_pieces_equal_the_mean_over_all_members_and_so_do_the_gradients(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pixels_module, "CHUNK", chunk)
    pixels = some_pixels()
    members = torch.rand(96, 3) > 0.6
    weights = torch.randn(3, 7)
    inputs = [*pixels.maps, *pixels.projector.parameters()]
    everyone = projected_maps(pixels)
    means = torch.stack([everyone[column].mean(dim=0) for column in members.T])
    literal = means / means.norm(dim=1, keepdim=True)

    ours = pixels.centers(members)
    torch.testing.assert_close(ours, literal)
    for mine, other in zip(*(torch.autograd.grad((v * weights).sum(), inputs) for v in (ours, literal)), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-3, atol=1e-5)


def test_the_backward_pass_keeps_no_projection_of_a_map() -> None:
    pixels = some_pixels(maps=4)
    kept: list[torch.Size] = []

    def note(tensor: Tensor) -> Tensor:
        kept.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        pixels.centers(torch.ones(len(pixels.labels), 3, dtype=torch.bool))
        pixels.embed(torch.arange(5))

    # 8 and 7 are the channels of the projections: of 4 maps of 16 pixels none may be kept
    assert not [shape for shape in kept if len(shape) == 4 and shape[1] in (7, 8)]
    assert kept


def test_a_class_without_members_has_no_center_and_an_empty_choice_still_reaches_the_projector() -> None:
    pixels = some_pixels()
    nothing = torch.zeros(0, dtype=torch.long)
    vectors, centers = pixels.embed(nothing), pixels.centers(torch.zeros(96, 3, dtype=torch.bool))

    assert vectors.shape == (0, 7)
    assert not centers.any()
    vectors.sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in pixels.projector.parameters())


def test_maps_off_the_grid_of_the_guidance_are_an_error() -> None:
    pixels = some_pixels()
    with pytest.raises(ValueError, match=r"maps of \(4, 4\) and \(4, 4\) pixels are not on the grid of \(2, 2\)"):
        Pixels(*pixels.maps, pixels.projector, pixels.guide.at(2))


def test_guidance_has_no_gradient() -> None:
    batch = make_batch()
    logits = torch.randn(4, 4, 8, 8, requires_grad=True)
    view = NetworkOutput({}, logits, 2)
    guide: Guidance = build_guidance(view, view, batch["labeled"]["label"], 0.2)

    assert not guide.probabilities.requires_grad
