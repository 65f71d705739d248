"""Tell before the optimizer's step whether the loss and all gradients are finite, waiting for the device once."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from fewlabel.finite import not_finite
from fewlabel.listing import first_few

_FIX = (
    "no weight was changed by this step. Look for extreme intensities in the images, lower the learning rate, or clip "
    "gradients with --train#trainer#clip_norm 1; what was saved before is intact (--resume true goes on from it, with "
    "other settings --resume true --resume_changed true)"
)


def gradient_size(method: nn.Module, clip_norm: float | None = None) -> Tensor:
    """Return a number that is finite if all gradients are, after clipping them; nothing here waits for the device.

    That is their norm where it is needed for clipping, and else their largest entry, which unlike the norm of finite
    gradients can't overflow.

    Args:
        method: whose parameters have gradients.
        clip_norm: largest norm of the gradient over all parameters; None for no clipping.
    """
    if clip_norm is not None:
        return nn.utils.clip_grad_norm_(method.parameters(), clip_norm)
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients, norm_type=math.inf)


def require_finite_step(
    method: nn.Module, terms: Mapping[str, Tensor], weights: Mapping[str, float], loss: Tensor, size: Tensor, where: str
) -> None:
    """Refuse a step whose loss terms, loss or gradients are not finite.

    Args:
        method: whose parameters are to be changed.
        terms: the loss terms by name.
        weights: their weights.
        loss: their weighted sum.
        size: what :func:`gradient_size` returned.
        where: the step, for the message.

    Raises:
        ValueError: with the names of the terms or of the parameters, the step, and what to do.
    """
    numbers = torch.stack([number.detach().to(loss) for number in (*terms.values(), loss, size)])
    *of_terms, of_loss, of_gradient = torch.isfinite(numbers).tolist()  # the only time that a step waits
    broken = [name for name, finite in zip(terms, of_terms, strict=True) if not finite]
    if broken:
        raise ValueError(f"loss term {', '.join(broken)} is not finite in {where}; {_FIX}")
    if not of_loss:
        raise ValueError(f"the loss is not finite in {where}, though its terms are, with the weights {weights}; {_FIX}")
    if not of_gradient:
        gradients = {name: parameter.grad for name, parameter in method.named_parameters()}
        # finite gradients may have a norm that is not
        named = first_few(not_finite(gradients)) or "all parameters together"
        raise ValueError(f"the gradient of {named} is not finite in {where}, though the loss is; {_FIX}")
