"""How many steps fit into the minutes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from fewlabel.planning.fingerprint import Fingerprint
from fewlabel.planning.settings import Setting
from fewlabel.planning.step_cost import StepCost

FEWEST, MOST = 4, 10  # validations
SHARE = 0.15  # of the time that validations may take before there are fewer
LEAST_STEPS = 40
SPARE = 1.25  # times the steps of `small.json` may be affordable before a plan takes more of them


@dataclass(frozen=True)
class Schedule:
    """Steps of a training run.

    Args:
        validations: how often the validation volumes are scored.
        steps_per_epoch: steps between two validations.
        overhead: seconds for everything but steps.
        kept: whether steps and validations are those of `small.json`.
    """

    validations: int
    steps_per_epoch: int
    overhead: float
    kept: bool = False

    @property
    def steps(self) -> int:
        """All steps."""
        return self.validations * self.steps_per_epoch


def fit_schedule(
    minutes: float,
    fingerprint: Fingerprint,
    cost: StepCost,
    *,
    unlabeled: bool = True,
    known: tuple[int, int] | None = None,
) -> Schedule:
    """Return the schedule that fits into the minutes, from the start to the evaluation of two checkpoints.

    A known one is kept where it fits and the minutes hold at most a quarter more of its steps.

    Args:
        minutes: that there are.
        fingerprint: of the dataset.
        cost: measured.
        unlabeled: whether the method reads unlabeled volumes.
        known: steps, and steps per epoch, that serve inputs and batches of these sizes well.

    Raises:
        ValueError: fewer than 40 steps fit; the message says how many minutes would do.
    """
    volumes = fingerprint.labeled + (fingerprint.unlabeled if unlabeled else 0)
    once = cost.start + cost.preparation * volumes + 2 * cost.validation * fingerprint.scored
    each = cost.validation * fingerprint.validation
    if known is not None:
        steps, steps_per_epoch = known
        validations = steps // steps_per_epoch
        schedule = Schedule(validations, steps_per_epoch, once + validations * each, kept=True)
        if 1 <= (60 * minutes - schedule.overhead) / (schedule.steps * cost.step) <= SPARE:
            return schedule
    left = 60 * minutes - once
    affordable = math.floor(SHARE * left / each) if each > 0 else MOST
    validations = max(FEWEST, min(MOST, affordable))
    overhead = once + validations * each
    steps_per_epoch = math.floor((60 * minutes - overhead) / cost.step / validations)
    if validations * steps_per_epoch < LEAST_STEPS:
        needed = math.ceil((once + FEWEST * each + 2 * LEAST_STEPS * cost.step) / 60)
        raise ValueError(
            f"{minutes:g} minutes are too few: {overhead:.0f} s go to reading, validation and evaluation, and a step "
            f"takes {cost.step:.2g} s; give --minutes {needed} or more"
        )
    return Schedule(validations, steps_per_epoch, overhead)


def schedule_settings(schedule: Schedule, minutes: float, cost: StepCost) -> Iterator[Setting]:
    """Yield the settings of a schedule."""
    reason = (
        f"{minutes:g} minutes, less {schedule.overhead:.0f} s for reading, {schedule.validations} validations and the "
        f"evaluation, at {cost.step:.3g} s a step"
    )
    if schedule.kept:
        reason = f"those of small.json, which need {_needed(schedule, cost):.1f} of {reason}"
    yield Setting("paper#steps", schedule.steps, reason)
    yield Setting("paper#steps_per_epoch", schedule.steps_per_epoch, f"{schedule.validations} validations")


def _needed(schedule: Schedule, cost: StepCost) -> float:
    return (schedule.overhead + schedule.steps * cost.step) / 60
