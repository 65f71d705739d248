"""Small networks for the tests of the methods, and batches for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from fewlabel.methods import MCSC, MCSCv2
from fewlabel.networks import SwinUnet, UNet


class PixelNetwork(nn.Module):
    """Looks at single pixels and at blocks of two by two: no normalization, so images do not influence each other."""

    def __init__(self, channels: int, num_classes: int = 4) -> None:
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(1, channels, 1), nn.Conv2d(1, channels + 1, 2, stride=2)
        self.merge = nn.Conv2d(2 * channels + 1, channels, 1)
        self.head = nn.Conv2d(channels, num_classes, 1)
        self.feature_channels = {2: channels + 1, 1: channels}

    def features(self, x: Tensor) -> dict[int, Tensor]:
        coarse = torch.tanh(self.coarse(x))
        up = F.interpolate(coarse, scale_factor=2.0)
        return {2: coarse, 1: self.merge(torch.cat([torch.tanh(self.fine(x)), up], dim=1))}


class OneClass(nn.Module):
    """Is sure of one class, everywhere; ``weight`` is there to be learned but says nothing."""

    def __init__(self, sure_of: int, num_classes: int = 3) -> None:
        super().__init__()
        self.sure_of, self.num_classes = sure_of, num_classes
        self.weight = nn.Parameter(torch.zeros(()))
        self.feature_channels = {1: num_classes}
        self.head = nn.Identity()

    def features(self, x: Tensor) -> dict[int, Tensor]:
        logits = torch.full((len(x), self.num_classes, *x.shape[-2:]), -100.0) + self.weight
        logits[:, self.sure_of] = 100.0 + self.weight
        return {1: logits}


class Unreadable(Mapping[str, Any]):
    """An unlabeled batch whose labels must not be read."""

    def __init__(self, image: Tensor) -> None:
        self.image = image

    def __getitem__(self, key: str) -> Tensor:
        if key != "image":
            raise AssertionError(f"{key!r} of an unlabeled image was read")
        return self.image

    def __iter__(self) -> Iterator[str]:
        return iter(("image", "label"))

    def __len__(self) -> int:
        return 2


def make_batch(labeled: int = 2, unlabeled: int = 2, size: int = 8, num_classes: int = 4) -> dict[str, Any]:
    """Random images, with labels that are background above and random below."""
    generator = torch.Generator().manual_seed(labeled + 10 * unlabeled + 100 * size)
    label = torch.randint(num_classes, (labeled, 1, size, size), generator=generator)
    label[:, :, : size // 2] = 0
    image, others = (torch.rand(n, 1, size, size, generator=generator) for n in (labeled, unlabeled))
    return {"labeled": {"image": image, "label": label}, "unlabeled": {"image": others} if unlabeled else None}


def small_unet(num_classes: int = 4, norm: str = "instance") -> UNet:
    return UNet(num_classes=num_classes, channels=(8,) * 5, dropout=(0.0,) * 5, norm=norm)


def small_swin(num_classes: int = 4) -> SwinUnet:
    return SwinUnet(
        num_classes=num_classes, img_size=32, embed_dim=8, depths=(1, 1, 1, 1), num_heads=(1, 2, 2, 2),
        drop_path=0.0, head_kernel_size=3,
    )  # fmt: skip


def build_mcsc(seed: int = 0, **options: Any) -> MCSC:
    """MCSC with pixel networks, the same ones for the same seed."""
    torch.manual_seed(seed)
    return MCSC(PixelNetwork(3), PixelNetwork(4), **options)


def build_mcsc_v2(seed: int = 0, num_classes: int = 4, sureness: float = 30.0, **options: Any) -> MCSCv2:
    """MCSCv2 with pixel networks whose predictions are sure of some pixels and unsure of others."""
    torch.manual_seed(seed)
    students = PixelNetwork(3, num_classes), PixelNetwork(4, num_classes)
    for student in students:
        student.fine.weight.data *= 5
        student.head.weight.data *= sureness
        with torch.no_grad():  # no class is preferred
            logits = student.head(student.features(torch.rand(1, 1, 32, 32))[1])
            student.head.bias -= logits.mean(dim=(0, 2, 3))
    return MCSCv2(*students, num_classes=num_classes, **options)


def contrast(method: nn.Module, batch: dict[str, Any], progress: float = 1.0, seed: int = 7) -> Tensor:
    """The term ``contrast``, with groups dealt from ``seed``."""
    torch.manual_seed(seed)
    term: Tensor = method(batch, progress)["contrastive"]
    return term
