"""A strong view of a batch that was augmented weakly before, on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from fewlabel.transforms.strong.filters import apply_along_axes, blurring
from fewlabel.transforms.strong.intensities import spread_of


def strong_view(
    images: Tensor,
    generator: torch.Generator | None = None,
    jitter: float = 0.5,
    jitter_prob: float = 0.8,
    blur: tuple[float, float] = (0.1, 2.0),
    blur_prob: float = 0.5,
    noise: float = 0.06,
    noise_prob: float = 0.3,
) -> Tensor:
    """Return images whose brightness, contrast, sharpness and noise are changed at random, each image by itself.

    No pixel moves, so that labels and predictions of the weak view correspond. The ranges of brightness, contrast and
    blur are those of UniMatch (Yang et al., "Revisiting weak-to-strong consistency in semi-supervised semantic
    segmentation", CVPR 2023), which has neither noise nor images beyond [0, 1]: here brightness is a factor about the
    image's minimum, so that standardized images change as those in [0, 1] do, and nothing is clipped.

    Args:
        images: (B, C, *spatial); float32 is computed and returned, under autocast too.
        generator: where the randomness comes from, PyTorch's own if not given; on the CPU.
        jitter: largest relative change of brightness, and of contrast about the mean.
        jitter_prob: with which an image has both changed.
        blur: least and largest standard deviation of a Gaussian blur, pixels.
        blur_prob: with which an image is blurred.
        noise: largest standard deviation of Gaussian noise, as a fraction of the image's spread, see
            :func:`fewlabel.transforms.strong.intensities.spread_of`.
        noise_prob: with which an image gets noise.

    >>> strong_view(torch.rand(4, 1, 16, 16)).shape
    torch.Size([4, 1, 16, 16])
    """
    axes = tuple(range(2, images.ndim))
    column = (len(images), *[1] * (images.ndim - 1))

    def draw(low: float, high: float, prob: float, neutral: float) -> Tensor:
        values = low + (high - low) * torch.rand(len(images), generator=generator)
        chosen = torch.rand(len(images), generator=generator) < prob
        return torch.where(chosen, values, torch.tensor(neutral)).to(images.device)

    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        view = images.as_subclass(Tensor).float()
        jittered = torch.rand(len(images), generator=generator) < jitter_prob
        brightness, contrast = (
            torch.where(jittered, 1 - jitter + 2 * jitter * torch.rand(len(images), generator=generator), 1.0)
            .to(images.device)
            .view(column)
            for _ in range(2)
        )
        view = torch.lerp(view.amin(axes, keepdim=True), view, brightness)
        view = torch.lerp(view.mean(axes, keepdim=True), view, contrast)
        sigma = draw(*blur, blur_prob, 0.0)
        view = apply_along_axes(view, [blurring(size, sigma) for size in images.shape[2:]])
        deviation = draw(0.0, noise, noise_prob, 0.0).view(column)
        drawn = torch.randn(view.shape, generator=generator).to(images.device)
        return torch.addcmul(view, drawn, deviation * spread_of(view, leading=2))
