"""MONAI's evaluator with mixed precision in bfloat16 on any device."""

from __future__ import annotations

import functools
from typing import Any

import torch
from monai.engines import SupervisedEvaluator
from monai.engines.utils import IterationEvents
from monai.utils.enums import CommonKeys

from fewlabel.conventions.precision import as_evaluated, use_bfloat16


class MixedPrecisionEvaluator(SupervisedEvaluator):
    """Run a network over cases, in bfloat16 where that is asked for; logits are float32 for all that follows.

    MONAI's evaluator has mixed precision on CUDA devices alone, and the logits stay in half precision. Here autocast
    ends with the network: the inferer's softmax, argmax and metrics compute in float32.

    Args:
        amp: as that of :class:`fewlabel.engines.SemiSupervisedTrainer`: "auto", "cuda", "bfloat16" or "off", see
            :func:`fewlabel.conventions.precision.use_bfloat16`; by default "off", as MONAI's evaluators.
        args: those of MONAI's SupervisedEvaluator, as ``kwargs`` are.
        kwargs: without ``amp_kwargs``.

    Raises:
        ValueError: ``amp`` is unknown; or ``compile`` or ``amp_kwargs`` is given while the network runs in bfloat16.
    """

    @functools.wraps(SupervisedEvaluator.__init__)  # type: ignore[misc]  # configs may give what it takes, no more
    def __init__(self, *args: Any, amp: bool | str = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        device = torch.device(self.state.device)
        self.amp = use_bfloat16(amp, device)
        self.amp_device = device.type
        if self.amp and (self.compile or self.amp_kwargs):
            raise ValueError('compile and amp_kwargs go with float32 alone: give amp "off", or leave them out')
        if self.amp:
            self.amp_kwargs: dict[str, Any] = {"dtype": torch.bfloat16}

    def _iteration(self, engine: SupervisedEvaluator, batchdata: Any) -> Any:
        if not self.amp:
            return super()._iteration(engine, batchdata)
        batch = self.prepare_batch(batchdata, self.state.device, self.non_blocking, **self.to_kwargs)
        inputs, targets, args, kwargs = batch if len(batch) == 4 else (*batch, (), {})
        self.state.output = {CommonKeys.IMAGE: inputs, CommonKeys.LABEL: targets}
        with self.mode(self.network):
            logits = self.inferer(inputs, as_evaluated(self, self.network), *args, **kwargs)
        self.state.output[CommonKeys.PRED] = logits
        self.fire_event(IterationEvents.FORWARD_COMPLETED)
        self.fire_event(IterationEvents.MODEL_COMPLETED)
        return self.state.output
