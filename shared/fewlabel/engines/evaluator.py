"""Score a bundle's checkpoints and report on them."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Events
from monai.engines import Evaluator
from nibabel.affines import voxel_sizes
from torch import nn

from fewlabel.atomic import atomic_write
from fewlabel.conventions.orientation import find_reorientation
from fewlabel.data import read_volume
from fewlabel.data.files.volumes import read_channels, read_header
from fewlabel.engines.other_checkpoints import other_checkpoints
from fewlabel.folder_lock import folders_held
from fewlabel.handlers.case_scores import CaseScores
from fewlabel.handlers.history import read_history
from fewlabel.handlers.model_saver import load_network
from fewlabel.handlers.processes import is_main_process, wait_for_all
from fewlabel.handlers.strict_mean_dice import UNMEASURED
from fewlabel.json_files import read_json
from fewlabel.reports import CaseView, case_picture, format_table, summarize, write_report, write_scores_csv
from fewlabel.stopping import when_stopped
from fewlabel.version import __version__

_log = logging.getLogger(__name__)
_NO_REFERENCE = f"{UNMEASURED}: no reference of these volumes holds any class but the background."
_NEXT_STEP = "the weights are saved and the scores are not; score them with fewlabel evaluate and the same options"


class CheckpointEvaluator:
    """Segment and score the evaluator's cases with each checkpoint; write the scores, a table and a report.

    Both the last checkpoint and the best on validation are scored, each under both protocols, so that nobody has to
    guess which one a number belongs to. Into ``output_dir`` go ``scores.csv`` (a row per volume, class, checkpoint and
    protocol), ``summary.txt``, ``report.html``, ``cases.png`` and ``predictions/<checkpoint>/``. Of several processes
    all segment, since the evaluator's metrics wait for each other, and the main one writes.

    Args:
        evaluator: runs over the cases; its output holds one-hot ``pred`` and ``label``.
        network: the network that the evaluator runs.
        checkpoints: files of weights by name, the one to show cases of first.
        labels: class names by value.
        output_dir: folder of the results.
        title: heading of the report.
        history: the training's ``history.jsonl``; curves are drawn from it if it is there.
        settings: what else a reader should know of the run, by name.
        split: what the cases are, "test" or "validation", which table and report then say.
        both_networks: score ``others`` too, with the last weights and those of their own best epoch, which a training
            run keeps that scored them (:class:`fewlabel.handlers.NetworkScores`). A second student's weights are always
            kept of the first one's best epoch; without those of its own, these are scored, and named so.
        others: networks by the name that the method gives them. A teacher has the architecture of ``network``, and may
            be the same module.

    Raises:
        FileNotFoundError: a checkpoint is missing.
        ValueError: a checkpoint belongs to another architecture, or was trained with other settings.
    """

    def __init__(
        self,
        evaluator: Evaluator,
        network: nn.Module,
        checkpoints: Mapping[str, str | os.PathLike[str]],
        labels: Mapping[int, str],
        output_dir: str | os.PathLike[str],
        title: str,
        history: str | os.PathLike[str] | None = None,
        settings: Mapping[str, Any] | None = None,
        split: str = "",
        both_networks: bool = False,
        others: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self.evaluator = evaluator
        self.network = network
        self.labels = dict(labels)
        self.checkpoints = {name: Path(path) for name, path in checkpoints.items()}
        self.output_dir = Path(output_dir)
        self.title = title
        self.history = history
        self.settings = dict(settings or {})
        self.split = split
        self.others = dict(others or {}) if both_networks else {}

    def run(self) -> str:
        """Do it, print the summary table and return it.

        Raises:
            FolderInUseError: another run works in ``output_dir``.
        """
        with folders_held(*([self.output_dir] if is_main_process() else [])), when_stopped(lambda: _NEXT_STEP):
            return self._run()

    def _run(self) -> str:
        wait_for_all()  # the main process may still be writing the checkpoints
        if not self.evaluator.state.epoch_length:
            _log.warning("there are no cases to score: no table and no report")
            return ""
        to_score = {name: (path, self.network) for name, path in self.checkpoints.items()}
        to_score |= other_checkpoints(self.checkpoints, self.others)
        scored = {name: self._score(name, path, network) for name, (path, network) in to_score.items()}
        if not is_main_process():
            return ""
        rows = [row for scores in scored.values() for row in scores.rows]
        views = self._views(next(iter(scored.values())))
        notes = []
        if not any(scores.measurable for scores in scored.values()):
            rows = [_unmeasured(row) for row in rows]
            notes = [_NO_REFERENCE]
        write_scores_csv(rows, self.output_dir / "scores.csv")
        table = "\n\n".join([*notes, format_table(summarize(rows), self.split)])
        atomic_write(self.output_dir / "summary.txt", (table + "\n").encode())
        write_report(
            self.output_dir / "report.html",
            title=self.title,
            rows=rows,
            history=[] if self.history is None else read_history(self.history),
            cases=views,
            split=self.split,
            settings={"fewlabel": __version__, "date": date.today().isoformat(), **_readable(self.settings)},
            sources={name: str(path) for name, (path, _) in to_score.items()},
            notes=notes,
        )
        case_picture(views, self.output_dir / "cases.png")
        print(f"\n{table}\n\nreport:  {self.output_dir / 'report.html'}\npicture: {self.output_dir / 'cases.png'}")
        return table

    def _score(self, name: str, path: Path, network: nn.Module) -> CaseScores:
        self._check_note(path)
        self.evaluator.network = load_network(network, path)
        scores = CaseScores(name, self.labels, self.output_dir / "predictions" / name.replace(" ", "_"))
        if not is_main_process():
            self.evaluator.run()
            return scores
        with self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, scores):
            self.evaluator.run()
        return scores

    def _check_note(self, path: Path) -> None:
        """Refuse to score weights with other settings than they were trained with, as far as both are known."""
        note = path.with_suffix(".json")
        if not note.is_file():
            return
        noted = read_json(note)
        now = {key: self.settings[key] for key in noted if key in self.settings}
        trained = {key: noted[key] for key in now}
        if trained != json.loads(json.dumps(now)):
            raise ValueError(
                f"{path}: these weights were trained with {trained}, but would be scored with {now}; give the settings "
                "of the training run again"
            )

    def _views(self, scores: CaseScores) -> list[CaseView]:
        """Return the worst, the median and the best case by mean strict Dice; nan counts as the worst."""
        strict = [row for row in scores.rows if row["protocol"] == "strict"]
        dice = {name: _mean([row["dice"] for row in strict if row["volume"] == name]) for name in scores.files}
        order = sorted(dice, key=lambda volume: (not np.isnan(dice[volume]), dice[volume]))
        chosen = {order[0]: "worst", order[-1]: "best"}
        chosen.setdefault(order[len(order) // 2], "median")
        return [
            self._view(volume, chosen[volume], dice[volume], scores.files[volume])
            for volume in order
            if volume in chosen
        ]

    def _view(self, volume: str, rank: Any, dice: float, files: Mapping[str, Path]) -> CaseView:
        image, affine = read_channels(files["image"])[0], read_header(files["image"]).affine
        # shown as the network sees them, cut along the same axis
        order = find_reorientation(affine, image.shape, getattr(self.evaluator.inferer, "slice_axis", "auto"))
        spacing = voxel_sizes(order.affine(affine, image.shape))
        arrays = {"image": image, **{key: read_volume(files[key])[0] for key in ("prediction", "label")}}
        # what nobody annotated is no class
        arrays["label"] = np.where(np.isin(arrays["label"], list(self.labels)), arrays["label"], 0)
        shown = {key: order.apply_to_array(array) for key, array in arrays.items()}
        return CaseView(
            volume=volume,
            rank=rank,
            dice=dice,
            # the first axis runs to the patient's right or front: turned, so that it runs across the picture
            image=shown["image"].swapaxes(0, 1),
            prediction=shown["prediction"].swapaxes(0, 1),
            reference=shown["label"].swapaxes(0, 1),
            spacing=[spacing[axis] for axis in (1, 0, 2)],
            labels=self.labels,
        )


def _unmeasured(row: Mapping[str, Any]) -> dict[str, Any]:
    """Take the overlap from a row of the strict protocol, as the metric that chooses the best weights has none."""
    return {**row, "dice": math.nan, "jaccard": math.nan} if row["protocol"] == "strict" else dict(row)


def _readable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Spread nested settings out, and name a class with its arguments instead of showing how Python holds them."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, partial):
            arguments = ", ".join(f"{key}={argument}" for key, argument in value.keywords.items())
            flat[name] = f"{value.func.__name__}({arguments})"
        elif isinstance(value, Mapping):
            flat.update(_readable({f"{name}, {key}": inner for key, inner in value.items()}))
        else:
            flat[name] = value
    return flat


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not np.isnan(value)]
    return float(np.mean(finite)) if finite else float("nan")
