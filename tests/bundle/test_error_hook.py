from __future__ import annotations

import sys
from collections.abc import Callable
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


@pytest.fixture
def unreadable_note(tmp_path: Path) -> ValueError:
    """An error that this package raises about a file, from a library's."""
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ValueError, match="not valid JSON") as caught:
        training_settings(tmp_path / "model.pt", **PAPER)
    return caught.value


@pytest.mark.usefixtures("own_hook")
@pytest.mark.parametrize("wrap", [wrapped, lambda error: error], ids=["wrapped", "as it is"])
def test_what_a_user_can_mend_is_one_line(
    wrap: Callable[[BaseException], BaseException],
    unreadable_note: ValueError,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    explain_errors()
    report(wrap(unreadable_note))
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"fewlabel: error: {tmp_path / 'model.json'} is not valid JSON")


@pytest.mark.usefixtures("own_hook")
@pytest.mark.parametrize("traceback", [True, "true"])
def test_the_traceback_is_printed_when_asked_for(
    traceback: bool | str, unreadable_note: ValueError, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    explain_errors(traceback)
    report(wrapped(unreadable_note))
    lines = capsys.readouterr().err.splitlines()
    assert "RuntimeError: evaluating expression '$@train#trainer.run()'" in lines
    assert lines[-1].startswith(f"fewlabel: error: {tmp_path / 'model.json'} is not valid JSON")


def test_a_traceback_is_asked_for_or_not() -> None:
    with pytest.raises(ValueError, match="expected true or false, got 'all'"):
        explain_errors("all")


@pytest.mark.usefixtures("own_hook")
def test_another_reporter_gets_what_a_user_can_mend_too(
    unreadable_note: ValueError, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda kind, error, traceback: seen.append(error))
    explain_errors()
    report(unreadable_note)
    assert seen == [unreadable_note]
    assert len(capsys.readouterr().err.splitlines()) == 1


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
