"""Score the other networks of a method beside the one that an evaluator runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from fewlabel.conventions.precision import as_evaluated
from fewlabel.handlers.counted import counted_voxels
from fewlabel.metrics import StrictDice


class NetworkScores:
    """Score a method's other networks on the same cases while validation scores the one used for inference.

    Each gets ``val_<name>_mean_dice`` among the evaluator's metrics, by the definition of the key metric, and
    ``evaluator.state.best_of`` has its best one and the epoch of it, ``{name: (mean Dice, epoch)}``, by which
    :class:`fewlabel.handlers.ModelSaver` keeps its weights. Cases are loaded once; a network costs an inference more.

    Attach it to the trainer. Outside the training run the evaluator is left as it is.

    Args:
        evaluator: validates; its inferer, mode and mixed precision are used for all networks.
        networks: by name, that of the evaluator first, see :meth:`fewlabel.methods.base.Method.networks`.

    Raises:
        ValueError: there is no other network.
    """

    def __init__(self, evaluator: Any, networks: Mapping[str, nn.Module]) -> None:
        self.evaluator = evaluator
        self.others = dict(list(networks.items())[1:])
        if not self.others:
            raise ValueError(
                "both_networks scores a second student or a teacher, and this method has one network; leave "
                "--both_networks out"
            )
        self._dice = {name: StrictDice() for name in self.others}
        self._attached: list[Any] = []

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        self.evaluator.state.best_of = {}
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.COMPLETED, self._stop)

    def _start(self, engine: Engine) -> None:
        add = self.evaluator.add_event_handler
        self._attached = [
            add(Events.EPOCH_STARTED, self._reset),
            add(Events.ITERATION_COMPLETED, self._score),
            add(Events.EPOCH_COMPLETED, self),
        ]

    def _stop(self, engine: Engine) -> None:
        for handler in self._attached:
            handler.remove()

    def _reset(self, engine: Engine) -> None:
        for dice in self._dice.values():
            dice.reset()

    def _score(self, engine: Any) -> None:
        for case in engine.state.output:
            image, reference = case["image"][None], case["label"]
            for name, network in self.others.items():
                with engine.mode(network):
                    [logits] = engine.inferer(image, as_evaluated(engine, network)).as_subclass(torch.Tensor)
                self._dice[name]([_one_hot(logits) * counted_voxels(reference)], [reference])

    def __call__(self, engine: Any) -> None:
        """Note the scores of the round that was completed."""
        for name, dice in self._dice.items():
            value = dice.aggregate()
            engine.state.metrics[f"val_{name}_mean_dice"] = value
            best, _ = engine.state.best_of.get(name, (math.nan, -1))
            if not math.isnan(value) and (math.isnan(best) or value > best):
                engine.state.best_of[name] = (value, engine.state.epoch)


def _one_hot(logits: torch.Tensor) -> torch.Tensor:
    """Return zeros and ones (K, *spatial) of logits (K, *spatial)."""
    classes = torch.arange(len(logits), device=logits.device).view(-1, *[1] * (logits.ndim - 1))
    return (logits.argmax(dim=0, keepdim=True) == classes).float()
