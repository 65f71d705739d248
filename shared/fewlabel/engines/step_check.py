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


def gradient_size(method: nn.Module, norm_type: float = math.inf) -> Tensor:
    """Return a norm of the gradient over all parameters, which is finite if all of it is; nothing waits for the device.

    Args:
        method: whose parameters have gradients.
        norm_type: 2 for clipping. By default the largest entry, which can't overflow as a norm of finite entries can.
    """
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients, norm_type=norm_type)


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
