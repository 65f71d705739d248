"""Tell before the optimizer's step whether the loss and all gradients are finite, waiting for the device once."""

from __future__ import annotations

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


def gradient_size(method: nn.Module) -> Tensor:
    """Return the norm of the gradient over all parameters of a method; nothing here waits for the device.

    It is finite only if all of the gradient is, and of all reductions it is among the fastest.
    """
    gradients = [parameter.grad for parameter in method.parameters() if parameter.grad is not None]
    return nn.utils.get_total_norm(gradients)


def require_finite_step(
    method: nn.Module,
    terms: Mapping[str, Tensor],
    weights: Mapping[str, float],
    loss: Tensor,
    size: Tensor,
    where: str,
    clips: bool = False,
) -> None:
    """Refuse a step whose loss terms, loss or gradients are not finite.

    Args:
        method: whose parameters are to be changed.
        terms: the loss terms by name.
        weights: their weights.
        loss: their weighted sum.
        size: what :func:`gradient_size` returned.
        where: the step, for the message.
        clips: whether the gradient will be divided by ``size``, which must be finite then; otherwise finite gradients
            whose norm overflows pass.

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
        broken = not_finite(gradients)
        if broken or clips:
            named = first_few(broken) or "all parameters together"
            raise ValueError(f"the gradient of {named} is not finite in {where}, though the loss is; {_FIX}")
