from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from fewlabel.conventions.labels import IGNORED
from fewlabel.methods import (
    BidirectionalCopyPaste,
    CertaintyGuidedContrastiveLoss,
    CrossPseudoSupervision,
    CrossTeaching,
    DynamicLabeling,
    InterpolationConsistency,
    MeanTeacher,
    Method,
    MutualConsistency,
    QueryConsistency,
    ReCoLoss,
    RotationConsistency,
    Supervised,
    UncertaintyAwareMeanTeacher,
)
from helpers.pixel_networks import PixelNetwork, build_mcsc, build_mcsc_v2

CONTRASTS = ("segmentation_contrast", "query_contrast")


class Pixelwise(nn.Module):
    """Two students and a layer of queries, none of which lets a pixel or a block of two look at another."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        layer = nn.Conv2d if axes == 2 else nn.Conv3d
        self.first, self.second, self.coarse = layer(1, 3, 1), layer(1, 3, 1), layer(1, 3, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.first(x)
        return found


class Decoders(Pixelwise):
    def outputs(self, x: Tensor) -> list[Tensor]:
        return [self.first(x), self.second(x)]


class Queries(Pixelwise):
    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        return self.first(x), self.second(x).log_softmax(dim=1), [self.coarse(x).log_softmax(dim=1)]


class WithText(Pixelwise):
    def __init__(self, axes: int) -> None:
        super().__init__(axes)
        self.register_buffer("text", torch.eye(3))

    def outputs(self, x: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        return self.first(x), self.second(x), [self.coarse(x)]


def build_mcsc_v2_with(loss: Callable[..., nn.Module], **options: Any) -> Method:
    return build_mcsc_v2(num_classes=3, contrastive_loss=partial(loss, **options), strides=(1, 2))


guided = partial(build_mcsc_v2_with, CertaintyGuidedContrastiveLoss, num_anchors=20, num_keys=20, bank_size=100)
METHODS: dict[str, tuple[int, Callable[[], Method]]] = {
    "supervised": (2, lambda: Supervised(Pixelwise(2))),
    "cts": (2, lambda: CrossTeaching(PixelNetwork(3, 3), PixelNetwork(4, 3))),
    "mcsc": (2, lambda: build_mcsc(patch_sizes={1: 4, 2: 2}, warmup=0.0)),
    "mcsc_v2": (2, guided),
    "mcsc_v2 without APS and NS": (2, partial(guided, certain_anchors=False, ranked_negatives=False)),
    "mcsc_v2 with drawn centers": (2, partial(guided, center="drawn")),
    "reco": (2, partial(build_mcsc_v2_with, ReCoLoss)),
    "bcp": (2, lambda: BidirectionalCopyPaste(Pixelwise(2))),
    "cts, mixed": (2, lambda: CrossTeaching(PixelNetwork(3, 3), PixelNetwork(4, 3), mixing="cut_mix")),
    "mean_teacher": (2, lambda: MeanTeacher(Pixelwise(2))),
    "uamt": (2, lambda: UncertaintyAwareMeanTeacher(Pixelwise(2))),
    "cps": (2, lambda: CrossPseudoSupervision(Pixelwise(2), Pixelwise(2), teach_labeled=True)),
    "ict": (2, lambda: InterpolationConsistency(Pixelwise(2))),
    "dct": (2, lambda: RotationConsistency(Pixelwise(2))),
    "mc_net": (3, lambda: MutualConsistency(Decoders(3))),
    "mc_net_2d": (2, lambda: MutualConsistency(Decoders(2), loss="dice")),
    "vclipseg": (3, lambda: DynamicLabeling(WithText(3))),
    "vclipseg, labeled images taught": (3, lambda: DynamicLabeling(WithText(3), teach_labeled=True)),
    "dk_uxnet": (3, lambda: QueryConsistency(Queries(3))),
}


def make_batch(axes: int, spoiled: bool = False, ignore: slice | None = slice(4)) -> dict[str, Any]:
    """Two labeled images, of which one half is ignored, and one unlabeled; ``spoiled`` puts noise where it is."""
    generator = torch.Generator().manual_seed(3)
    size = [8] * axes
    image, strong = torch.rand(2, 3, 1, *size, generator=generator)
    label = torch.randint(3, (2, 1, *size), generator=generator)
    noise = 10 * torch.rand(2, 2, 1, *size, generator=torch.Generator().manual_seed(4))
    if ignore is not None:
        label[..., ignore] = IGNORED
    if spoiled:
        for view, other in zip((image, strong), noise, strict=True):
            view[:2, ..., :4] = other[..., :4]
    labeled = {"image": image[:2], "strong": strong[:2], "label": label}
    return {"labeled": labeled, "unlabeled": {"image": image[2:], "strong": strong[2:]}}


def terms_of(name: str, progress: float = 1.0, **batch: Any) -> dict[str, float]:
    axes, build = METHODS[name]
    torch.manual_seed(0)
    method = build()
    torch.manual_seed(1)
    terms = method(make_batch(axes, **batch), progress)
    return {key: float(value) for key, value in terms.items() if key not in CONTRASTS}


@pytest.mark.parametrize("progress", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("name", METHODS)
def test_what_an_image_shows_where_nobody_annotated_changes_no_term(name: str, progress: float) -> None:
    clean, spoiled = (terms_of(name, progress, spoiled=value) for value in (False, True))
    assert clean == pytest.approx(spoiled, rel=1e-5, abs=1e-6)
    assert all(value == value for value in clean.values())


@pytest.mark.parametrize("name", METHODS)
def test_without_ignored_voxels_it_would_matter(name: str) -> None:
    clean, spoiled = (terms_of(name, spoiled=value, ignore=None) for value in (False, True))
    assert clean != pytest.approx(spoiled, rel=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_images_that_nobody_annotated_at_all_leave_losses_that_are_numbers(name: str) -> None:
    axes, build = METHODS[name]
    torch.manual_seed(0)
    method = build()
    terms = method(make_batch(axes, ignore=slice(None)), 1.0)
    total = torch.stack([*terms.values()]).sum()
    total.backward()
    assert bool(total.isfinite())
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in method.parameters())
