"""VCLIPSeg's two overlays: the loss of each is that of the paper's equations, or of the released code, written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from monai.bundle import ConfigParser
from torch import Tensor, nn

from fewlabel.engines.loss_weights import as_weights
from helpers.bundle_runs import places, short, workflow
from helpers.bundles import config, leaves, read_json

BUNDLE, OVERLAYS = "vclipseg", ("as_printed", "as_released")
PROGRESS = 0.17  # of the training: iteration 2,550 of 15,000


@pytest.fixture
def made(phantoms: Callable[[str], Path], tmp_path: Path) -> Callable[..., ConfigParser]:
    def make(*overlays: str) -> ConfigParser:
        own = {"dataset_dir": str(phantoms("atrium")), **places(tmp_path), **short(BUNDLE), "paper#channels": 2}
        return workflow(BUNDLE, "train", *overlays, **own, text="stand_in").parser

    return make


def undecided(network: nn.Module) -> dict[str, Any]:
    """A batch of which both decoders see either class in half of the voxels, and whose labels are the first one's."""
    generator = torch.Generator().manual_seed(1)
    labeled, unlabeled = (torch.randn(2, 1, 32, 32, 32, generator=generator) for _ in range(2))
    with torch.no_grad():
        first, second, _ = network.outputs(labeled)
        for decoder, logits in ((network.first, first), (network.second, second)):
            decoder.head.bias[1] -= (logits[:, 1] - logits[:, 0]).median()
        label = network.outputs(labeled).first.argmax(dim=1, keepdim=True)
    return {"labeled": {"image": labeled, "label": label}, "unlabeled": {"image": unlabeled}}


def outputs(network: nn.Module, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """Probabilities of both decoders, and the projections."""
    with torch.no_grad():
        first, second, projections = network.outputs(images)
    return [first.softmax(dim=1), second.softmax(dim=1)], list(projections)


def dice(p: Tensor, truth: Tensor) -> Tensor:
    return 1 - (2 * (p * truth).sum() + 1e-8) / (p.sum() + truth.sum() + 1e-8)


def entropy(p: Tensor, truth: Tensor) -> Tensor:
    return -(truth * p.log()).sum(dim=1).mean()


def weights(losses: list[Tensor]) -> list[float]:
    powers = [math.exp(1 - 1 / (1 + math.exp(-float(loss)))) for loss in losses]
    return [power / sum(powers) for power in powers]


def cosine_loss(prototypes: list[Tensor], text: Tensor) -> Tensor:
    return torch.stack([1 - F.cosine_similarity(p, t, dim=0) for p, t in zip(prototypes, text, strict=True)]).mean()


def printed(network: nn.Module, given: dict[str, Any], progress: float) -> float:
    """Equations 4 to 11, with Dice of all classes, soft pseudo-labels of unlabeled patches, and one projection head."""
    label = given["labeled"]["label"]
    truth = torch.cat([1 - label, label], dim=1).float()
    (a, b), projections = outputs(network, torch.cat([given["labeled"]["image"], given["unlabeled"]["image"]]))
    n = len(label)

    def all_classes(p: Tensor, target: Tensor) -> Tensor:
        return (dice(p[:, 0], target[:, 0]) + dice(p[:, 1], target[:, 1])) / 2

    labeled = [all_classes(p[:n], truth) for p in (a, b)]  # eq. 6
    w = weights(labeled)  # eq. 7, 8
    mixed = w[0] * a[n:] + w[1] * b[n:]  # eq. 9
    unlabeled = sum(all_classes(p[n:], mixed) + entropy(p[n:], mixed) for p in (a, b))  # eq. 10

    (features,) = [F.normalize(projected[:n], dim=1) for projected in projections]
    right = (a[:n].argmax(1) == label[:, 0]) & (b[:n].argmax(1) == label[:, 0])
    mask = truth * right[:, None]
    whole = F.interpolate(features, scale_factor=16, mode="nearest")  # a feature is that of all voxels of its block
    prototypes = [(whole * mask[:, k, None]).sum(dim=(0, 2, 3, 4)) / mask[:, k].sum() for k in range(2)]  # eq. 4
    text = cosine_loss(prototypes, network.text)  # eq. 5
    return float(sum(labeled) + math.exp(-5 * (1 - progress) ** 2) * unlabeled + 0.5 * text)  # eq. 11


def released(network: nn.Module, given: dict[str, Any], progress: float) -> float:
    """The code: half the foreground's Dice, hard pseudo-labels of all patches, weights that rise in 40 stairs."""
    label = given["labeled"]["label"]
    (a, b), projections = outputs(network, torch.cat([given["labeled"]["image"], given["unlabeled"]["image"]]))
    n = len(label)
    labeled = [dice(p[:n, 1], label[:, 0].float()) for p in (a, b)]
    w = weights(labeled)
    hard = F.one_hot((w[0] * a + w[1] * b).argmax(dim=1), 2).movedim(-1, 1).float()
    consistency = sum(dice(p[:, 1], hard[:, 1]) + entropy(p, hard) for p in (a, b))

    corner = (slice(None), *[slice(None, None, 16)] * 3)
    right = (a[:n].argmax(1)[corner] == label[:, 0][corner]) & (b[:n].argmax(1)[corner] == label[:, 0][corner])
    prototypes = []
    for k in range(2):
        chosen = right & (label[:, 0][corner] == k)
        both = [F.normalize(projected, dim=-1)[:n].movedim(1, -1)[chosen] for projected in projections]
        prototypes.append(torch.cat(both).mean(dim=0))
    stair = min(round(progress * 15_000) // 150, 40)
    ramp = math.exp(-5 * (1 - stair / 40) ** 2)
    return float(0.5 * sum(labeled) + ramp * consistency + 0.5 * cosine_loss(prototypes, network.text))


@pytest.mark.parametrize(("overlay", "literal"), [("as_printed", printed), ("as_released", released)])
def test_the_loss_of_an_overlay_is_its_source_written_out(
    overlay: str, literal: Callable[..., float], made: Callable[..., ConfigParser]
) -> None:
    torch.manual_seed(0)
    parser = made(overlay)
    method = parser.get_parsed_content("method").eval()
    own = as_weights(parser.get_parsed_content("weights"))
    given = undecided(method.network)

    with torch.no_grad():
        terms = method(given, PROGRESS)
    total = sum(own[name](PROGRESS) * float(term) for name, term in terms.items())

    assert min(map(float, terms.values())) > 0
    assert total == pytest.approx(literal(method.network, given, PROGRESS), rel=1e-5)


def test_the_overlays_differ_in_the_same_keys_and_the_default_is_neither() -> None:
    training = leaves(read_json(config(BUNDLE, "train")))
    changes = {name: read_json(config(BUNDLE, name)) for name in OVERLAYS}
    common = changes["as_printed"].keys()
    assert common <= changes["as_released"].keys()
    for content in changes.values():
        assert {key for key, value in content.items() if training[key] != value}


def test_as_released_a_patch_is_always_mirrored_unless_labels_name_sides(made: Callable[..., ConfigParser]) -> None:
    def mirror(*overlays: str, **more: Any) -> float:
        parser = made(*overlays)
        parser.update(more)
        (found,) = [t for t in parser.get_parsed_content("train#augmentation").transforms if "Flip" in type(t).__name__]
        return float(found.prob)

    assert mirror("as_released") == 1.0
    assert mirror() == 0.5
    assert mirror("as_released", mirror=False) == 0.0
