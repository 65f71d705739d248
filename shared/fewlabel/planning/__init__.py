"""Plan a training run from a dataset, this machine and some minutes, as an overlay of `train.json`."""

from fewlabel.planning.fingerprint import Fingerprint, read_fingerprint
from fewlabel.planning.plan import Plan, make_plan, plan_training
from fewlabel.planning.step_cost import StepCost
from fewlabel.planning.template import Template, read_template

__all__ = [
    "Fingerprint", "Plan", "StepCost", "Template", "make_plan", "plan_training", "read_fingerprint", "read_template",
]  # fmt: skip
