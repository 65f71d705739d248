from __future__ import annotations

import pytest

from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.planning import read_template
from fewlabel.planning.measured_run import STEPS, Timed
from fewlabel.planning.measuring import measure_cost
from fewlabel.planning.settings import Setting


def test_the_first_steps_do_not_count(monkeypatch):
    # batches are asked for at 0, 9, 18, then every second second
    clock = iter([0, 9, 18, 20, 22, 24, 26, 28])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("time.process_time", lambda: 0.0)
    timed = Timed(range(STEPS))
    assert list(timed) == list(range(STEPS))
    assert len(timed) == STEPS
    assert timed.seconds_per_step() == (2, 0)


def test_a_failing_step_is_explained_by_its_own_message(tmp_path):
    data = write_phantom(tmp_path / "data", cases=4)
    wrong = [Setting("paper#size", 72, "no multiple of 16"), Setting("num_classes", 4, "")]
    with pytest.raises(ValueError, match=r"a training step with the planned settings failed: .*multiples of 16"):
        measure_cost(read_template("supervised"), wrong, data, 1)


def test_a_method_that_reads_text_is_measured_without_clip(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    data = write_phantom(tmp_path / "data", "atrium", cases=4)
    coarse = {"paper#size": [32, 32, 16], "paper#stride": [32, 32, 16], "paper#spacing": [4.4, 4.4, 4.4]}
    settings = [Setting(key, value, "") for key, value in coarse.items()]
    assert measure_cost(read_template("vclipseg"), settings, data, 1).step > 0
