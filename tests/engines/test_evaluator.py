from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch

from fewlabel.engines import CheckpointEvaluator
from fewlabel.handlers.case_scores import CaseScores
from fewlabel.metrics import scores
from fewlabel.reports import read_scores_csv, summarize
from helpers.tiny_cases import LABELS, Thresholds, case_evaluator, write_cases

CHECKPOINTS = {"best": Thresholds(0.45, 0.65), "last": Thresholds(0.3, 0.9)}


def evaluation(folder: Path, items: list[dict[str, str]], **settings: Any) -> CheckpointEvaluator:
    network = Thresholds()
    for name, checkpoint in CHECKPOINTS.items():
        torch.save(checkpoint.state_dict(), folder / f"{name}.pt")
    return CheckpointEvaluator(
        case_evaluator(items, network),
        network,
        {name: folder / f"{name}.pt" for name in CHECKPOINTS},
        LABELS,
        folder / "results",
        **{"title": "Tiny", **settings},
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, str]], str]:
    folder = tmp_path_factory.mktemp("evaluation")
    items = write_cases(folder)
    record = {"epoch": 1, "step": 2, "loss": 0.5, "terms": {"supervised": 0.5}, "weights": {"supervised": 1.0}}
    (folder / "history.jsonl").write_text(json.dumps(record) + "\n")
    table = evaluation(folder, items, history=folder / "history.jsonl", settings={"drawn by": "lot"}).run()
    return folder / "results", items, table


def test_the_rows_are_the_metrics_of_the_files_under_both_protocols_and_checkpoints(
    done: tuple[Path, list[dict[str, str]], str],
) -> None:
    results, items, _ = done
    rows = read_scores_csv(results / "scores.csv")
    expected = []
    for checkpoint, network in CHECKPOINTS.items():
        for item in items:
            image, label = nib.load(item["image"]), nib.load(item["label"])
            prediction, reference = network.classes(np.asarray(image.dataobj)), np.asarray(label.dataobj)
            for value, name in ((1, "ring"), (2, "core")):
                for protocol in ("strict", "published"):
                    spacing = [float(size) for size in image.header.get_zooms()]
                    found = scores(prediction == value, reference == value, spacing, protocol)
                    key = {"checkpoint": checkpoint, "case": item["case"], "volume": item["volume"]}
                    expected.append({**key, "class": name, "protocol": protocol, **found})
    assert len(rows) == len(expected) == 2 * 3 * 2 * 2
    for row, wanted in zip(rows, expected, strict=True):
        assert {k: row[k] for k in ("checkpoint", "case", "volume", "class", "protocol")} == {
            k: wanted[k] for k in ("checkpoint", "case", "volume", "class", "protocol")
        }
        for metric in ("dice", "jaccard", "hd95", "asd"):
            assert row[metric] == pytest.approx(wanted[metric], rel=1e-6, nan_ok=True)
    assert 0 < min(row["dice"] for row in rows) < 0.95  # neither all right nor all wrong


def test_segmentations_lie_on_the_scans_own_grid(done: tuple[Path, list[dict[str, str]], str]) -> None:
    results, items, _ = done
    for checkpoint, network in CHECKPOINTS.items():
        for item in items:
            scan = nib.load(item["image"])
            segmentation = nib.load(results / "predictions" / checkpoint / f"{item['volume']}.nii.gz")
            assert segmentation.shape == scan.shape
            assert np.array_equal(segmentation.affine, scan.affine)
            assert segmentation.get_data_dtype() == np.uint8
            assert np.array_equal(np.asarray(segmentation.dataobj), network.classes(np.asarray(scan.dataobj)))


def test_table_report_and_picture_appear(done: tuple[Path, list[dict[str, str]], str]) -> None:
    results, _, table = done
    assert {path.name for path in results.iterdir()} == {
        "scores.csv", "summary.txt", "report.html", "cases.png", "predictions",
    }  # fmt: skip
    assert (results / "summary.txt").read_text(encoding="utf-8") == table + "\n"
    assert "best checkpoint, strict protocol: 3 volumes of 3 cases" in table
    assert "last checkpoint, published protocol" in table
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "Tiny" in report
    assert "drawn by" in report
    assert "best.pt" in report


def test_the_cases_shown_are_the_worst_the_median_and_the_best(tmp_path: Path) -> None:
    run = evaluation(tmp_path, [])
    scored = CaseScores("best", LABELS, tmp_path)
    dice = {"a": 0.7, "b": math.nan, "c": 0.9, "d": 0.2, "e": 0.8}
    scored.rows = [{"volume": name, "protocol": "strict", "dice": value} for name, value in dice.items()]
    scored.rows += [{"volume": name, "protocol": "published", "dice": 0.0} for name in dice]

    def shown(*names: str) -> dict[str, str]:
        scored.files = {name: {} for name in names}
        run._view = lambda volume, rank, dice, files: (rank, volume)  # type: ignore[method-assign,assignment,return-value]
        return dict(run._views(scored))

    assert shown("a", "b", "c", "d", "e") == {"worst": "b", "median": "a", "best": "c"}
    assert shown("c", "d") == {"worst": "d", "best": "c"}
    assert list(shown("c")) in (["worst"], ["median"], ["best"])


def relabel(item: dict[str, str], change: Callable[[np.ndarray], np.ndarray]) -> None:
    label = nib.load(item["label"])
    nib.save(nib.Nifti1Image(change(np.asarray(label.dataobj)), label.affine), item["label"])


def test_the_mean_of_the_report_is_the_metric_that_chose_the_weights(tmp_path: Path) -> None:
    items = write_cases(tmp_path)
    relabel(items[0], lambda label: np.where(label == 2, 1, label))  # predicted all the same
    relabel(items[1], lambda label: np.zeros_like(label))
    run = evaluation(tmp_path, items)
    rows = {}
    for name, network in CHECKPOINTS.items():
        validator = case_evaluator(items, network)
        validator.run()
        rows[name] = validator.state.metrics["val_mean_dice"]
    run.run()
    lines = summarize(read_scores_csv(tmp_path / "results" / "scores.csv"))
    means = {line["checkpoint"]: line["dice_mean"] for line in lines if line["protocol"] == "strict"}
    assert means == {name: pytest.approx(value, rel=1e-12) for name, value in rows.items()}
    assert 0 < means["best"] < 0.9


def test_where_no_reference_holds_a_class_the_report_says_that_there_is_nothing_to_measure(tmp_path: Path) -> None:
    items = write_cases(tmp_path)
    for item in items:
        relabel(item, lambda label: np.zeros_like(label))
    validator = case_evaluator(items, CHECKPOINTS["best"])
    validator.run()
    assert math.isnan(validator.state.metrics["val_mean_dice"])
    table = evaluation(tmp_path, items).run()
    assert table.startswith("nothing to measure: no reference of these volumes holds any class but the background.")
    assert "nothing to measure: no reference" in (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    strict = [row for row in read_scores_csv(tmp_path / "results" / "scores.csv") if row["protocol"] == "strict"]
    assert strict
    assert all(math.isnan(row["dice"]) for row in strict)


def with_teacher(folder: Path, items: list[dict[str, str]], files: dict[str, Thresholds]) -> CheckpointEvaluator:
    """An evaluation as of a bundle, with these files of weights, which may score a teacher too."""
    network = Thresholds()
    for name, checkpoint in files.items():
        torch.save(checkpoint.state_dict(), folder / name)
    return CheckpointEvaluator(
        case_evaluator(items, network),
        network,
        {"best": folder / "model.pt", "last": folder / "model_last.pt"},
        LABELS,
        folder / "results",
        "Tiny",
        both_networks=True,
        others={"teacher": network},
    )


BOTH = {
    "model.pt": Thresholds(0.45, 0.65), "model_last.pt": Thresholds(0.3, 0.9),
    "model_teacher_best.pt": Thresholds(0.4, 0.7), "model_teacher_last.pt": Thresholds(0.5, 0.6),
}  # fmt: skip
SECOND = {"model_second.pt": Thresholds(0.2, 0.8), "model_second_last.pt": Thresholds(0.35, 0.75)}


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        (BOTH, {"teacher best": BOTH["model_teacher_best.pt"], "teacher last": BOTH["model_teacher_last.pt"]}),
        ({**BOTH, **SECOND}, {"teacher best": BOTH["model_teacher_best.pt"]}),
        (
            {**dict(list(BOTH.items())[:2]), **SECOND},
            {"teacher at best": SECOND["model_second.pt"], "teacher last": SECOND["model_second_last.pt"]},
        ),
    ],
)
def test_both_networks_are_scored_on_request_each_with_its_own_weights(
    tmp_path: Path, files: dict[str, Thresholds], shown: dict[str, Thresholds]
) -> None:
    items = write_cases(tmp_path)
    table = with_teacher(tmp_path, items, files).run()
    rows = read_scores_csv(tmp_path / "results" / "scores.csv")
    assert list(dict.fromkeys(row["checkpoint"] for row in rows))[:2] == ["best", "last"]
    assert len({row["checkpoint"] for row in rows}) == 4
    means = {line["checkpoint"]: line["dice_mean"] for line in summarize(rows) if line["protocol"] == "strict"}
    for name, network in {"best": BOTH["model.pt"], "last": BOTH["model_last.pt"], **shown}.items():
        validator = case_evaluator(items, network)
        validator.run()
        assert means[name] == pytest.approx(validator.state.metrics["val_mean_dice"], rel=1e-12)
        assert f"{name} checkpoint, strict protocol" in table
        assert (tmp_path / "results" / "predictions" / name.replace(" ", "_") / "scan.0.nii.gz").is_file()
    report = (tmp_path / "results" / "report.html").read_text(encoding="utf-8")
    assert all(name in report.lower() for name in shown)


def test_weights_of_the_other_network_that_are_not_there_are_named_before_anything_is_scored(tmp_path: Path) -> None:
    run = with_teacher(tmp_path, write_cases(tmp_path), dict(list(BOTH.items())[:2]))
    with pytest.raises(FileNotFoundError, match=r"model_teacher_best\.pt: no weights of the teacher.*--both_networks"):
        run.run()
    assert not (tmp_path / "results").exists()


def test_no_case_is_no_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert evaluation(tmp_path, []).run() == ""
    assert "there are no cases to score" in caplog.text
    assert not (tmp_path / "results").exists()


def test_a_missing_checkpoint_and_one_of_another_network_are_errors(tmp_path: Path) -> None:
    run = evaluation(tmp_path, write_cases(tmp_path))
    torch.save({"low": torch.zeros(())}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last.pt: .*1 missing \(high\)"):
        run.run()
    (tmp_path / "best.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"best.pt: no such file"):
        run.run()


def test_a_volume_without_a_name_is_called_as_its_file(tmp_path: Path) -> None:
    items = [{key: item[key] for key in ("image", "label")} for item in write_cases(tmp_path)]
    scored = CaseScores("last", LABELS, tmp_path / "segmentations")
    case_evaluator(items, CHECKPOINTS["last"], val_handlers=[scored]).run()
    assert [row["volume"] for row in scored.rows[::4]] == ["scan.0", "scan.1", "scan.2"]
    assert all(row["case"] == row["volume"] for row in scored.rows)
    assert sorted(path.name for path in (tmp_path / "segmentations").iterdir()) == [
        "scan.0.nii.gz", "scan.1.nii.gz", "scan.2.nii.gz",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    run = evaluation(tmp_path, write_cases(tmp_path))
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(PermissionError, match=r"results.*--output_dir"):
        run.run()


def test_weights_are_not_scored_with_other_settings_than_they_were_trained_with(tmp_path: Path) -> None:
    window = {"mode": "window", "low": -160, "high": 240}
    items = write_cases(tmp_path)
    (tmp_path / "best.json").write_text(json.dumps({"intensity": window, "size": 96, "num_classes": 3}))
    with pytest.raises(ValueError, match=r"best\.pt: these weights were trained with .*'window'.* but would be scored"):
        evaluation(tmp_path, items, settings={"intensity": {"mode": "minmax"}, "size": 96}).run()
    assert not (tmp_path / "results" / "scores.csv").exists()
    assert evaluation(tmp_path, items, settings={"intensity": window, "size": 96}).run()
