"""The commands of docs/monai_label.md, in their order, as typed but for paths and ports."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nibabel as nib

from helpers.documented import commands
from helpers.paths import ROOT
from helpers.serving import Server, environment, free_port, started

PAGE = ROOT / "docs" / "monai_label.md"


def test_the_documented_versions_are_those_that_are_tested() -> None:
    installed = [" ".join(command.words[2:]) for command in commands(PAGE) if command.words[:2] == ("pip", "install")]
    recipe = (ROOT / "Makefile").read_text()
    assert installed[0] == "torch==2.13.0 torchvision"
    assert "install --quiet" in recipe
    assert "torch==2.13.0" in recipe
    for line in installed[1:3]:
        assert f"$(LABEL_PIP) {line}" in recipe
    assert installed[3] == "--no-deps ."


def test_the_documented_commands_serve_segment_train_score_and_choose(
    tmp_path: Path, cardiac_zips: Path, real_acdc: Path
) -> None:
    data = tmp_path / "data"
    (data / "studies").mkdir(parents=True)
    shutil.copytree(cardiac_zips, data / "dist")
    shutil.copytree(ROOT / "shared" / "label_app", tmp_path / "label_app")
    scans = sorted((real_acdc / "imagesTr").iterdir())[:3]
    for number, scan in enumerate(scans, 1):
        shutil.copy(scan, data / "studies" / f"scan{number}.nii.gz")
    shutil.copy(real_acdc / "labelsTr" / scans[0].name, data / "corrected.nii.gz")

    lines = [list(command.words) for command in commands(PAGE)]
    answers: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        port = free_port()
        for words in lines:
            if words[0] in ("source", "pip", "fewlabel", "make", "python3.11"):
                continue  # what make test-label and the fixtures have done
            typed = [word.replace("/data/", f"{data}/").replace("8000", str(port)) for word in words]
            typed = [str(tmp_path / "label_app") if word == "shared/label_app" else word for word in typed]
            if "start_server" in typed:
                stack.close()  # the server before
                own = (ROOT / "shared",) if "bundles_dir" in typed else ()
                command = [sys.executable, *typed[1:]]
                server = stack.enter_context(started(command, port, tmp_path, *own))
                server.wait()
                answers["models"] = [*answers.get("models", []), sorted(server.get("/info/")["models"])]
            elif typed[0] == "curl":
                answers[_place(typed)] = _curl(typed, server)
            else:
                typed[0] = sys.executable if typed[0] == "python" else typed[0]
                subprocess.run(typed, env=environment(), check=True)
    assert answers["models"] == [["mcsc", "supervised"]] * 2
    assert nib.load(data / "proposal.nii.gz").shape == nib.load(data / "studies" / "scan1.nii.gz").shape
    assert answers["/info/"]["name"] == "fewlabel"
    assert answers["/train/"]["status"] == "DONE"
    assert answers["/scoring/mcsc_quality"]["scored"] == 2
    assert answers["/activelearning/mcsc_quality"]["id"] in {"scan2", "scan3"}


def _place(typed: list[str]) -> str:
    address = next(word for word in typed if word.startswith("http://"))
    return re.sub(r"http://127.0.0.1:\d+|\?.*", "", address)


def _curl(typed: list[str], server: Server) -> Any:
    while True:
        done = subprocess.run(
            [*typed, "--silent", "--show-error", "--fail"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{typed}\n{done.stderr}\n{server.log[-5000:]}"
        answer = json.loads(done.stdout) if done.stdout else None
        if _place(typed) != "/train/" or answer["status"] not in ("SUBMITTED", "RUNNING"):
            return answer
        time.sleep(1)
