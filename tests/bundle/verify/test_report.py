"""Faults of a bundle, or of its zip, are found and named."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from fewlabel.bundle import pack_bundle
from fewlabel.bundle.verify import verify_bundle
from fewlabel.bundle.verify.report import NOTE, OK
from fewlabel.bundle.verify.running import outcomes
from fewlabel.cli import main
from fewlabel.networks import UNet
from helpers.bundles import BASELINES
from helpers.verification import clean_copy, failed

BUNDLE = BASELINES["slices"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A bundle that a test spoils."""
    return clean_copy(BUNDLE, tmp_path)


def change(root: Path, name: str, edit: Callable[[dict[str, Any]], object]) -> None:
    file = root / "configs" / f"{name}.json"
    config = json.loads(file.read_text())
    edit(config)
    file.write_text(json.dumps(config))


FAULTS: list[tuple[str, Callable[[dict[str, Any]], object], str, str]] = [
    ("metadata", lambda m: m.pop("copyright"), "metadata fields", "copyright is missing"),
    ("metadata", lambda m: m.update(task=" "), "metadata fields", "task is empty"),
    ("metadata", lambda m: m.update(authors=["me"]), "metadata fields", "authors is ['me'], expected text"),
    ("metadata", lambda m: m.update(supported_apps="none"), "metadata fields", "expected an object"),
    ("metadata", lambda m: m.update(optional_packages_version={}), "metadata fields", "old name of required_packages"),
    ("metadata", lambda m: m.update(schema="https://x/meta_schema_20220324.json"), "metadata schema", "20220324"),
    ("metadata", lambda m: m.update(version="0.2"), "version", "'0.2', not three numbers"),
    ("metadata", lambda m: m.update(changelog={"0.0.1": "old"}), "version", "is not in changelog"),
    ("metadata", lambda m: m.update(pytorch_version="2.13.0+cpu"), "exact versions", "pytorch_version: '2.13.0+cpu'"),
    ("metadata", lambda m: m["required_packages_version"].update(fire=">=0.6"), "exact versions", "fire: '>=0.6'"),
    ("metadata", lambda m: m.update(name="Supervised"), "names", "but metadata.json says 'Supervised'"),
    ("metadata", lambda m: m["network_data_format"].pop("inputs"), "tensor descriptions", "has no inputs"),
    (
        "metadata", lambda m: m["network_data_format"]["inputs"]["image"].update(num_channels="1"),
        "tensor descriptions", "num_channels is '1', expected a whole number",
    ),
    (
        "metadata", lambda m: m["network_data_format"]["inputs"]["image"].update(spatial_shape=["__import__('os')", 3]),
        "tensor descriptions", "spatial_shape has \"__import__('os')\"",
    ),
    (
        "metadata", lambda m: m["network_data_format"]["inputs"]["image"].update(value_range=["0", True]),
        "tensor descriptions", "value_range has '0'",
    ),
    (
        "metadata", lambda m: m["network_data_format"].update(outputs={"logits": 1, "pred": 2}),
        "tensor names", "the first of outputs is 'logits', not 'pred'",
    ),
    (
        "metadata", lambda m: m["network_data_format"]["outputs"]["pred"].update(num_channels=3),
        "channel names", "channel_def has 0, 1, 2, 3, but num_channels is 3",
    ),
    (
        "metadata", lambda m: m["network_data_format"]["outputs"]["pred"]["channel_def"].update({"0": "heart"}),
        "channel names", "channel 0 is 'heart'",
    ),
    (
        "metadata", lambda m: m["network_data_format"]["outputs"]["pred"].pop("channel_def"),
        "channel names", "no channel_def",
    ),
    ("train", lambda c: c["train"].pop("trainer"), "keys of train.json", "no train#trainer; no train#trainer#max_ep"),
    ("train", lambda c: c["validate"]["dataset"].pop("data"), "keys of train.json", "no validate#dataset#data"),
    ("train", lambda c: c["train"].update(handlers="$[]"), "train#handlers", "is '$[]'"),
    ("train", lambda c: c["train"]["handlers"].append("@handler"), "train#handlers", "has '@handler'"),
    ("train", lambda c: c.update(initialize=["$import os"]), "no initialize", "configs/train.json has initialize"),
    ("train", lambda c: c.update(initialize=["$import os"]), "what configs run", "configs/train.json: import os"),
    ("train", lambda c: c["network_def"].pop("_requires_"), "guard against another fewlabel", "of train.json lacks"),
    ("inference", lambda c: c.pop("inferer"), "keys of inference.json", "no inferer"),
    ("evaluate", lambda c: c.update(split="$open('/etc/passwd').read()"), "what configs run", "evaluate.json: open"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "edit", "check", "detail"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_of_a_config_is_found_and_named(
    name: str, edit: Callable[[dict[str, Any]], object], check: str, detail: str, root: Path
) -> None:
    change(root, name, edit)
    assert detail in failed(verify_bundle(root))[check]


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ('{"a": {"b": 1, "b": 2}}', "gives 'b' twice"),
        ("{", "configs/small.json: Expecting"),
        ("[]", "configs/small.json is no object"),
        ("[" * 100_000, "configs/small.json: "),
        ('"' + "x" * 2**20 + '"', "more than 1,048,576"),
    ],
    ids=range(5),
)
def test_json_that_is_broken_or_ambiguous_is_named(text: str, detail: str, root: Path) -> None:
    (root / "configs" / "small.json").write_text(text)
    assert detail in failed(verify_bundle(root))["JSON"]


def test_every_fault_is_found_at_once_and_a_file_that_is_missing_hides_none(root: Path) -> None:
    (root / "LICENSE").write_text("")
    (root / "docs" / "data_license.txt").unlink()
    (root / "configs" / "metadata.json").unlink()
    (root / "docs" / "README.md").write_text("# Title\n## Data\n## Model Description\n")
    found = failed(verify_bundle(root))
    expected = "LICENSE is empty; docs/data_license.txt is missing; configs/metadata.json is missing"
    assert found["required files"] == expected
    assert "no section Limitations" in found["README sections"]
    assert "no section Data" not in found["README sections"]
    assert "no section Description" not in found["README sections"]
    assert {"metadata fields", "metadata schema", "version", "tensor descriptions", "channel names"} <= found.keys()


def test_code_outside_the_package_and_strange_files_are_told(root: Path) -> None:
    (root / "scripts").mkdir()
    (root / "scripts" / "net.py").write_text("")
    (root / "configs" / "sitecustomize.pth").write_text("")
    (root / "notes.txt").write_text("")
    report = verify_bundle(root)
    assert failed(report)["code outside the package"] == "configs/sitecustomize.pth, scripts/net.py"
    assert ("other files", NOTE) in {(finding.check, finding.result) for finding in report.findings}


def rewritten(archive: Path, edit: Callable[[dict[str, bytes]], object], name: str | None = None) -> Path:
    with zipfile.ZipFile(archive) as packed:
        files = {entry: packed.read(entry) for entry in packed.namelist()}
    edit(files)
    other = archive.parent / "other" / (name or archive.name)
    other.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as packed:
        for entry, content in files.items():
            packed.writestr(entry, content)
    return other


def test_a_package_that_was_changed_is_found_by_its_content(root: Path, tmp_path: Path) -> None:
    archive = pack_bundle(root, tmp_path / "dist")
    package = f"{BUNDLE}/fewlabel/"
    changed = rewritten(archive, lambda files: files.update({package + "atomic.py": b"import os"}))
    assert "1 files differ" in failed(verify_bundle(changed))["vendored fewlabel"]
    version = b'__version__ = "7.7.7"\n'
    newer = verify_bundle(rewritten(archive, lambda files: files.update({package + "version.py": version})))
    assert newer.ok
    assert "install fewlabel 7.7.7 to check it by its own rules" in str(newer)
    bare = rewritten(archive, lambda files: [files.pop(entry) for entry in list(files) if entry.startswith(package)])
    assert failed(verify_bundle(bare)) == {"vendored fewlabel": "the zip has no folder fewlabel"}
    renamed = rewritten(archive, lambda files: None, "bundle.zip")
    assert f"the zip is called 'bundle.zip', expected '{BUNDLE}_v" in failed(verify_bundle(renamed))["names"]


class Malice:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("run", [False, True])
def test_a_malicious_zip_runs_nothing_even_when_asked_to(run: bool, root: Path, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    stream = io.BytesIO()
    torch.save({"head.bias": Malice(owned)}, stream)

    def spoil(files: dict[str, bytes]) -> None:
        files[f"{BUNDLE}/models/model.pt"] = stream.getvalue()
        files[f"{BUNDLE}/fewlabel/__init__.py"] = f"import os; os.mkdir({str(owned)!r})".encode()

    report = verify_bundle(rewritten(pack_bundle(root, tmp_path / "dist"), spoil), run)
    assert "unpickling would call" in failed(report)["models/model.pt"]
    assert (failed(report).get("--run") == "nothing of the bundle was run") == run
    assert not owned.exists()


@pytest.mark.parametrize(
    ("content", "detail"),
    [
        (lambda state: {"model": state}, "not a plain state dict: 'model' is no tensor"),
        (lambda state: {f"module.{key}": value for key, value in state.items()}, "begin with 'module.'"),
        (lambda state: {}, "holds no tensor"),
        (lambda state: [*state.values()], "holds list, not a state dict"),
    ],
)
def test_weights_of_another_form_are_found_without_unpickling(
    content: Callable[[dict[str, torch.Tensor]], object], detail: str, root: Path
) -> None:
    (root / "models").mkdir()
    torch.save(content(UNet(channels=(4, 4, 4, 4, 4)).state_dict()), root / "models" / "model.pt")
    assert detail in failed(verify_bundle(root))["models/model.pt"]


def test_weights_of_another_architecture_are_found_by_running(root: Path, tmp_path: Path) -> None:
    (root / "models").mkdir()
    state = UNet(channels=(4, 4, 4, 4, 4)).state_dict()
    torch.save(state, root / "models" / "model.pt")
    report = verify_bundle(root)
    assert report.ok
    assert f"a state dict of {len(state)} tensors, not unpickled" in str(report)
    (tmp_path / "scratch").mkdir()
    faults = {check: fault for check, fault, _ in outcomes(root, tmp_path / "scratch") if fault}
    assert faults.keys() == {"weights in model.pt fit"}
    assert "instead of" in faults["weights in model.pt fit"]


def test_weights_for_other_classes_than_the_metadata_promises_are_found(root: Path) -> None:
    (root / "models").mkdir()
    (root / "models" / "model.json").write_text('{"size": 64, "norm": "batch", "num_classes": 2}')
    assert failed(verify_bundle(root)) == {"settings of the weights": "trained for 2 classes, metadata.json says 4"}


def test_weights_for_other_channels_than_the_metadata_promises_are_found(root: Path) -> None:
    (root / "models").mkdir()
    (root / "models" / "model.json").write_text('{"size": 64, "norm": "batch", "num_classes": 4, "in_channels": 3}')
    assert failed(verify_bundle(root)) == {"settings of the weights": "trained for 3 channels, metadata.json says 1"}


@pytest.mark.parametrize(
    ("entry", "detail"),
    [
        ({"path": "../up"}, "'../up' leaves the folder"),
        ({"path": "configs/a.json"}, "'configs/a.json' is not in models/"),
        ({"url": "http://example.org/a.pt"}, "is not fetched over https"),
        ({"hash_val": "12"}, "has no hash_val of a hash_type among md5, sha1, sha256, sha512"),
        ({"hash_type": "crc"}, "has no hash_val of a hash_type"),
    ],
)
def test_large_files_that_cannot_be_trusted_are_found(entry: dict[str, str], detail: str, root: Path) -> None:
    sound = {"path": "models/a.pt", "url": "https://example.org/a.pt", "hash_val": "a" * 64, "hash_type": "sha256"}
    (root / "large_files.yml").write_text(json.dumps({"large_files": [sound]}))
    assert verify_bundle(root).ok
    (root / "large_files.yml").write_text(json.dumps({"large_files": [{**sound, **entry}]}))
    assert detail in failed(verify_bundle(root))["large_files.yml"]


def test_a_file_above_the_zoos_limit_is_noted(root: Path) -> None:
    (root / "models").mkdir()
    torch.save({"a": torch.zeros(7_000_000)}, root / "models" / "model.pt")
    report = verify_bundle(root)
    assert report.ok
    assert "above 25 MB: models/model.pt; the model zoo refuses them" in str(report)


def test_running_faults_are_named(root: Path, tmp_path: Path) -> None:
    change(root, "metadata", lambda m: m["network_data_format"]["outputs"]["pred"].update(num_channels=5))
    change(root, "train", lambda c: c["train"]["trainer"].update(no_such_argument=1))
    (tmp_path / "scratch").mkdir()
    faults = {check: fault for check, fault, _ in outcomes(root, tmp_path / "scratch") if fault}
    assert faults.keys() == {"network in and out", "properties of train"}
    assert "doesn't match" in faults["network in and out"]
    assert "no_such_argument" in faults["properties of train"]


def test_the_command_prints_a_table_and_its_exit_code_tells(
    root: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    main(["verify", str(root)])
    assert "all checks passed, 1 note" in capsys.readouterr().out
    change(root, "metadata", lambda m: m.update(version="0.2"))
    with pytest.raises(SystemExit, match="1"):
        main(["verify", str(root)])
    printed = capsys.readouterr().out
    assert "FAILED" in printed
    assert 'fix: say "x.y.z", and in changelog what is new in it' in printed
    assert all(len(line) <= 120 for line in printed.splitlines())
    (tmp_path / "bad.zip").write_text("no zip")
    with pytest.raises(SystemExit, match="2"):
        main(["verify", str(tmp_path / "bad.zip")])
    assert "bad.zip: not a zip, or damaged" in capsys.readouterr().err


def test_a_zip_is_run_with_the_package_that_it_brings(root: Path, tmp_path: Path) -> None:
    report = verify_bundle(pack_bundle(root, tmp_path / "dist"), run=True)
    assert failed(report) == {}, str(report)
    (run,) = (finding for finding in report.findings if finding.check == "code of the bundle was run")
    assert run.result == OK
    assert run.detail.endswith(f"{BUNDLE}/fewlabel"), "not the installed one"
