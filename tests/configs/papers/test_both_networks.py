"""Two students, or a student and its teacher, scored side by side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from fewlabel.handlers import read_history
from fewlabel.reports import read_scores_csv, summarize
from helpers.bundle_runs import Trained, places, run, tiny, workflow


def means(folder: Path) -> dict[str, float]:
    """The mean Dice by checkpoint, strict protocol."""
    lines = summarize(read_scores_csv(folder / "scores.csv"))
    return {
        line["checkpoint"]: line["dice_mean"]
        for line in lines
        if (line["class"], line["protocol"]) == ("mean", "strict")
    }


@pytest.mark.parametrize(("bundle", "other"), [("cts", "transformer"), ("bcp", "teacher")])
def test_training_and_its_evaluation_score_both_where_that_is_asked_for(
    bundle: str, other: str, phantoms: Callable[[str], Path], tmp_path: Path
) -> None:
    run(
        bundle, "train", dataset_dir=str(phantoms("cardiac")), labeled_cases=2, both_networks="true",
        **places(tmp_path), **tiny(bundle, steps=4, steps_per_epoch=2),
    )  # fmt: skip
    history = [epoch["validation"] for epoch in read_history(tmp_path / "eval" / "history.jsonl")]
    assert [set(epoch) for epoch in history] == [{"mean_dice", f"{other}_mean_dice"}] * 2
    found = means(tmp_path / "eval")
    assert list(found) == ["best", "last", f"{other} best", f"{other} last"]
    for name, key in (("", "mean_dice"), (f"{other} ", f"{other}_mean_dice")):
        assert found[f"{name}best"] == pytest.approx(max(epoch[key] for epoch in history), abs=1e-9)
        assert found[f"{name}last"] == pytest.approx(history[-1][key], abs=1e-9)


def test_a_training_run_that_scored_one_student_can_be_evaluated_with_both(
    train_once: Callable[[str], Trained], phantoms: Callable[[str], Path], tmp_path: Path
) -> None:
    trained = train_once("cts")
    assert set(means(trained.folder / "eval")) == {"best", "last"}
    options = {
        "dataset_dir": str(phantoms("cardiac")), "output_dir": str(tmp_path / "eval"),
        "ckpt_dir": str(trained.folder / "models"), "both_networks": "true", **tiny("cts"),
    }  # fmt: skip
    run("cts", "train", "evaluate", **options)
    assert set(means(tmp_path / "eval")) == {"best", "last", "transformer at best", "transformer last"}


def test_scoring_without_the_option_has_no_weights_of_the_other_network(
    phantoms: Callable[[str], Path], tmp_path: Path
) -> None:
    made = workflow(
        "supervised", "train", dataset_dir=str(phantoms("cardiac")), **places(tmp_path), **tiny("supervised")
    )
    evaluation = made.parser.get_parsed_content("evaluation")
    assert evaluation.others == {}
    with pytest.raises(RuntimeError) as error:
        workflow(
            "supervised", "train", dataset_dir=str(phantoms("cardiac")), both_networks="true",
            **places(tmp_path), **tiny("supervised"),
        ).parser.get_parsed_content("train#handlers")  # fmt: skip
    cause: BaseException | None = error.value
    while cause is not None and "one network" not in str(cause):
        cause = cause.__cause__
    assert "leave --both_networks out" in str(cause)
    assert isinstance(evaluation.network, torch.nn.Module)
