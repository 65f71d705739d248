"""A zip works where this package is not installed: each entry point, from the root folder, writing into itself only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from pathlib import Path

import pytest

from fewlabel.bundle import pack_bundle
from helpers.bundle_runs import example, short, tree, words
from helpers.bundles import BASELINES, EACH

# `-S` leaves out what installed the package, an editable install's .pth file for instance; the folder of the other
# packages is put on the path by hand. A copy of the package in it would be found, so that is refused.
ALONE = """
import importlib.util, sys
sys.path[:0] = {first!r}
sys.path.append({packages!r})
assert importlib.util.find_spec("fewlabel") is None or {first!r}, "fewlabel is installed in {packages}"
sys.argv = ["monai.bundle", *{words!r}]
import runpy
try:
    runpy.run_module("monai.bundle", run_name="__main__", alter_sys=True)
finally:
    import fewlabel
    print("package:", fewlabel.__file__)
"""


# Not the bundle's: matplotlib's list of fonts, once for each user; and what MONAI's onnx_export forgets to remove.
THEIRS = ("home/.cache/matplotlib/fontlist-*.json", "temporary/tmp*.data")


class Alone:
    """A process without this package, whose home and temporary folders are empty."""

    def __init__(self, folder: Path) -> None:
        self.home = folder
        self.packages = sysconfig.get_paths()["purelib"]
        if (Path(self.packages) / "fewlabel").exists():
            pytest.skip(f"fewlabel is installed in {self.packages}, not editable; it can't be left out")
        for name in ("home", "temporary"):
            (folder / name).mkdir()
        keep = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "XDG", "MPL"))}
        self.environment = {**keep, "HOME": str(folder / "home"), "TMPDIR": str(folder / "temporary")}

    def monai(self, root: Path, *typed: str, first: bool) -> None:
        """Run `python -m monai.bundle`, with the bundle first on the path where `monai.bundle` does not see to it."""
        program = ALONE.format(first=[str(root)] if first else [], packages=self.packages, words=list(typed))
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", program],
            cwd="/", env=self.environment, capture_output=True, text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{typed}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        assert f"package: {root / 'fewlabel' / '__init__.py'}" in done.stdout


def entry_points(bundle: str, root: Path) -> dict[str, list[str]]:
    files = ["--config_file", f"{root}/configs/inference.json", "--meta_file", f"{root}/configs/metadata.json"]
    export = ["network_def", "--ckpt_file", f"{root}/models/model.pt", *files]
    shape = str(list(example(bundle).shape)).replace(" ", "")
    return {
        "ckpt_export": ["ckpt_export", *export, "--filepath", f"{root}/models/model.ts"],
        "onnx_export": [
            "onnx_export", *export, "--filepath", f"{root}/models/model.onnx", "--input_shape", shape,
        ],
        "verify_net_in_out": ["verify_net_in_out", "network_def", *files, "--device", "cpu"],
    }  # fmt: skip


def unpacked(bundle: str, folder: Path) -> Path:
    shutil.unpack_archive(pack_bundle(bundle, folder / "dist", weights=False), folder / "somewhere")
    return folder / "somewhere" / bundle


def strays(root: Path, everything: Path, before: dict[str, int]) -> list[str]:
    """What was written or changed outside the bundle."""
    expected = (root.relative_to(everything).as_posix() + "/*", *THEIRS)
    changed = (name for name, time in tree(everything).items() if before.get(name) != time)
    return [name for name in changed if not any(fnmatch(name, pattern) for pattern in expected)]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@EACH
def test_every_entry_point_of_an_unpacked_zip_works_from_the_root_folder_without_the_package(
    bundle: str, tmp_path: Path
) -> None:
    alone, root = Alone(tmp_path), unpacked(bundle, tmp_path)
    before, slash = tree(tmp_path), sorted(os.listdir("/"))
    demo = words(short(bundle, steps=2, steps_per_epoch=1))
    alone.monai(root, "run", "--config_file", f"{root}/configs/train.json", *demo, first=False)
    scans = f"{root}/eval/phantom/imagesTs"
    segment = ["--config_file", f"{root}/configs/inference.json", "--dataset_dir", scans]
    alone.monai(root, "run", *segment, first=False)
    for entry_point in entry_points(bundle, root).values():
        alone.monai(root, *entry_point, first=True)  # these leave the path alone
    assert len(list((root / "eval" / "segmentations").glob("*.nii.gz"))) == len(list(Path(scans).iterdir()))
    for made in ("models/model.pt", "models/model.ts", "models/model.onnx", "eval/summary.txt"):
        assert (root / made).stat().st_size > 0
    assert strays(root, tmp_path, before) == []
    assert sorted(os.listdir("/")) == slash


def test_an_unpacked_zip_keeps_its_networks_promise_from_the_root_folder_without_the_package(tmp_path: Path) -> None:
    """The quick one of the entry points; which method it is makes no difference to it."""
    alone, root = Alone(tmp_path), unpacked(BASELINES["slices"], tmp_path)
    before = tree(tmp_path)
    alone.monai(root, *entry_points(BASELINES["slices"], root)["verify_net_in_out"], first=True)
    assert strays(root, tmp_path, before) == []
