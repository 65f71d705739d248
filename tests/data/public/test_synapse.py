from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.cli import main
from fewlabel.data import Cohort
from fewlabel.data.public.published_splits import published_lists
from fewlabel.data.public.synapse import prepare_synapse
from fewlabel.data.public.synapse_labels import EIGHT, EIGHT_IN_ORDER, THIRTEEN
from helpers.acdc_forms import quiet
from helpers.synapse_forms import AFFINE, SCANS, challenge, ct, transunet

# the challenge's number of each of TransUNet's eight organs
CHALLENGE_NUMBER = {1: 8, 2: 4, 3: 3, 4: 2, 5: 6, 6: 11, 7: 1, 8: 7}

pytestmark = pytest.mark.filterwarnings("ignore:.*other numbers of slices")


def prepare(raw: Path, out: Path, **options: Any) -> Path:
    return prepare_synapse(raw, out, allow_missing=True, report=quiet, **options)


def label_of(out: Path, name: str) -> np.ndarray:
    (path,) = out.glob(f"labelsT*/{name}.nii.gz")
    return np.asarray(nib.load(path).dataobj)


def test_the_packaged_lists_are_the_published_ones() -> None:
    lists = published_lists("synapse.json")
    scans = {f"{number:04d}" for number in (*range(1, 11), *range(21, 41))}
    for split, sizes in (("18-12", (18, 12)), ("24-6", (24, 6))):
        training, test = lists[split]["training"], lists[split]["test"]
        assert (len(training), len(test)) == sizes
        assert {*training, *test} == scans
    assert lists["18-12"]["training"][:4] == ["0031", "0007", "0009", "0005"]
    assert sum(lists["slices"].values()) == 2211
    assert set(lists["slices"]) == set(lists["18-12"]["training"])


@pytest.mark.parametrize("form", [challenge, transunet])
def test_both_forms_give_the_same_eight_organs_in_the_published_order(form: Any, tmp_path: Path) -> None:
    form(tmp_path / "raw")
    out = prepare(tmp_path / "raw", tmp_path / "out")
    assert json.loads((out / "dataset.json").read_text())["labels"] == {
        "background": 0, "aorta": 1, "gallbladder": 2, "left kidney": 3, "right kidney": 4, "liver": 5, "pancreas": 6,
        "spleen": 7, "stomach": 8,
    }  # fmt: skip
    for name in SCANS:
        original = ct(name)[1]
        for ours, theirs in CHALLENGE_NUMBER.items():
            np.testing.assert_array_equal(label_of(out, name) == ours, original == theirs)
    splits = json.loads((out / "splits.json").read_text())
    assert splits == {"labeled": ["0031", "0007"], "unlabeled": [], "validation": [], "test": ["0008"]}
    cohort = Cohort(out, labeled_cases=1)
    assert [item["volume"] for item in cohort.labeled] == ["0031"]
    assert [item["volume"] for item in cohort.unlabeled] == ["0007"]


def test_original_intensities_are_cut_to_the_window_and_keep_their_place(tmp_path: Path) -> None:
    challenge(tmp_path / "raw")
    image = nib.load(prepare(tmp_path / "raw", tmp_path / "out") / "imagesTs/0008.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), np.clip(ct("0008")[0], -125, 275))
    np.testing.assert_allclose(image.affine, AFFINE, atol=1e-6)


def test_transunet_s_slices_are_stacked_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    transunet(tmp_path / "raw")
    image = nib.load(prepare(tmp_path / "raw", tmp_path / "out") / "imagesTr/0031.nii.gz")
    expected = (np.clip(ct("0031")[0], -125, 275) + 125) / 400
    np.testing.assert_allclose(image.get_fdata(), expected, atol=1e-6)
    assert image.header.get_zooms() == (1, 1, 1)


def test_thirteen_organs_keep_the_challenge_s_numbers(tmp_path: Path) -> None:
    challenge(tmp_path / "raw")
    out = prepare(tmp_path / "raw", tmp_path / "out", organs=13)
    np.testing.assert_array_equal(label_of(out, "0007"), ct("0007")[1])
    assert list(json.loads((out / "dataset.json").read_text())["labels"]) == list(THIRTEEN)


def test_the_split_of_24_and_6_and_scans_for_validation_can_be_chosen(tmp_path: Path) -> None:
    challenge(tmp_path / "raw")
    out = prepare(tmp_path / "raw", tmp_path / "out", split="24-6")
    assert json.loads((out / "splits.json").read_text())["labeled"] == ["0007", "0008", "0031"]
    with pytest.raises(FileExistsError, match="holds the dataset 'Synapse, 8 organs, 24-6', not"):
        prepare(tmp_path / "raw", tmp_path / "out")
    held = prepare(tmp_path / "raw", tmp_path / "held", validation=17)
    assert json.loads((held / "splits.json").read_text())["validation"] == ["0007"]


@pytest.mark.parametrize(
    ("names", "numbering"), [(EIGHT_IN_ORDER, "challenge"), (THIRTEEN, "thirteen"), (EIGHT, "transunet")]
)
def test_files_numbered_otherwise_are_refused_until_their_numbering_is_named(
    names: tuple[str, ...], numbering: str, tmp_path: Path
) -> None:
    transunet(tmp_path / "raw", names)
    wrong = "transunet" if numbering != "transunet" else "challenge"
    with pytest.raises(ValueError, match=f"not numbered as --numbering {wrong} says.*--numbering {numbering}$"):
        prepare(tmp_path / "raw", tmp_path / "out", numbering=wrong)
    assert not (tmp_path / "out").exists()
    out = prepare(tmp_path / "raw", tmp_path / "out", numbering=numbering)
    np.testing.assert_array_equal(label_of(out, "0008") == 1, ct("0008")[1] == 8)


def test_files_of_eight_organs_cannot_become_thirteen(tmp_path: Path) -> None:
    transunet(tmp_path / "raw")
    with pytest.raises(ValueError, match="holds eight organs: prepare them with --organs 8"):
        prepare(tmp_path / "raw", tmp_path / "out", organs=13)


def test_a_missing_slice_is_named(tmp_path: Path) -> None:
    transunet(tmp_path / "raw")
    (tmp_path / "raw/train_npz/case0031_slice009.npz").unlink()
    with pytest.raises(ValueError, match=r"0031 in .* lacks 1 of the slices 0 to 10 \(9\)"):
        prepare(tmp_path / "raw", tmp_path / "out")


def test_scans_with_fewer_slices_than_published_are_warned_of(tmp_path: Path) -> None:
    transunet(tmp_path / "raw")
    with pytest.warns(UserWarning, match=r"2 scans have other numbers .*: 0007 \(3 of 163\), 0031 \(11 of 93\)"):
        prepare(tmp_path / "raw", tmp_path / "out")


def test_a_damaged_slice_is_named(tmp_path: Path) -> None:
    transunet(tmp_path / "raw")
    (tmp_path / "raw/train_npz/case0007_slice000.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"cannot read .*case0007_slice000\.npz"):
        prepare(tmp_path / "raw", tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--organs", "9"], "organs is 9, but it must be one of 8, 13"),
        (["--organs", "many"], "organs is 'many', but it must be a whole number"),
        (["--split", "20-10"], "split is '20-10', but it must be one of 18-12, 24-6"),
        (["--numbering", "btcv"], "numbering is 'btcv', but it must be one of transunet, challenge, thirteen"),
        (["--validation", "18"], "validation is 18, but it must be 0 to 17 scans"),
        ([], "lacks 27 scans of the published lists: 0009, 0005, 0026, 0039, 0024 and 22 more"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], message: str, tmp_path: Path, capsys: Any) -> None:
    challenge(tmp_path / "raw")
    with pytest.raises(SystemExit, match="2"):
        main(["prepare", "synapse", str(tmp_path / "raw"), str(tmp_path / "out"), *options])
    assert message in capsys.readouterr().err


def test_a_folder_without_the_challenge_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="holds no scan of the abdominal CT challenge"):
        prepare(tmp_path, tmp_path / "out")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(tmp_path / "absent", tmp_path / "out")
