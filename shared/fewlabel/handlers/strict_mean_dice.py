"""The mean Dice of the strict protocol as the metric of an evaluator."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from monai.handlers import IgniteMetricHandler

from fewlabel.handlers.counted import counted_pairs
from fewlabel.handlers.processes import is_main_process
from fewlabel.metrics import StrictDice

_log = logging.getLogger(__name__)
# what progress, history and report say of a mean Dice that is nan
UNMEASURED = "nothing to measure"


class StrictMeanDice(IgniteMetricHandler):
    """:class:`fewlabel.metrics.StrictDice` of the cases that an evaluator segments.

    It is nan, with a warning, where no reference holds any class.

    Args:
        output_transform: from the evaluator's output to one-hot predictions and references.
    """

    def __init__(self, output_transform: Callable[[Any], Any] = counted_pairs) -> None:
        super().__init__(metric_fn=StrictDice(), output_transform=output_transform, save_details=False)
        self._warned = False

    def compute(self) -> float:
        """Return the mean Dice of the round."""
        value: float = super().compute()
        if math.isnan(value) and not self._warned and is_main_process():
            self._warned = True
            _log.warning(
                "%s: no reference of the validation cases holds any class but the background, so no epoch can be "
                "called the best; name other validation cases in splits.json",
                UNMEASURED,
            )
        return value
