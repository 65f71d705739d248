from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from fewlabel.losses import local_contrastive, nt_xent
from fewlabel.methods import GLCLLoss, ReCoLoss
from fewlabel.methods.mcsc_v2.pixels import Guidance, Pixels
from fewlabel.networks import ContrastProjector


def some_pixels(sure: float = 0.9, size: int = 4, labeled: bool = False) -> Pixels:
    """Two slices in both networks; classes in columns 0, 1, 2, 2, each with top probability ``sure``."""
    torch.manual_seed(0)
    labels = torch.tensor([0, 1, 2, 2]).repeat(size // 4).expand(4, size, size).contiguous()
    probabilities = torch.full((4, 3, size, size), (1 - sure) / 2).scatter(1, labels[:, None], sure)
    known = torch.full_like(labels, labeled, dtype=torch.bool)
    maps = [torch.randn(2, channels, size, size, requires_grad=True) for channels in (5, 6)]
    guide = Guidance(probabilities, labels, known, torch.ones_like(known))
    return Pixels(*maps, ContrastProjector(5, 6, 8, 7), guide)


def everyone(pixels: Pixels) -> Tensor:
    return torch.cat([part.movedim(1, -1).flatten(0, 2) for part in pixels.projector(*pixels.maps)])


def test_reco_with_two_classes_is_its_formula_over_all_queries_and_the_keys_that_were_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pixels = some_pixels()
    pixels.labels[pixels.labels == 2] = 1
    vectors = everyone(pixels).detach()
    reco = ReCoLoss(3, num_queries=10**6, num_keys=5, temperature=0.5)
    drawn: list[Tensor] = []
    embed = pixels.embed

    def note(indices: Tensor) -> Tensor:
        drawn.append(indices)
        return embed(indices)

    monkeypatch.setattr(pixels, "embed", note)
    value = reco(pixels).item()

    queries, *keys = drawn  # of both classes, then keys of class 1 for class 0 and the other way around
    assert len(queries) == len(pixels.labels)
    losses = []
    for c in (0, 1):
        assert (pixels.labels[keys[c]] == 1 - c).all()
        own = vectors[pixels.labels == c]
        mean = own.mean(dim=0) / own.mean(dim=0).norm()
        per_query = []
        for query in own:
            positive = math.exp(query @ mean / 0.5)
            negative = sum(math.exp(query @ vectors[key] / 0.5) for key in keys[c])
            per_query.append(-math.log(positive / (positive + negative)))
        losses.append(sum(per_query) / len(per_query))
    assert value == pytest.approx(sum(losses) / 2, rel=1e-4)


def test_reco_draws_more_keys_from_the_class_that_is_nearer() -> None:
    pixels = some_pixels(size=8)
    reco = ReCoLoss(3, num_keys=4000, temperature=0.5)
    members = pixels.of_class(3)
    means = torch.tensor([[1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]])

    _, labels = reco._keys(pixels, members, means, 0, [1, 2])

    near = math.exp(0.8 / 0.5) / (math.exp(0.8 / 0.5) + math.exp(-1 / 0.5))
    assert (labels == 1).float().mean().item() == pytest.approx(near, abs=0.02)


@pytest.mark.parametrize(
    ("sure", "labeled", "contrasted"),
    [(0.6, False, False), (0.6, True, True), (0.8, False, True), (0.98, False, False), (0.98, True, False)],
)
def test_reco_learns_from_valid_pixels_that_are_not_easy(sure: float, labeled: bool, contrasted: bool) -> None:
    value = ReCoLoss(3)(some_pixels(sure, labeled=labeled))

    assert (value.item() > 0) == contrasted
    value.backward()


def test_reco_of_a_single_class_is_zero_with_a_graph() -> None:
    pixels = some_pixels()
    pixels.labels[:] = 1
    value = ReCoLoss(3)(pixels)
    value.backward()

    assert value.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in pixels.projector.parameters())


def test_reco_projects_only_what_it_draws_apart_from_the_means() -> None:
    pixels = some_pixels(size=8)
    ReCoLoss(3, num_queries=4, num_keys=5)(pixels)

    assert pixels.projected == len(pixels.labels) + 3 * (4 + 5)


def test_glcl_over_whole_maps_is_the_sum_of_its_two_losses() -> None:
    pixels = some_pixels()
    maps = pixels.projector(*pixels.maps)
    groups = torch.cat([part.flatten(2).mT for part in maps], dim=1)  # slice by slice, both networks
    labels = torch.cat([part.flatten(1) for part in (pixels.guide.labels[:2], pixels.guide.labels[2:])], dim=1)
    pooled = pixels.projector(*(part.mean(dim=(2, 3)) for part in pixels.maps))

    value = GLCLLoss(3, block=16, temperature=0.2)(pixels)

    expected = nt_xent(*pooled, temperature=0.2) + local_contrastive(groups, labels, 0.2)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_glcl_takes_the_same_block_of_both_networks_and_projects_no_more() -> None:
    pixels = some_pixels(size=8)
    slopes = torch.autograd.grad(GLCLLoss(3, block=2)(pixels), pixels.maps)
    # the global part is the same for all pixels of a slice: what differs from it is the block
    touched = []
    for slope in slopes:
        common = slope.flatten(2).median(dim=2).values[:, :, None, None]
        touched.append((slope - common).abs().amax(dim=1) > 1e-6)

    assert pixels.projected == 2 * 2 * (2 * 2 + 1)
    assert torch.equal(*touched)
    for part in touched[0]:
        assert part.sum() == 4
        assert part.any(dim=0).sum() == part.any(dim=1).sum() == 2
