from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from helpers.bundles import BUNDLES
from helpers.paths import ROOT, environment

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]
TINY = ["--demo#steps", "4", "--demo#steps_per_epoch", "2", "--demo#size", "64", "--num_workers", "0"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install` of the checkout's wheel puts on the import path, built without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    strays = shutil.ignore_patterns("models", "eval", "__pycache__", "*.egg-info")
    for name in ("shared/fewlabel", "bundles"):
        shutil.copytree(ROOT / name, source / name, ignore=strays)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for stray in ("models/model.pt", "eval/scores.csv", "recipe.json", "configs/.hidden"):
        (source / "bundles" / "mcsc" / stray).parent.mkdir(exist_ok=True)
        (source / "bundles" / "mcsc" / stray).write_text("stray")
    build = ["wheel", "--no-build-isolation", "--no-deps", "--no-index", "--wheel-dir", str(folder), str(source)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, capture_output=True, timeout=600)
    (wheel,) = folder.glob("fewlabel-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def worked(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory in which an installed bundle was trained, evaluated and used."""
    folder = tmp_path_factory.mktemp("work")
    fewlabel(site, folder, "train", "supervised", *TINY)
    fewlabel(site, folder, "evaluate", "supervised", *TINY)
    fewlabel(site, folder, "segment", "supervised")
    return folder


def run(site: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = environment(PYTHONPATH=str(site))
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=paths, capture_output=True, text=True, timeout=600, check=False
    )


def fewlabel(site: Path, folder: Path, *words: str) -> str:
    done = run(site, folder, "-m", "fewlabel", *words)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout.strip()


def test_the_wheel_has_configs_docs_and_license_of_every_bundle_and_nothing_else_of_them(site: Path) -> None:
    installed = site / "fewlabel" / "_bundles"
    wanted = {
        path.relative_to(ROOT / "bundles").as_posix(): path.read_bytes()
        for name in BUNDLES
        for part in ("configs/*", "docs/**/*", "LICENSE")
        for path in (ROOT / "bundles" / name).glob(part)
        if path.is_file()
    }
    found = {
        path.relative_to(installed).as_posix(): path.read_bytes() for path in installed.rglob("*") if path.is_file()
    }
    assert found == wanted
    assert len(found) > 5 * len(BUNDLES)


def test_the_wheel_has_every_file_of_the_package(site: Path) -> None:
    package = ROOT / "shared" / "fewlabel"
    wanted = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {"py.typed", "comparison/tables/published.json", "data/public/splits/acdc.json"} <= wanted
    assert {name for name in wanted if not (site / "fewlabel" / name).is_file()} == set()


def test_an_installed_bundle_leaves_its_results_in_the_working_directory_and_finds_them_there(
    site: Path, worked: Path
) -> None:
    assert fewlabel(site, worked, "where", "supervised") == str(site / "fewlabel" / "_bundles" / "supervised")
    assert [path.name for path in worked.iterdir()] == ["supervised"]
    assert {path.name for path in (worked / "supervised").iterdir()} == {"eval", "models"}
    assert len(list((worked / "supervised" / "eval" / "segmentations").glob("*.nii.gz"))) == 4
    assert not [path for path in site.rglob("*") if path.name in ("eval", "models") and "_bundles" in path.parts]


def test_the_long_form_gives_the_same_weights_in_the_same_place(site: Path, worked: Path, tmp_path: Path) -> None:
    config = fewlabel(site, tmp_path, "where", "supervised") + "/configs/train.json"
    done = run(site, tmp_path, "-m", "monai.bundle", "run", "--config_file", config, *TINY)
    assert done.returncode == 0, done.stderr[-2000:]
    short, long = (
        torch.load(folder / "supervised" / "models" / "model.pt", weights_only=True) for folder in (worked, tmp_path)
    )
    assert short.keys() == long.keys()
    assert all(torch.equal(short[name], long[name]) for name in short)


def test_weights_of_an_installed_bundle_are_packed_with_it_and_the_other_bundles_are_not(
    site: Path, worked: Path, tmp_path: Path
) -> None:
    fewlabel(site, worked, "pack", "supervised", "--out", str(tmp_path))
    (archive,) = tmp_path.iterdir()
    with zipfile.ZipFile(archive) as packed:
        names = packed.namelist()
    assert {"supervised/models/model.pt", "supervised/models/model.json", "supervised/fewlabel/cli.py"} <= set(names)
    assert not [name for name in names if "_bundles" in name]


def test_a_copy_runs_by_itself_and_paths_arrive_as_typed(site: Path, tmp_path: Path) -> None:
    copy = Path(fewlabel(site, tmp_path, "copy", "supervised", "2024_02_02"))
    assert copy == Path("2024_02_02/supervised")
    places = ["--output_dir", "c#1/eval", "--ckpt_dir", "1234"]
    fewlabel(site, tmp_path, "train", str(copy), *TINY, *places)
    assert {path.name for path in tmp_path.iterdir()} == {"2024_02_02", "c#1", "1234"}
    assert (tmp_path / "1234" / "model.pt").is_file()
    assert (tmp_path / "c#1" / "eval" / "summary.txt").is_file()
    fewlabel(site, tmp_path, "train", str(copy), *TINY)
    assert {path.name for path in (tmp_path / copy).iterdir()} == {"configs", "docs", "LICENSE", "eval", "models"}


def test_a_run_that_fails_exits_as_the_long_form_does(site: Path, tmp_path: Path) -> None:
    config = fewlabel(site, tmp_path, "where", "mcsc") + "/configs/train.json"
    short = run(site, tmp_path, "-m", "fewlabel", "train", "mcsc", "--dataset_dir", "2024_02_02")
    long = run(site, tmp_path, "-m", "monai.bundle", "run", "--config_file", config, "--dataset_dir", "'2024_02_02'")
    assert short.returncode == long.returncode == 1
    assert short.stderr.splitlines()[-1] == long.stderr.splitlines()[-1]
    assert "2024_02_02" in short.stderr.splitlines()[-1]
