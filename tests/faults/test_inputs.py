"""Scans, descriptions and words that are broken, met by whole commands."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helpers.faults import BUNDLE, Ended, cut_short, run, segmentation, start, training

pytestmark = pytest.mark.slow
ANNEX = "../.git/annex/objects/0K/w1/SHA256E-s1048576--0b8f.nii.gz/SHA256E-s1048576--0b8f.nii.gz"


def huge_header(file: Path) -> None:
    """Claim 30000 x 30000 x 30000 voxels."""
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[42:48] = np.array([30000] * 3, "<i2").tobytes()
    file.write_bytes(gzip.compress(bytes(content)))


def bomb(file: Path) -> None:
    """Put 4 GB of zeros behind the voxels, in 4 MB."""
    with open(file, "ab") as stream:
        stream.write(gzip.compress(b"\0" * (1 << 20)) * 4096)


def link_to_nowhere(file: Path) -> None:
    file.unlink()
    file.symlink_to(ANNEX)


def pointer(file: Path) -> None:
    file.write_text("/annex/objects/SHA256E-s1048576--0b8f.nii.gz\n")


def half(file: Path) -> None:
    cut_short(file)


FAULTS: list[tuple[Callable[[Path], None], str]] = [
    (huge_header, "of memory"),
    (link_to_nowhere, "datalad get"),
    (pointer, "holds a pointer of git-annex"),
    (half, "is truncated or corrupt"),
]


def scans(data: Path) -> list[Path]:
    return sorted((data / "imagesTr").iterdir())


@pytest.mark.parametrize(("spoil", "reason"), [*FAULTS, (bomb, "goes on behind its voxels")])
def test_check_names_a_bad_scan_and_goes_on_with_the_others(
    spoil: Callable[[Path], None], reason: str, data: Path
) -> None:
    bad, *others = scans(data)
    spoil(bad)
    ended = run("fewlabel", "check", str(data))
    assert ended.code == 1, ended.text
    assert "Traceback" not in ended.errors, ended.text
    (line,) = ended.output.partition("\nerrors:\n")[2].partition("\n\n")[0].splitlines()
    assert str(bad) in line
    assert reason in line
    for scan in others:
        assert any(row.split()[2:3] == [scan.name.removesuffix(".nii.gz")] for row in ended.output.splitlines())


@pytest.mark.parametrize(("spoil", "reason"), FAULTS)
def test_training_names_a_bad_scan(spoil: Callable[[Path], None], reason: str, data: Path, tmp_path: Path) -> None:
    bad = scans(data)[0]
    spoil(bad)
    run("fewlabel", *training(data, tmp_path)).says(bad, reason)


@pytest.mark.parametrize(("spoil", "reason"), FAULTS)
def test_inference_counts_a_bad_scan_as_failed_and_segments_the_others(
    spoil: Callable[[Path], None], reason: str, data: Path, tmp_path: Path, trained: Callable[[], Path]
) -> None:
    folder = trained()
    new = tmp_path / "new"
    new.mkdir()
    bad, good = (Path(shutil.copy(scan, new)) for scan in scans(data)[:2])
    spoil(bad)
    ended = run("fewlabel", *segmentation(new, folder))
    assert ended.code == 1, ended.text
    assert "Traceback" not in ended.errors, ended.text
    assert "done       1" in ended.output, ended.text
    assert "failed     1" in ended.output, ended.text
    assert any(str(bad) in line and reason in line for line in ended.output.splitlines()), ended.text
    assert [file.name for file in (folder / "segmentations").glob("*.nii.gz")] == [good.name]


@pytest.mark.parametrize(("spoil", "reason"), FAULTS)
def test_plan_names_a_bad_scan(spoil: Callable[[Path], None], reason: str, data: Path, tmp_path: Path) -> None:
    bad = scans(data)[0]
    spoil(bad)
    run("fewlabel", "plan", str(data), "--out", str(tmp_path / "plan.json")).says(bad, reason, code=2)
    assert not (tmp_path / "plan.json").exists()


def not_finite(file: Path) -> None:
    image = nib.load(file)
    voxels = np.asarray(image.dataobj, np.float32)
    voxels[0, 0, 0] = np.nan
    nib.save(nib.Nifti1Image(voxels, image.affine), file)


@pytest.mark.parametrize(("spoil", "reason"), [*FAULTS, (not_finite, "NaN or infinite")])
@pytest.mark.parametrize("folder", ["imagesTr", "labelsTr"])
def test_prepare_names_a_bad_file_and_leaves_nothing(
    folder: str, spoil: Callable[[Path], None], reason: str, data: Path, tmp_path: Path
) -> None:
    bad = sorted((data / folder).iterdir())[0]
    spoil(bad)
    words = ["prepare", "folders", str(data / "imagesTr"), str(data / "labelsTr"), str(tmp_path / "out")]
    run("fewlabel", *words).says(bad.name, reason, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["dataset.json", "splits.json", "splits_final.json"])
@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000 + "1" + "}" * 100_000])
def test_check_names_a_description_nested_too_deeply(content: str, name: str, data: Path) -> None:
    if name == "splits_final.json":
        (data / "splits.json").unlink()
    (data / name).write_text(content)
    ended = run("fewlabel", "check", str(data))
    assert ended.code == 1, ended.text
    assert "Traceback" not in ended.errors, ended.text
    assert f"{data / name} is not valid JSON: lists and objects are nested" in ended.output


def test_a_name_of_a_megabyte_is_shortened(data: Path, tmp_path: Path) -> None:
    labels = json.loads((data / "dataset.json").read_text())
    labels["labels"] = {"background": 0, "x" * 1_000_000: 1}
    (data / "dataset.json").write_text(json.dumps(labels))
    for words in (["check", str(data)], training(data, tmp_path), ["plan", str(data)]):
        ended = run("fewlabel", *words)
        assert ended.code in (1, 2), ended.text
        assert "of 1000000 characters" in ended.output + ended.errors
        assert max(map(len, (ended.output + ended.errors).splitlines())) < 3000


def test_a_word_that_no_file_system_takes_is_shortened() -> None:
    ended = run("fewlabel", "check", "x" * 100_000).says("File name too long", code=2)
    assert len(ended.last) < 2200


def nothing_run(ended: Ended, *parts: str) -> None:
    ended.says(*parts)
    assert len([line for line in ended.errors.splitlines() if line.startswith("fewlabel: error")]) == 1


@pytest.mark.parametrize("option", [["--papr#steps", "10"], ["--papr#steps=10"], ["-papr#steps", "10"]])
def test_a_misspelled_parent_is_one_line_with_the_nearest_key(option: list[str], data: Path, tmp_path: Path) -> None:
    nothing_run(run("fewlabel", *training(data, tmp_path, *option)), "papr#steps", "nearest is --paper#steps")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"seed": 1,\n"seed": 2}', ["mine.json gives the key 'seed' twice"]),
        ('{"seed": 1,\n"labeled_cases" 2}', ["mine.json is not valid JSON", "line 2"]),
    ],
)
def test_an_overlay_that_is_no_json_or_gives_a_key_twice_is_one_line(
    content: str, parts: list[str], data: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.json").write_text(content)
    words = training(data, tmp_path, "--with", str(tmp_path / "mine.json"))
    run("fewlabel", *words).says(*parts, code=2)


def long_form(*words: str) -> list[str]:
    where = run("fewlabel", "where", BUNDLE).output.strip()
    return ["run", "--config_file", f"{where}/configs/train.json", *words]


def test_the_long_form_refuses_a_key_given_twice_and_a_path_that_is_no_text(data: Path, tmp_path: Path) -> None:
    *_, train = long_form()
    (tmp_path / "mine.json").write_text('{"seed": 1, "seed": 2}')
    words = ["run", "--config_file", repr([train, str(tmp_path / "mine.json")]), "--dataset_dir", str(data)]
    run("monai.bundle", *words).says("mine.json gives the key 'seed' twice")
    for text in ("1234", "2024_02_02", "[x]"):
        for option in (["--dataset_dir", text], [f"--dataset_dir={text}"]):
            ended = run("monai.bundle", *long_form(*option), cwd=tmp_path)
            ended.says(f"--dataset_dir {text}: monai.bundle reads", f"write --dataset_dir \"'{text}'\"")


@pytest.mark.parametrize("name", ["2024_02_02", "c#1", "[x]", "None", "a b=c", "1e5", "true"])
def test_a_dataset_of_any_name_reaches_a_run(name: str, data: Path, tmp_path: Path) -> None:
    data.rename(tmp_path / name)
    words = [str(word) for word in training(Path(name), tmp_path / "out")]
    with start("fewlabel", *words, cwd=tmp_path) as running:
        running.wait_until("labeled and")  # what the run says of the cohort that it has found
