"""Network weights on disk: the best on validation and the last, as plain state dicts."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from fewlabel.atomic import atomic_open, atomic_write
from fewlabel.finite import not_finite
from fewlabel.handlers.processes import is_main_process
from fewlabel.handlers.strict_mean_dice import UNMEASURED
from fewlabel.handlers.tensor_file import read_tensor_file
from fewlabel.listing import first_few

_log = logging.getLogger(__name__)
BEST, LAST = "model.pt", "model_last.pt"
# MONAI Label takes the file with the shortest name for the network's weights: none may be shorter than model.pt
SECOND_FILES = {BEST: "model_second.pt", LAST: "model_second_last.pt"}
# what these files were called before 0.1.0
FORMER_SECOND_FILES = {"model_second.pt": "model_peer.pt", "model_second_last.pt": "model_peer_last.pt"}


def is_better(current: float, best: float) -> bool:
    """Compare validation metrics for MONAI's evaluators; nan, the mean over nothing, is worse than any number."""
    return not math.isnan(current) and (math.isnan(best) or current > best)


class ModelSaver:
    """Save the network's weights: ``model.pt``, best on validation, and ``model_last.pt``, after the last epoch.

    Both hold tensors only and load into ``network_def``; the settings that inference needs are noted beside them, in
    files that end in ``.json``. Without validation cases, and where validation has nothing to measure, the last weights
    are saved as ``model.pt`` too. Attach it behind the handler that validates.

    Weights that are not finite are never written: those that were saved before stay, and the run fails.

    A second student goes into ``model_second.pt`` and ``model_second_last.pt``, always of the same epoch: where the two
    disagree is where the segmentation is to be doubted, see :func:`fewlabel.metrics.disagreement`.

    A network that :class:`fewlabel.handlers.NetworkScores` scores beside the first one goes into
    ``model_<name>_best.pt``, of its own best epoch, and ``model_<name>_last.pt``. Where a run does not score it, such
    files of an earlier run are set aside as ``*.previous``.

    Args:
        network: the network that is used for inference.
        ckpt_dir: folder of the files.
        evaluator: the evaluator that validates; it knows which epoch was the best.
        settings: what inference must know of the training, see :func:`fewlabel.bundle.training_settings`.
        second_network: the second student, of methods that train two.
        networks: of the method by name, that for inference first; those that are scored are kept at their own best.

    Raises:
        PermissionError: the folder can't be written to.
        ValueError: while running, weights that are to be saved are not finite.
    """

    def __init__(
        self,
        network: nn.Module,
        ckpt_dir: str | os.PathLike[str],
        evaluator: Engine,
        settings: Mapping[str, Any] | None = None,
        second_network: nn.Module | None = None,
        networks: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.network = network
        self.ckpt_dir = Path(ckpt_dir)
        self.evaluator = evaluator
        self.settings = settings
        self.second_network = second_network
        self.others = dict(list((networks or {}).items())[1:])

    @property
    def folder(self) -> Path:
        """Where the weights are written."""
        return self.ckpt_dir

    def attach(self, engine: Engine) -> None:
        """Attach to a trainer."""
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._last)

    def __call__(self, engine: Engine) -> None:
        """Save the weights if this epoch's are the best so far."""
        # the evaluator's epoch counter is set to the trainer's at each validation
        state = self.evaluator.state
        if state.best_metric_epoch == engine.state.epoch and not math.isnan(state.best_metric):
            self._save(BEST, engine.state.epoch)
        best_of = getattr(state, "best_of", None)
        for name, network in self.others.items():
            if best_of is None:
                self._set_aside(name)
            elif best_of.get(name, (0.0, -1))[1] == engine.state.epoch:
                self._write({other_file(name, BEST): network}, engine.state.epoch)

    def _last(self, engine: Engine) -> None:
        self._save(LAST, engine.state.epoch)
        state = self.evaluator.state
        validated = state.best_metric_epoch >= 1
        if not validated or math.isnan(state.best_metric):
            reason = f"validation had {UNMEASURED}" if validated else "no validation took place"
            _log.warning("%s: %s holds the last weights", reason, self.ckpt_dir / BEST)
            self._save(BEST, engine.state.epoch)

        if hasattr(state, "best_of"):
            for name, network in self.others.items():
                which = (LAST,) if name in state.best_of else (LAST, BEST)
                for each in which:
                    self._write({other_file(name, each): network}, engine.state.epoch)

    def _save(self, name: str, epoch: int) -> None:
        networks = {} if self.second_network is None else {SECOND_FILES[name]: self.second_network}
        self._write({**networks, name: self.network}, epoch)

    def _write(self, networks: dict[str, nn.Module], epoch: int) -> None:
        """Write networks into the files of these names, the last one with the note that inference reads."""
        if not is_main_process():
            return
        # before any file is touched, so that both students and the note stay of one epoch
        for name, network in reversed(networks.items()):
            if broken := not_finite(network.state_dict()):
                raise ValueError(
                    f"{self.ckpt_dir / name}: not written, because {first_few(broken)} of the network is not finite "
                    f"after epoch {epoch}; what was saved before is kept. Lower the learning rate, or clip gradients "
                    "with --train#trainer#clip_norm 1, and go on with --resume true --resume_changed true"
                )
        noted = (self.ckpt_dir / list(networks)[-1]).with_suffix(".json")
        if self.settings is not None:
            atomic_write(noted, json.dumps(dict(self.settings)).encode())
        for name, network in networks.items():
            _write(network, self.ckpt_dir / name)

    def _set_aside(self, name: str) -> None:
        for path in (self.ckpt_dir / other_file(name, which) for which in (BEST, LAST)):
            if is_main_process() and path.exists():
                os.replace(path, path.with_name(f"{path.name}.previous"))


def other_file(name: str, which: str) -> str:
    """Return the file of another network's weights, of its own best epoch (``BEST``) or the last one (``LAST``).

    >>> other_file("teacher", BEST)
    'model_teacher_best.pt'
    """
    return f"model_{name}_{'best' if which == BEST else 'last'}.pt"


def _write(network: nn.Module, path: Path) -> None:
    with atomic_open(path) as stream:
        torch.save({key: value.detach().cpu() for key, value in network.state_dict().items()}, stream)


def load_network(
    network: nn.Module,
    path: str | os.PathLike[str],
    fix: str = "train first, or name a file of weights with --checkpoint",
) -> nn.Module:
    """Load weights that :class:`ModelSaver` wrote into a network of the same architecture, and return it.

    Args:
        network: the network.
        path: file of weights.
        fix: what to do when the file can't be read, the end of the message.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not a state dict, belongs to another architecture, or holds weights that are not finite;
            nothing is loaded.
    """
    state = read_tensor_file(path, fix)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError(f"{path}: holds {_describe(state)}, not a plain state dict of tensors")
    if state and all(str(key).startswith("module.") for key in state):
        raise ValueError(
            f"{path}: all names begin with 'module.', so these weights were saved from a network wrapped for "
            "distributed training; save network.module.state_dict() instead, or take the prefix off with "
            "torch.nn.modules.utils.consume_prefix_in_state_dict_if_present"
        )
    problems = _differences(network.state_dict(), state)
    if problems:
        raise ValueError(
            f"{path}: these weights belong to another architecture than {type(network).__name__}: "
            f"{'; '.join(problems)}. Build the network with the settings it was trained with (--num_classes, say)"
        )
    if broken := not_finite(state):
        raise ValueError(
            f"{path}: {first_few(broken)} is not finite, so the network would segment nothing; take the weights of "
            "another epoch or training run"
        )
    network.load_state_dict(dict(state))
    return network


def _describe(state: Any) -> str:
    return f"a dictionary with {sorted(map(str, state))[:4]}" if isinstance(state, Mapping) else type(state).__name__


def _differences(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    problems = []
    if missing := sorted(expected.keys() - found.keys()):
        problems.append(f"{len(missing)} missing ({_first(missing)})")
    if unknown := sorted(found.keys() - expected.keys()):
        problems.append(f"{len(unknown)} unknown ({_first(unknown)})")
    for key in sorted(expected.keys() & found.keys()):
        if expected[key].shape != found[key].shape:
            problems.append(f"{key} is {tuple(found[key].shape)} instead of {tuple(expected[key].shape)}")
    return problems[:5]


def _first(names: Sequence[str], number: int = 3) -> str:
    return ", ".join([*names[:number], *(["..."] if len(names) > number else [])])
