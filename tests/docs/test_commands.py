from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from itertools import pairwise
from pathlib import Path

import monai.bundle
import pytest
import torch

from fewlabel.bundle import check_command_line
from fewlabel.cli import COMMANDS, main
from fewlabel.data.phantoms.cohort import write_phantom
from fewlabel.networks import UNet
from helpers.documented import DOCUMENTS, PAGES, ROOT, Command, commands

ALL = [command for document in DOCUMENTS for command in commands(document)]
OF_FEWLABEL = [command for command in ALL if command.fewlabel is not None]
OF_BUNDLES = [command for command in ALL if command.launcher is not None]
RUN_BY_MONAI = {
    "config_file", "tracking", "ckpt_file", "filepath", "bundle_root", "meta_file", "logging_file", "input_shape",
    "precision", "dynamic_batchsize",
}  # fmt: skip
# the first needs the real download, the others take long and have tests of their own
NOT_RUN_AT_ONCE = {"prepare", "export", "plan", "compare"}
SHRUNK = {
    "size": "64", "steps": "2", "steps_per_epoch": "1", "labeled_batch_size": "1", "unlabeled_batch_size": "1",
    "patch_sizes": "{'1': 8, '8': 4}", "groups_per_step": "1",
}  # fmt: skip


def merged(command: Command) -> dict[str, object]:
    files = [json.loads((ROOT / path).read_text()) for path in command.configs]
    return reduce(lambda below, above: {**below, **above}, files)


def test_the_readme_shows_the_two_commands_that_set_everything_up_first() -> None:
    shown = [" ".join(command.words) for command in commands(ROOT / "README.md")]
    assert shown[:2] == ["make demo", "make test"]


def test_a_documented_command_is_of_a_kind_that_these_tests_check() -> None:
    unknown = [
        str(command)
        for command in ALL
        if command.fewlabel is None
        and command.launcher is None
        and command.document != "docs/monai_label.md"  # run by `make test-label`
        and command.words[0] not in {"make", "pip"}
        and command.words not in {("source", ".venv/bin/activate")}
    ]
    assert unknown == []


def test_a_documented_target_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = [command for command in ALL if command.words[0] == "make"]
    assert shown
    assert [str(command) for command in shown if not set(command.words[1:]) <= targets] == []


def test_a_documented_pip_command_names_extras_and_constraints_that_exist() -> None:
    section = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    known = set(re.findall(r"^([a-z]+) = \[", section, re.MULTILINE))
    shown = [command for command in ALL if command.words[0] == "pip"]
    assert shown
    for command in shown:
        for word, following in pairwise(command.words):
            assert word != "--constraint" or (ROOT / following).is_file(), command
            named = set(re.findall(r"[a-z]+", following) if following.startswith(".[") else [])
            assert named <= known, command


def test_a_documented_command_of_fewlabel_has_the_arguments_that_it_takes() -> None:
    assert OF_FEWLABEL
    for command in OF_FEWLABEL:
        name, *arguments = command.fewlabel or []
        options = [word.removeprefix("--") for word in arguments if word.startswith("--")]
        values = [arguments[arguments.index(f"--{option}") + 1] for option in options]
        positional = [word for word in arguments if not word.startswith("--") and word not in values]
        try:
            inspect.signature(COMMANDS[name]).bind(*positional, **dict(zip(options, values, strict=True)))
        except (KeyError, TypeError) as error:
            pytest.fail(f"{command}: {error}")


def test_the_documented_runs_name_configs_that_exist_and_override_keys_that_exist() -> None:
    assert OF_BUNDLES
    for command in OF_BUNDLES:
        if command.document == "CONTRIBUTING.md":
            continue  # about a bundle that is yet to be written; test_contributing writes and runs it
        config = merged(command)
        for key in set(command.options) - RUN_BY_MONAI:
            place: object = config
            for part in key.split("#"):
                if isinstance(place, list):  # an element is named by its number
                    place = dict(zip(map(str, range(len(place))), place, strict=True))
                assert isinstance(place, dict), f"{command}: {key} reaches below a value"
                assert part in place, f"{command}: {key} is no key of {[str(path) for path in command.configs]}"
                place = place[part]


def test_a_documented_run_passes_the_check_of_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    # CONTRIBUTING.md is about a bundle that is yet to be written; test_contributing writes and runs it
    runs = [command for command in OF_BUNDLES if command.verb == "run" and command.document != "CONTRIBUTING.md"]
    assert len(runs) > 90
    program = monai.bundle.__file__.replace("__init__", "__main__")
    for command in runs:
        words = command.long[len(command.launcher or []) + 2 :]
        monkeypatch.setattr(sys, "argv", [program, *words])
        check_command_line()
        monkeypatch.setattr(sys, "argv", [program, *words, "--datasets_dir", "/data/acdc"])
        with pytest.raises(ValueError, match=r"--datasets_dir is no setting .* nearest is --dataset_dir;"):
            check_command_line()


def test_the_documented_commands_of_fewlabel_work_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_phantom(tmp_path / "data" / "mine", cases=12)
    ran = set()
    for page in PAGES:
        if page.name == "CONTRIBUTING.md":  # writes into the checkout; test_contributing follows it in a copy
            continue
        for command in commands(page):
            arguments = [word.replace("/data/", f"{tmp_path}/data/") for word in command.fewlabel or []]
            if arguments and arguments[0] not in NOT_RUN_AT_ONCE:
                weights = ["--weights", "false"] if arguments[0] == "pack" else []
                main([*arguments, *weights])
                ran.add(arguments[0])
    assert {"phantom", "check", "pack"} <= ran
    assert (tmp_path / "data" / "phantom" / "splits.json").is_file()
    assert sorted(path.name.split("_v")[0] for path in (tmp_path / "dist").iterdir()) == ["mcsc", "supervised"]


@pytest.mark.parametrize(
    "document", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_a_link_to_a_file_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text())
    missing = [link for link in links if "://" not in link and not (document.parent / link).exists()]
    assert not missing


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_documented_runs_train_evaluate_and_segment(tmp_path: Path) -> None:
    """Each in a process of its own, as typed but for the paths, with two steps on small slices of a phantom."""
    data = write_phantom(tmp_path / "data" / "acdc", cases=12)
    shutil.copytree(data / "imagesTs", tmp_path / "data" / "new_scans")
    shutil.copytree(data, tmp_path / "data" / "mine")
    done: set[tuple[str, ...]] = set()
    # training.md last: it ends with other networks than the ones that the other pages evaluate
    pages = ("README.md", "docs/evaluation.md", "docs/own_data.md", "docs/several_gpus.md", "docs/training.md")
    for page in pages:
        for command in commands(ROOT / page):
            # several machines have a test of their own
            if command.launcher is not None and "--nnodes" not in command.words and command.words not in done:
                done.add(command.words)
                _run(command, tmp_path)
    assert len(done) >= 10


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_documented_commands_for_two_machines_train_together(tmp_path: Path) -> None:
    """Both on this machine, with one process each."""
    write_phantom(tmp_path / "data" / "acdc", cases=12)
    both = [command for command in commands(ROOT / "docs" / "several_gpus.md") if "--node_rank" in command.words]
    assert len(both) == 2
    with ThreadPoolExecutor(2) as machines:
        for finished in [machines.submit(_run, command, tmp_path) for command in both]:
            finished.result()
    history = tmp_path / "mcsc_train_multi_gpu_train" / "eval" / "history.jsonl"
    assert len(history.read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_documented_exports_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a copy of the bundle with weights that were never trained; TensorRT needs a GPU."""
    bundle = tmp_path / "bundles" / "mcsc"
    shutil.copytree(ROOT / "bundles" / "mcsc" / "configs", bundle / "configs")
    (bundle / "models").mkdir()
    (tmp_path / "dist").mkdir()
    torch.save(UNet().state_dict(), bundle / "models" / "model.pt")
    write_phantom(tmp_path / "data" / "phantom")
    monkeypatch.chdir(tmp_path)
    for command in commands(ROOT / "docs" / "exports.md"):
        words = [word.replace("/data/", f"{tmp_path}/data/") for word in command.words]
        if command.fewlabel is not None:
            main(["export", str(bundle), *words[3:]])
        elif command.verb != "trt_export":
            subprocess.run([sys.executable, *words[1:]], check=True, timeout=900)
    assert {path.name for path in (bundle / "models").iterdir()} == {"model.pt", "model.ts", "model.onnx"}
    assert {path.name for path in (tmp_path / "dist").iterdir()} >= {"mcsc.onnx", "model.ts", "model.onnx"}


def _launched(launcher: list[str]) -> list[str]:
    if launcher[0] != "torchrun":
        return []
    here = {"node0": "127.0.0.1", "4": "1"} if "--nnodes" in launcher else {}
    return ["-m", "torch.distributed.run", *(here.get(word, word) for word in launcher[1:])]


def _run(command: Command, folder: Path) -> None:
    torchrun = _launched(command.launcher or [])
    options = {key: value.replace("/data/", f"{folder}/data/") for key, value in command.options.items()}
    kind = "_".join([command.bundle, *(path.stem for path in command.configs if path.stem != "evaluate")])
    kind += "" if "dataset_dir" in options else "_demo"
    inference = command.configs[0].stem == "inference"
    trained = folder / f"{command.bundle}_train" / "models" / "model.pt"
    if "start" in options:
        options["start"] = str(trained)
    if inference:
        options |= {"checkpoint": str(trained), "output_dir": str(folder / kind)}
    else:
        options |= {"output_dir": str(folder / kind / "eval"), "ckpt_dir": str(folder / kind / "models")}
        # a run that is resumed has one more step to do
        shrunk = {**SHRUNK, "steps": "3" if "resume" in options else "2"}
        settings = merged(command)
        blocks = {name: block for name in ("paper", "demo") if isinstance(block := settings[name], dict)}
        options |= {
            f"{name}#{key}": value
            for name, block in blocks.items()
            for key, value in shrunk.items()
            if block.get(key, 0) != 0
        }
        options["num_workers"] = "0"
    words = [word for key, value in options.items() for word in (f"--{key}", value)]
    done = subprocess.run(
        [sys.executable, *torchrun, "-m", "monai.bundle", "run", *words],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    made = folder / kind if inference else folder / kind / "eval" / "summary.txt"
    assert made.is_file() or any(made.glob("*.nii.gz")), f"{command} made nothing"
