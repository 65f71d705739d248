"""Learning rates over the steps of a training run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


class PolynomialWarmup(LambdaLR):
    r"""Polynomial decay after an optional linear warm-up, per parameter group.

    The rate is :math:`lr \cdot ((t + 1) / t_w)` for steps :math:`t < t_w` and
    :math:`lr \cdot (1 - (t - t_w) / (T - t_w))^{power}` afterwards; it is stepped once per training step.

    Args:
        optimizer: its groups are told apart by their ``name``, see
            :meth:`fewlabel.methods.base.Method.parameter_groups`.
        total_steps: T, steps of the whole training.
        power: exponent of the decay.
        warmup: share of the training :math:`t_w / T` by group name; groups not named start at their full rate.

    Raises:
        ValueError: a name that no group has, a share outside [0, 1), or no steps.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        power: float = 0.9,
        warmup: Mapping[str, float] | None = None,
    ) -> None:
        shares = dict(warmup or {})
        names = [group.get("name", "") for group in optimizer.param_groups]
        if set(shares) - set(names):
            raise ValueError(f"warmup names {sorted(set(shares) - set(names))}, but the groups are {names}")
        if total_steps < 1 or any(not 0 <= share < 1 for share in shares.values()):
            raise ValueError(f"need total_steps >= 1 and warmup shares in [0, 1), got {total_steps} and {shares}")

        super().__init__(
            optimizer, [_factor(total_steps, power, round(shares.get(name, 0.0) * total_steps)) for name in names]
        )


def _factor(total_steps: int, power: float, warmup_steps: int) -> Callable[[int], float]:
    # a function, not an object: LambdaLR would save an object's settings and put them over those of a resumed run
    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        # a warm-up close to 1 may round to all steps of a short training
        done = (step - warmup_steps) / max(total_steps - warmup_steps, 1)
        return float(max(1 - done, 0.0) ** power)

    return factor
