"""Segment a person's scans, one after the other, whatever happens to one of them."""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.engines import SupervisedEvaluator
from torch import nn
from tqdm import tqdm

from fewlabel.atomic import atomic_write, remove_leftovers
from fewlabel.engines.case_status import CaseStatus, format_summary
from fewlabel.engines.completed import CompletedCases
from fewlabel.engines.fingerprint import of_files, of_settings, of_weights
from fewlabel.engines.label_maps import LabelMapper
from fewlabel.errors import one_line, user_facing_cause
from fewlabel.folder_lock import folders_held
from fewlabel.handlers.scan_grid import own_affine, own_header, own_shape, write_nifti
from fewlabel.stopping import Stopped, when_stopped
from fewlabel.version import __version__

_log = logging.getLogger(__name__)
_NEXT_STEP = "finished cases stay finished; the same command does what is left"
_MEMORY_FIX = "segment fewer slices at a time with --inferer#batch_size 1, or on the CPU with --device cpu"


class Segmenter:
    """Write the label map of every scan on the scan's own grid, and say in the end what was done.

    Of the scan ``<name>`` it writes ``<name>.nii.gz``, in the smallest unsigned integers that hold all classes. With a
    second network it also writes ``<name>_disagreement.nii.gz``, the total variation between the two in [0, 1], and a
    row of ``quality.csv``: the predicted quality, see :func:`fewlabel.metrics.agreement`. The labels are, voxel for
    voxel, those that ``evaluator.run()`` gives.

    A case that was segmented before is skipped while the scan's files, the weights, the settings and this package's
    version are the same. A case that fails is reported, and the others go on.

    Args:
        evaluator: its network, inferer, device and mode are used.
        data: items with the keys ``image``, what ``preprocessing`` loads, and ``name``; without a name, that of the
            file.
        preprocessing: from an item to a case with ``image`` (C, X, Y, Z), of the grid that the file has unless
            ``postprocessing`` brings the result back to it.
        postprocessing: from logits ``pred`` (K, X, Y, Z) to a label map (1, X, Y, Z).
        output_dir: folder of the results.
        uncertainty: compare with ``second_network`` and tell where and how far the two disagree.
        second_network: the second student.

    Raises:
        ValueError: ``uncertainty`` without ``second_network``, or a scan is in ``output_dir``, where its segmentation
            could replace it and would be taken for a scan the next time.
    """

    def __init__(
        self,
        evaluator: SupervisedEvaluator,
        data: Sequence[Mapping[str, Any]],
        preprocessing: Callable[[Any], Any],
        postprocessing: Callable[[Any], Any],
        output_dir: str | os.PathLike[str],
        uncertainty: bool = False,
        second_network: nn.Module | None = None,
    ) -> None:
        if uncertainty and second_network is None:
            raise ValueError(
                "uncertainty is how far two networks disagree, and this bundle trains one; leave --uncertainty out, or "
                "take a bundle that trains two, such as cts or mcsc"
            )
        self.evaluator = evaluator
        self.data = list(data)
        self.preprocessing = preprocessing
        self.postprocessing = postprocessing
        self.output_dir = Path(output_dir)
        self.second_network = second_network if uncertainty else None
        self.finished = CompletedCases(self.output_dir)
        for item in self.data:
            if any(Path(file).resolve().parent == self.output_dir.resolve() for file in _files(item["image"])):
                raise ValueError(
                    f"{_first(item)} is in the folder of the results, {self.output_dir}; choose another with "
                    "--output_dir"
                )

    def run(self) -> list[CaseStatus]:
        """Segment the cases, print a summary, and return what became of each.

        Raises:
            FolderInUseError: another run works in ``output_dir``.
            SystemExit: with code 1 if a case failed, 130 or 143 if the run was stopped; after the summary.
        """
        with folders_held(self.output_dir), when_stopped(lambda: _NEXT_STEP):
            remove_leftovers(self.output_dir)
            return self._run()

    def _run(self) -> list[CaseStatus]:
        mapper = LabelMapper(self.evaluator, self.postprocessing, self.second_network)
        marks = {
            "weights": of_weights(*mapper.networks),
            "settings": of_settings(self.preprocessing, mapper.inferer, self.postprocessing, mapper.amp),
            "version": __version__,
            "uncertainty": str(self.second_network is not None),
        }
        outcomes: list[CaseStatus] = []
        stopped = 0
        try:
            for item in tqdm(self.data, unit="case", disable=not sys.stderr.isatty(), dynamic_ncols=True):
                outcomes.append(self._case(item, mapper, marks))
                with tqdm.external_write_mode(file=sys.stderr):
                    _log.info("%s", outcomes[-1])
        except (KeyboardInterrupt, Stopped) as reason:
            stopped = int(getattr(reason, "code", 130))
        print(f"\n{format_summary(outcomes, len(self.data), self.output_dir)}")
        if self.second_network is not None:
            self._write_quality()
        if stopped:
            raise SystemExit(stopped)
        if any(outcome.state == "failed" for outcome in outcomes):
            raise SystemExit(1)
        return outcomes

    def _case(self, item: Mapping[str, Any], mapper: LabelMapper, marks: Mapping[str, str]) -> CaseStatus:
        began = time.perf_counter()
        name = _name(item)
        try:
            marks = {"scan": of_files(item["image"]), **marks}
            if self.finished.is_finished(name, marks):
                return CaseStatus(name, "skipped")
            in_network = self._segment(item, name, mapper, marks)
        except Exception as error:  # whatever it is, it is this case's, and told in the summary
            return CaseStatus(name, "failed", cause=self._cause(item, error))
        return CaseStatus(name, "done", time.perf_counter() - began, in_network)

    def _segment(self, item: Mapping[str, Any], name: str, mapper: LabelMapper, marks: Mapping[str, str]) -> float:
        """Segment a case, write the results, and return the seconds that this took without reading and writing."""
        case = self.preprocessing(dict(item))
        image = case["image"]
        shape, affine, header = own_shape(image), own_affine(image), own_header(image)
        began = time.perf_counter()
        found = mapper(case)
        spent = time.perf_counter() - began
        volumes = {f"{name}.nii.gz": found.labels}
        if found.disagreement is not None:
            volumes[f"{name}_disagreement.nii.gz"] = found.disagreement
        for volume in volumes.values():
            if volume.shape != shape:
                raise ValueError(
                    f"{_first(item)} has {shape} voxels, but its segmentation {volume.shape}: a transform of "
                    "preprocessing changes the grid; undo it with Invertd in postprocessing (uncertainty needs the "
                    "scan's own grid throughout)"
                )
        self.finished.begin(name)
        for file, volume in volumes.items():
            write_nifti(self.output_dir / file, volume, affine, header)
        self.finished.finish(name, marks, list(volumes), found.quality)
        return spent

    def _cause(self, item: Mapping[str, Any], error: Exception) -> str:
        cause = user_facing_cause(error)
        _log.debug("%s", _first(item), exc_info=error)
        if isinstance(cause, torch.cuda.OutOfMemoryError):
            torch.cuda.empty_cache()
        text = one_line(cause)
        if isinstance(cause, torch.cuda.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
            text = f"not enough memory: {_MEMORY_FIX} ({text[:200]})"
        file = _first(item)
        return text if file in text else f"{file}: {text}"

    def _write_quality(self) -> None:
        text = io.StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(["name", "predicted_quality"])
        for name in map(_name, self.data):
            quality = self.finished.quality(name)
            if quality is not None or (self.output_dir / f"{name}_disagreement.nii.gz").is_file():
                table.writerow([name, "" if quality is None else f"{quality:.4f}"])
        atomic_write(self.output_dir / "quality.csv", text.getvalue().encode())


def _files(image: Any) -> list[str]:
    return [str(file) for file in image] if isinstance(image, list | tuple) else [str(image)]


def _first(item: Mapping[str, Any]) -> str:
    return _files(item["image"])[0]


def _name(item: Mapping[str, Any]) -> str:
    return str(item["name"]) if "name" in item else Path(_first(item)).name.split(".")[0]
