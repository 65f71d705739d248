"""Make a plan: choose settings by rules, measure them, and let the minutes decide how much detail they can have."""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from fewlabel.atomic import atomic_write, require_writable
from fewlabel.conventions.precision import use_bfloat16
from fewlabel.planning.data_rules import data_settings
from fewlabel.planning.fingerprint import Fingerprint, read_fingerprint
from fewlabel.planning.machine_rules import machine_settings
from fewlabel.planning.measuring import OutOfMemoryError, measure_cost
from fewlabel.planning.patch_rules import patch_settings, patches
from fewlabel.planning.schedule import fit_schedule, schedule_settings
from fewlabel.planning.settings import Setting, replaced
from fewlabel.planning.slice_rules import first_size, slice_settings, slice_sizes
from fewlabel.planning.step_cost import StepCost
from fewlabel.planning.template import Template, read_template

FEWEST_STEPS = 1500  # with fewer, even the smallest structure is not worth the pixels
ENOUGH_STEPS = 4000  # with few labels, more steps than these are better spent on detail
_BATCHES = ("paper#labeled_batch_size", "paper#unlabeled_batch_size")

_DISTURBED = (
    "other programs slow this machine down: of {cost.step:.3g} s a step, {cost.computing:.3g} s are its own; plan "
    "again once they have ended, or fewer steps are planned than fit"
)

Measure = Callable[[Sequence[Setting]], StepCost]


@dataclass(frozen=True)
class Plan:
    """A planned overlay.

    Args:
        template: the configs that it starts from.
        settings: what the plan decides, with reasons; the rest is that of `small.json`.
        cost: what was measured with these settings.
    """

    template: Template
    settings: tuple[Setting, ...]
    cost: StepCost

    @property
    def overlay(self) -> dict[str, object]:
        """The content of the overlay: `small.json`, and what the plan decides."""
        return {**self.template.small, **{setting.key: setting.value for setting in self.settings}}

    def __str__(self) -> str:
        kept = [key for key in self.template.small if key not in {setting.key for setting in self.settings}]
        gpu = f", {self.cost.gpu_memory:.0f} MiB on the GPU" if self.cost.gpu_memory else ""
        return "\n".join(
            [
                *map(str, self.settings),
                f"as in small.json: {', '.join(kept) or 'nothing'}",
                f"measured on {self.cost.device}: {self.cost.step:.3g} s a step, {self.cost.validation:.3g} s a "
                f"validation volume, {self.cost.memory:.0f} MiB of memory at most{gpu}",
                *([_DISTURBED.format(cost=self.cost)] if self.cost.is_disturbed else []),
            ]
        )


def make_plan(
    fingerprint: Fingerprint,
    template: Template,
    minutes: float,
    measure: Measure,
    bfloat16: bool = False,
) -> Plan:
    """Return the plan for a fingerprint; the same costs give the same plan.

    Detail starts with the least that shows the smallest structure. It shrinks, at most to that of `small.json`, until
    1500 steps fit, or grows while 4000 still do. A batch that the memory does not hold is halved.

    Args:
        fingerprint: of the dataset.
        template: configs of the bundle.
        minutes: from the start of the training run to the end of its evaluation.
        measure: runs a few steps with settings.
        bfloat16: whether this machine has instructions for it.

    Raises:
        ValueError: the minutes are too few, or the memory does not hold a step of one image.
    """
    common = [*data_settings(fingerprint, template), *machine_settings(template, bfloat16)]
    choices, chosen = _choices(fingerprint, template)
    settings, cost = _measured([*common, *choices[chosen][1]], template, measure)
    if (fewer := _shrunk(choices, chosen, 60 * minutes / cost.step)) < chosen:
        chosen = fewer
        settings = replaced(settings, *(_shortened(setting) for setting in choices[chosen][1]))
        cost = measure(settings)
    for number, (pixels, _) in enumerate(choices[chosen + 1 :], start=chosen + 1):
        step = cost.step * pixels / choices[chosen][0]
        if 60 * minutes / step < ENOUGH_STEPS:
            break
        try:
            larger = measure(replaced(settings, *choices[number][1]))
        except OutOfMemoryError:
            break
        if 60 * minutes / larger.step < ENOUGH_STEPS:
            break
        settings, cost, chosen = replaced(settings, *choices[number][1]), larger, number
    schedule = fit_schedule(
        minutes,
        fingerprint,
        cost,
        unlabeled=template.value(_BATCHES[1]) > 0,
        known=_known_schedule(template, settings),
    )
    return Plan(template, (*settings, *schedule_settings(schedule, minutes, cost)), cost)


def plan_training(
    dataset: str | os.PathLike[str],
    out: str | os.PathLike[str],
    minutes: float = 60,
    bundle: str = "supervised",
    labeled_cases: int | None = None,
    seed: int = 0,
) -> Plan:
    """Write the overlay of a plan, once every key of it is known to the bundle.

    Args:
        dataset: the dataset's folder.
        out: the new file, which ends in .json; one that is there is replaced.
        minutes: for the training run and its evaluation.
        bundle: its name or folder.
        labeled_cases: as for the training run; None for all.
        seed: as for the training run.

    Raises:
        FileNotFoundError: no such dataset or bundle.
        PermissionError: ``out`` can't be written; nothing was measured.
        ValueError: minutes that are no number above 0 or too few, another ending, or a fault of the dataset.
    """
    if isinstance(minutes, bool) or not isinstance(minutes, (int, float)) or not 0 < minutes < float("inf"):
        raise ValueError(f"minutes is {minutes!r}; expected a number above 0")
    if Path(out).suffix != ".json":
        raise ValueError(f"{out}: an overlay's name ends in .json; name it plan.json, for instance")
    require_writable(Path(out).parent)
    template = read_template(bundle)
    fingerprint = read_fingerprint(dataset, labeled_cases, seed)

    def measure(settings: Sequence[Setting]) -> StepCost:
        return measure_cost(template, settings, dataset, labeled_cases, seed)

    device = "cuda" if torch.cuda.is_available() else "cpu"
    plan = make_plan(fingerprint, template, minutes, measure, use_bfloat16("auto", device))
    _require_known_keys(plan)
    atomic_write(out, _text(plan).encode())
    return plan


def _choices(fingerprint: Fingerprint, template: Template) -> tuple[list[tuple[int, list[Setting]]], int]:
    """Pixels or voxels of an input, and its settings, from little detail to much; and which of them to start with."""
    if template.kind == "slices":
        sizes = slice_sizes(fingerprint, template.value("paper#size"))
        choices = [(size * size, list(slice_settings(size, fingerprint))) for size in sizes]
        return choices, first_size(fingerprint, sizes)
    return [(math.prod(patch.size), list(patch_settings(patch, fingerprint))) for patch in patches(fingerprint)], 0


def _shrunk(choices: Sequence[tuple[int, list[Setting]]], chosen: int, steps: float) -> int:
    """The largest choice up to the chosen one at which enough steps fit, as far as pixels tell, or the first one."""
    fitting = [
        number
        for number, (pixels, _) in enumerate(choices[: chosen + 1])
        if steps * choices[chosen][0] / pixels >= FEWEST_STEPS
    ]
    return max(fitting, default=0)


def _shortened(setting: Setting) -> Setting:
    return replace(setting, reason=f"{setting.reason}; more would leave fewer than {FEWEST_STEPS} steps")


def _known_schedule(template: Template, settings: Sequence[Setting]) -> tuple[int, int] | None:
    """Steps, and steps per epoch, of `small.json`, where inputs and batches are as large as there."""
    planned = {setting.key: setting.value for setting in settings}
    sizes = [key for key in ("paper#size", *_BATCHES) if key in template.small]
    if any(planned.get(key, template.small[key]) != template.small[key] for key in sizes):
        return None
    return template.value("paper#steps"), template.value("paper#steps_per_epoch")


def _measured(settings: list[Setting], template: Template, measure: Measure) -> tuple[list[Setting], StepCost]:
    batches = {key: template.value(key) for key in _BATCHES if template.has(key)}
    while True:
        try:
            return settings, measure(settings)
        except OutOfMemoryError:
            if max(batches.values()) <= 1:
                raise
            batches = {key: min(size, max(1, size // 2)) for key, size in batches.items()}
            smaller = (Setting(key, size, "a larger batch does not fit into memory") for key, size in batches.items())
            settings = replaced(settings, *smaller)


def _require_known_keys(plan: Plan) -> None:
    from fewlabel.bundle.command_line.keys import require_known_keys

    with tempfile.TemporaryDirectory(prefix="fewlabel-plan-") as folder:
        file = Path(folder) / "plan.json"
        file.write_text(json.dumps(plan.overlay))
        require_known_keys([str(plan.template.file), str(file)], {})


def _text(plan: Plan) -> str:
    from fewlabel.bundle.recipes.json_text import format_json, read_json

    spelled = read_json(plan.template.file.with_name("small.json"))  # 5e-4 stays 5e-4
    return format_json({**spelled, **{setting.key: setting.value for setting in plan.settings}})
