from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import torch

import fewlabel
from fewlabel.bundle import pack_bundle
from fewlabel.cli import main
from fewlabel.networks import UNet

ROOT = Path(__file__).parents[2]


def metadata(folder: Path, **changes: object) -> None:
    (folder / "configs" / "metadata.json").write_text(json.dumps({"name": "tiny", "version": "1.2.3", **changes}))


def small_unet(num_classes: int = 4) -> UNet:
    return UNet(num_classes=num_classes, channels=(4, 4, 4, 4, 4))


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one small network."""
    folder = tmp_path / "tiny"
    (folder / "configs").mkdir(parents=True)
    (folder / "docs").mkdir()
    metadata(folder)
    network = {"_target_": "fewlabel.networks.UNet", "num_classes": 4, "channels": [4, 4, 4, 4, 4]}
    (folder / "configs" / "inference.json").write_text(json.dumps({"bundle_root": "nowhere", "network_def": network}))
    (folder / "docs" / "README.md").write_text("# Tiny")
    (folder / "LICENSE").write_text("free")
    return folder


def add_weights(folder: Path, content: object) -> None:
    (folder / "models").mkdir(exist_ok=True)
    torch.save(content, folder / "models" / "model.pt")


def entries(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        return packed.namelist()


def test_the_zip_holds_the_bundle_and_the_whole_package_beside_its_configs(bundle: Path, tmp_path: Path) -> None:
    add_weights(bundle, small_unet().state_dict())
    (bundle / "models" / "model.json").write_text("{}")
    archive = pack_bundle(bundle, tmp_path / "dist")
    assert archive == tmp_path / "dist" / "tiny_v1.2.3.zip"
    names = entries(archive)
    package = Path(fewlabel.__file__).parent
    sources = {f"tiny/fewlabel/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    own = {"LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md", "models/model.json"}
    data = {"tiny/fewlabel/py.typed", "tiny/fewlabel/data/splits/acdc.json"}
    assert {*sources, *data, *(f"tiny/{name}" for name in own), "tiny/models/model.pt"} == set(names)


def test_what_a_run_left_behind_is_not_packed(bundle: Path, tmp_path: Path) -> None:
    clean = entries(pack_bundle(bundle, tmp_path / "clean"))
    for stray in ("eval/scores.csv", "models/training_state.pt", "configs/.DS_Store", "configs/__pycache__/a.pyc"):
        (bundle / stray).parent.mkdir(parents=True, exist_ok=True)
        (bundle / stray).write_text("stray")
    assert entries(pack_bundle(bundle, tmp_path / "used")) == clean


def test_packing_twice_gives_equal_bytes_whatever_the_times_and_modes_of_the_files(
    bundle: Path, tmp_path: Path
) -> None:
    first = pack_bundle(bundle, tmp_path / "first").read_bytes()
    copy = tmp_path / "copy"
    for name in ("docs", "configs"):  # another order of creation
        shutil.copytree(bundle / name, copy / name)
    shutil.copy(bundle / "LICENSE", copy)
    os.utime(copy / "LICENSE", (1, 1))
    (copy / "docs" / "README.md").chmod(0o600)
    assert pack_bundle(copy, tmp_path / "second").read_bytes() == first


def test_one_changed_letter_changes_the_zip(bundle: Path, tmp_path: Path) -> None:
    first = pack_bundle(bundle, tmp_path / "first").read_bytes()
    (bundle / "docs" / "README.md").write_text("# Tiny!")
    assert pack_bundle(bundle, tmp_path / "second").read_bytes() != first


def test_weights_can_be_left_out(bundle: Path, tmp_path: Path) -> None:
    add_weights(bundle, "not even weights")
    assert not any("/models/" in name for name in entries(pack_bundle(bundle, tmp_path / "dist", weights=False)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: {"model": small_unet().state_dict()}, "not a plain state dict of tensors"),
        (lambda: small_unet(num_classes=3).state_dict(), "belong to another architecture than UNet"),
    ],
)
def test_weights_that_do_not_fit_the_network_are_refused_and_no_zip_appears(
    bundle: Path, tmp_path: Path, content: object, message: str
) -> None:
    add_weights(bundle, content())  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        pack_bundle(bundle, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": ""}, "the version is ''; expected three numbers"),
        ({"version": "1.2"}, "the version is '1.2'; expected three numbers"),
        ({"name": "../up"}, "the name is '../up'; expected small letters"),
    ],
)
def test_metadata_that_cannot_name_a_zip_are_refused(
    bundle: Path, tmp_path: Path, changes: dict[str, str], message: str
) -> None:
    metadata(bundle, **changes)
    with pytest.raises(ValueError, match=message):
        pack_bundle(bundle, tmp_path / "dist")


def test_a_missing_license_is_named(bundle: Path, tmp_path: Path) -> None:
    (bundle / "LICENSE").unlink()
    with pytest.raises(FileNotFoundError, match=r"LICENSE: no such file; every bundle has one"):
        pack_bundle(bundle, tmp_path / "dist")


def test_the_command_prints_where_the_zip_is(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["pack", str(bundle), "--out", str(tmp_path / "dist")])
    assert capsys.readouterr().out.strip() == str(tmp_path / "dist" / "tiny_v1.2.3.zip")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_bundle"], "can't find the folder of the bundle 'no_such_bundle'"),
        ([str(ROOT / "tests")], "no bundle, it has no folder configs"),
        (["supervised", "--weights", "perhaps"], "weights is 'perhaps', but it must be true or false"),
    ],
)
def test_what_cannot_be_packed_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pack", *arguments])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_zip_trains_and_segments_from_the_root_folder_with_its_own_package(phantom: Path, tmp_path: Path) -> None:
    """`-S` leaves out what installed the package; the other packages are put on the path by hand."""
    with zipfile.ZipFile(pack_bundle("supervised", tmp_path / "dist", weights=False)) as packed:
        packed.extractall(tmp_path)
    root = tmp_path / "supervised"
    program = "\n".join(
        [
            "import importlib.util, sys",
            f"sys.path.append({sysconfig.get_paths()['purelib']!r})",
            "assert importlib.util.find_spec('fewlabel') is None, 'installed'",
            "from monai.bundle import run",
            f"root = {str(root)!r}",
            f"run(config_file=root + '/configs/train.json', dataset_dir={str(phantom)!r}, num_workers=0,",
            "    **{'paper#size': 64, 'paper#steps': 2, 'paper#steps_per_epoch': 1, 'paper#labeled_batch_size': 1})",
            f"run(config_file=root + '/configs/inference.json', dataset_dir={str(phantom)!r})",
            "import fewlabel",
            "print('package:', fewlabel.__file__)",
        ]
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program],
        cwd="/", env=environment, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"package: {root / 'fewlabel' / '__init__.py'}" in done.stdout
    assert (root / "models" / "model.pt").is_file()
    assert (root / "eval" / "summary.txt").is_file()
    assert sorted(path.name for path in (root / "eval" / "segmentations").iterdir()) == ["cardiac_005.nii.gz"]
