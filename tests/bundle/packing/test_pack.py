from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch

import fewlabel
from fewlabel.bundle import pack_bundle
from fewlabel.cli import main
from helpers.paths import ROOT
from helpers.tiny_bundle import add_weights, entries, metadata, small_unet


def without(key: str) -> dict[str, torch.Tensor]:
    return {name: value for name, value in small_unet().state_dict().items() if name != key}


def define_second_network(folder: Path, **changes: object) -> None:
    file = folder / "configs" / "inference.json"
    config = json.loads(file.read_text())
    file.write_text(
        json.dumps({**config, "second_network_def": {**config["network_def"], "_disabled_": True, **changes}})
    )


def test_the_zip_holds_the_bundle_and_the_whole_package_beside_its_configs(bundle: Path, tmp_path: Path) -> None:
    add_weights(bundle, small_unet().state_dict())
    (bundle / "models" / "model.json").write_text("{}")
    archive = pack_bundle(bundle, tmp_path / "dist")
    assert archive == tmp_path / "dist" / "tiny_v1.2.3.zip"
    names = entries(archive)
    package = Path(fewlabel.__file__).parent
    sources = {f"tiny/fewlabel/{path.relative_to(package).as_posix()}" for path in package.rglob("*.py")}
    own = {"LICENSE", "configs/inference.json", "configs/metadata.json", "docs/README.md", "models/model.json"}
    splits = [f"data/public/splits/{name}.json" for name in ("acdc", "la", "pancreas", "synapse")]
    data = {f"tiny/fewlabel/{name}" for name in ("py.typed", "comparison/tables/published.json", *splits)}
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


MISFITS = [
    (lambda: {"model": small_unet().state_dict()}, "not a plain state dict of tensors"),
    (lambda: small_unet(num_classes=3).state_dict(), r"head\.weight is \(3, 4, 3, 3\) instead of \(4, 4, 3, 3\)"),
    (lambda: without("head.bias"), r"1 missing \(head\.bias\)"),
    (lambda: {**small_unet().state_dict(), "extra": torch.zeros(1)}, r"1 unknown \(extra\)"),
    (lambda: {f"module.{key}": value for key, value in small_unet().state_dict().items()}, "begin with 'module.'"),
    (lambda: torch.zeros(3), "holds Tensor, not a plain state dict of tensors"),
    (lambda: small_unet(), "damaged, or not written by torch.save"),  # the network itself needs unpickling of code
    (dict, "missing"),
]


@pytest.mark.parametrize(("content", "message"), MISFITS)
@pytest.mark.parametrize("file", ["model.pt", "model_second.pt"])
def test_weights_that_do_not_fit_their_network_are_refused_with_the_file_and_no_zip_appears(
    file: str, bundle: Path, tmp_path: Path, content: object, message: str
) -> None:
    define_second_network(bundle)
    add_weights(bundle, small_unet().state_dict())
    add_weights(bundle, content(), file)  # type: ignore[operator]
    with pytest.raises(ValueError, match=rf"{file}.*{message}"):
        pack_bundle(bundle, tmp_path / "dist")
    assert not (tmp_path / "dist").exists()


class Malice:
    """What an attacker pickles: unpickling it makes a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("saved", ["torch", "pickle"])
def test_a_pickle_that_is_no_state_dict_is_refused_and_nothing_in_it_runs(
    saved: str, bundle: Path, tmp_path: Path
) -> None:
    (bundle / "models").mkdir()
    with open(bundle / "models" / "model.pt", "wb") as stream:
        (torch.save if saved == "torch" else pickle.dump)({"head.bias": Malice(tmp_path / "owned")}, stream)
    with pytest.raises(ValueError, match=r"model\.pt: damaged, or not written by torch\.save"):
        pack_bundle(bundle, tmp_path / "dist")
    assert not (tmp_path / "owned").exists()


def test_a_second_student_is_packed_where_inference_has_a_use_for_it(bundle: Path, tmp_path: Path) -> None:
    add_weights(bundle, small_unet().state_dict())
    add_weights(bundle, small_unet(num_classes=2).state_dict(), "model_second.pt")
    assert "tiny/models/model_second.pt" not in entries(pack_bundle(bundle, tmp_path / "dist"))
    define_second_network(bundle, num_classes=2)
    assert "tiny/models/model_second.pt" in entries(pack_bundle(bundle, tmp_path / "dist"))


def test_a_network_that_is_not_defined_is_named(bundle: Path, tmp_path: Path) -> None:
    add_weights(bundle, small_unet().state_dict())
    (bundle / "configs" / "inference.json").write_text('{"network_def": "UNet"}')
    with pytest.raises(ValueError, match=r"network_def defines no network, so models/model\.pt can't be checked"):
        pack_bundle(bundle, tmp_path / "dist")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "example.org"}, "url is 'example.org'; expected the address of a folder"),
        ({"large_file_mb": 0}, "large_file_mb is 0; expected a number of megabytes above 0"),
        ({"large_file_mb": "all"}, "large_file_mb is 'all'"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    bundle: Path, tmp_path: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        pack_bundle(bundle, tmp_path / "dist", **options)  # type: ignore[arg-type]


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
    add_weights(bundle, small_unet().state_dict())
    main(["pack", str(bundle), "--out", str(tmp_path / "dist")])
    said = capsys.readouterr()
    assert said.out.strip() == str(tmp_path / "dist" / "tiny_v1.2.3.zip")
    assert said.err == "with the weights models/model.pt\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--weights", "false"], "without weights: who segments with it trains it first, "),
        (
            ["--url", "https://example.org/tiny", "--large_file_mb", "1e-6"],
            "without the weights models/model.pt, which ",
        ),
    ],
)
def test_the_command_says_when_no_weights_went_in(
    options: list[str], said: str, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_weights(bundle, small_unet().state_dict())
    main(["pack", str(bundle), "--out", str(tmp_path / "dist"), *options])
    assert capsys.readouterr().err.splitlines()[-1].startswith(said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_bundle"], "no_such_bundle: no such bundle; the known ones are "),
        ([str(ROOT / "docs")], "no bundle, it has no folder configs"),
        (["supervised", "--weights", "perhaps"], "weights is 'perhaps', but it must be true or false"),
    ],
)
def test_what_cannot_be_packed_is_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["pack", *arguments])
    assert message in capsys.readouterr().err
