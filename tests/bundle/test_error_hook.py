from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fewlabel.bundle import explain_errors, training_settings

PAPER = {"size": 224, "norm": "batch"}


def report(error: BaseException) -> None:
    sys.excepthook(type(error), error, error.__traceback__)


def wrapped(cause: BaseException) -> RuntimeError:
    outer = RuntimeError("evaluating expression '$@train#trainer.run()'")
    outer.__cause__ = RuntimeError("creating cohort")
    outer.__cause__.__cause__ = cause
    return outer


@pytest.fixture
def own_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)


@pytest.mark.usefixtures("own_hook")
@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (ValueError("scan.nii.gz: broken"), "fewlabel: error: scan.nii.gz: broken"),
        (KeyError("label"), "fewlabel: error: KeyError: 'label'"),
        (MemoryError(), "fewlabel: error: MemoryError: "),
    ],
)
def test_the_last_line_is_what_happened_first(
    cause: BaseException, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    explain_errors()
    report(wrapped(cause))
    err = capsys.readouterr().err
    assert "evaluating expression" in err
    assert err.rstrip("\n").splitlines()[-1] == line


@pytest.mark.usefixtures("own_hook")
def test_our_own_message_is_told_rather_than_the_librarys_behind_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON") as caught:
        training_settings(tmp_path / "model.pt", **PAPER)
    explain_errors()
    report(wrapped(caught.value))
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"fewlabel: error: {tmp_path / 'model.json'}: not valid")


@pytest.mark.usefixtures("own_hook")
def test_an_error_without_a_cause_is_not_said_twice(capsys: pytest.CaptureFixture[str]) -> None:
    explain_errors()
    report(ValueError("scan.nii.gz: broken"))
    assert capsys.readouterr().err.count("scan.nii.gz: broken") == 1


@pytest.mark.usefixtures("own_hook")
def test_another_reporter_keeps_its_place_and_nothing_is_said_twice(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: seen.append(error))
    explain_errors()
    explain_errors()
    error = wrapped(ValueError("broken"))
    report(error)
    assert seen == [error]
    assert capsys.readouterr().err == "\nfewlabel: error: broken\n"
