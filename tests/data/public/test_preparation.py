from __future__ import annotations

import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.acdc_forms import (
    challenge,
    prepare,
    save_nifti,
    scan,
)


def contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def modified(root: Path) -> dict[str, int]:
    return {path.name + path.parent.name: path.stat().st_mtime_ns for path in root.rglob("*.nii.gz")}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    challenge(tmp_path / "raw")
    return tmp_path / "raw"


def test_the_manifest_holds_the_checksum_and_source_of_every_file(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    files = json.loads((out / "manifest.json").read_text())["files"]
    written = {name: content for name, content in contents(out).items() if name != "manifest.json"}
    assert {name: entry["sha256"] for name, entry in files.items()} == {
        name: hashlib.sha256(content).hexdigest() for name, content in written.items()
    }
    assert files["imagesTr/patient038_frame02.nii.gz"]["source"] == [
        "database/training/patient038/patient038_frame09.nii.gz",
        "database/training/patient038/patient038_frame09_gt.nii.gz",
    ]
    assert str(tmp_path) not in (out / "manifest.json").read_text()


def test_a_second_run_verifies_and_writes_nothing_again(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, times, lines = contents(out), modified(out), []
    prepare(raw, out, lines.append)
    assert contents(out) == before
    assert modified(out) == times
    assert sum("finished before, verified" in line for line in lines) == 8


def test_an_interrupted_run_continues_and_ends_like_one_that_was_not(raw: Path, tmp_path: Path) -> None:
    whole = contents(prepare(raw, tmp_path / "whole"))

    def stop(line: str) -> None:
        if line.startswith("patient049_frame01"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        prepare(raw, out, stop)
    assert not (out / "splits.json").exists()  # nobody mistakes it for a dataset
    (out / "imagesTr" / ".patient049_frame02.nii.gz.1.partial").write_bytes(b"half")
    times = modified(out)
    prepare(raw, out)
    assert contents(out) == whole
    assert modified(out).items() >= times.items()


@pytest.mark.parametrize("damage", ["deleted", "corrupted", "forgotten", "source changed"])
def test_only_what_is_missing_or_damaged_is_written_again(damage: str, raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, times = contents(out), modified(out)
    victim = out / "imagesTr" / "patient038_frame01.nii.gz"
    if damage == "deleted":
        victim.unlink()
    elif damage == "corrupted":
        victim.write_bytes(victim.read_bytes()[:-9])
    elif damage == "forgotten":
        manifest = json.loads((out / "manifest.json").read_text())
        del manifest["files"]["imagesTr/patient038_frame01.nii.gz"]
        (out / "manifest.json").write_text(json.dumps(manifest))
    else:
        image = scan("patient038_frame01")[0] + 1
        save_nifti(raw / "database/training/patient038/patient038_frame01.nii.gz", image)
    prepare(raw, out)
    again = {name for name, time in modified(out).items() if time != times[name]}
    assert again == {"patient038_frame01.nii.gzimagesTr", "patient038_frame01.nii.gzlabelsTr"}
    if damage == "source changed":
        np.testing.assert_array_equal(np.asarray(nib.load(victim).dataobj), image)
    else:
        assert {k: v for k, v in contents(out).items() if k != "manifest.json"} == {
            k: v for k, v in before.items() if k != "manifest.json"
        }


def test_a_damaged_manifest_means_that_everything_is_written_again(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    before, lines = contents(out), []
    (out / "manifest.json").write_bytes(before["manifest.json"][:100])
    prepare(raw, out, lines.append)
    assert contents(out) == before
    assert any("manifest.json is damaged" in line for line in lines)


def test_the_output_never_mixes_with_other_files(raw: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the same folder"):
        prepare(raw, raw)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").touch()
    with pytest.raises(FileExistsError, match=r"is not empty and holds no manifest\.json"):
        prepare(raw, tmp_path / "full")
    (tmp_path / "full" / "manifest.json").write_text('{"dataset": "Synapse", "files": {}}')
    with pytest.raises(FileExistsError, match="holds the dataset 'Synapse', not 'ACDC'"):
        prepare(raw, tmp_path / "full")


def test_volumes_of_an_earlier_run_with_more_patients_are_an_error(raw: Path, tmp_path: Path) -> None:
    out = prepare(raw, tmp_path / "out")
    for path in (raw / "database/training/patient038").iterdir():
        path.unlink()
    with pytest.raises(FileExistsError, match=r"holds 2 volumes that .* does not have \(patient038_frame01"):
        prepare(raw, out)
