from __future__ import annotations

import itertools

import pytest

from fewlabel.data.layout.folders import read_layout
from fewlabel.data.layout.splits import assign_splits, held_out, shuffled
from fewlabel.data.layout.splits_json import SPLITS


def splits(dataset, seed=0):
    """The four splits, after making sure that nothing is wrong."""
    found = assign_splits(read_layout(dataset.root), seed)
    assert [problem.message for problem in found.problems if problem.severity == "error"] == []
    return found.splits


def errors(dataset):
    found = assign_splits(read_layout(dataset.root))
    return [problem.message for problem in found.problems if problem.severity == "error"]


def notes(dataset):
    found = assign_splits(read_layout(dataset.root))
    return [problem.message for problem in found.problems if problem.severity == "note"]


def with_empty_files(dataset, labeled, unlabeled=0, test=0):
    """The dataset `training` writes, with empty files: the partition opens none."""
    dataset.describe()
    for index in range(labeled):
        dataset.json(f"imagesTr/a{index:02d}.nii", "")
        dataset.json(f"labelsTr/a{index:02d}.nii", "")
    for index in range(unlabeled):
        dataset.json(f"imagesTr/u{index:02d}.nii", "")
    for index in range(test):
        dataset.json(f"imagesTs/t{index:02d}.nii", "")
        dataset.json(f"labelsTs/t{index:02d}.nii", "")
    return dataset


def test_the_order_depends_on_the_seed_only():
    cases = [f"case{index}" for index in range(20)]
    orders = [shuffled(cases, seed) for seed in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    assert all(sorted(order) == sorted(cases) for order in orders)
    assert shuffled(cases[::-1], 3) == orders[3]


def test_the_order_of_seed_zero_never_changes():
    # a change here would silently exchange the labeled scans of every user without a splits.json
    assert shuffled(["a", "b", "c", "d", "e"], 0) == ["c", "b", "e", "d", "a"]


def test_every_order_of_three_cases_comes_up_about_equally_often():
    counts = dict.fromkeys(itertools.permutations("abc"), 0)
    for seed in range(600):
        counts[tuple(shuffled(["a", "b", "c"], seed))] += 1
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 20.5  # chi-squared, 5 degrees, p = 0.001


def test_a_tenth_is_held_out_but_never_of_two():
    for cases in range(3):
        assert held_out(cases) == 0
    for cases in range(3, 300):
        assert held_out(cases) >= 1
        assert abs(held_out(cases) - cases / 10) <= max(0.5, 1 - cases / 10)


def test_by_rule_twelve_labeled_of_two_hundred_scans_train_eleven_and_validate_one(dataset):
    found = splits(with_empty_files(dataset, labeled=12, unlabeled=188, test=3))
    assert [len(found[split]) for split in SPLITS] == [11, 188, 1, 3]
    order = shuffled([f"a{index:02d}" for index in range(12)], 0)
    assert [*found["labeled"], *found["validation"]] == order
    assert notes(dataset) == [
        f"1 of 12 labeled cases validate ({order[-1]}); name them under 'validation' in splits.json to choose others"
    ]


@pytest.mark.parametrize("labeled", [1, 2])
def test_too_few_labeled_cases_all_train_and_a_note_says_so(dataset, labeled):
    found = splits(with_empty_files(dataset, labeled, unlabeled=3))
    assert len(found["labeled"]) == labeled
    assert found["validation"] == {}
    assert notes(dataset)[0].startswith(f"{labeled} labeled case")
    assert "too few to hold one out for validation" in notes(dataset)[0]


@pytest.mark.parametrize("labeled", [1, 2, 3, 7, 20])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_volume_is_in_two_splits_and_none_is_lost(dataset, labeled, seed):
    found = splits(with_empty_files(dataset, labeled, unlabeled=4, test=2), seed)
    volumes = [name for split in SPLITS for members in found[split].values() for name in members]
    assert sorted(volumes) == sorted(read_layout(dataset.root).volumes)


def test_given_splits_are_taken_in_their_order(dataset):
    with_empty_files(dataset, labeled=5, unlabeled=2)
    given = {"labeled": ["a03", "a00"], "unlabeled": ["u01", "u00", "a04"], "validation": ["a02"], "test": ["a01"]}
    dataset.json("splits.json", given)
    assert {split: list(cases) for split, cases in splits(dataset).items()} == given
    assert notes(dataset) == []


def test_labeled_alone_leaves_validation_empty_and_the_rest_unlabeled(dataset):
    with_empty_files(dataset, labeled=5, unlabeled=1, test=2).json("splits.json", {"labeled": ["a03", "a00"]})
    assert {split: list(cases) for split, cases in splits(dataset).items()} == {
        "labeled": ["a03", "a00"],
        "unlabeled": ["a01", "a02", "a04", "u00"],
        "validation": [],
        "test": ["t00", "t01"],
    }
    assert notes(dataset) == ["splits.json names the labeled cases but no validation: none is held out"]


def test_validation_alone_leaves_the_other_labeled_cases_to_train(dataset):
    with_empty_files(dataset, labeled=5, unlabeled=1).json("splits.json", {"validation": ["a03"], "test": ["a01"]})
    found = splits(dataset)
    assert list(found["labeled"]) == shuffled(["a00", "a02", "a04"], 0)
    assert list(found["validation"]) == ["a03"]
    assert list(found["unlabeled"]) == ["u00"]
    assert list(found["test"]) == ["a01"]


def test_an_empty_validation_holds_out_none(dataset):
    with_empty_files(dataset, labeled=12).json("splits.json", {"validation": []})
    assert len(splits(dataset)["labeled"]) == 12


def test_the_published_order_of_patients_brings_all_their_frames(acdc_like):
    assert splits(acdc_like) == {
        "labeled": {
            "patient003": ["patient003_frame01", "patient003_frame13"],
            "patient001": ["patient001_frame01", "patient001_frame11"],
        },
        "unlabeled": {},
        "validation": {"patient002": ["patient002_frame01", "patient002_frame12"]},
        "test": {},
    }


@pytest.mark.parametrize("seed", range(6))
def test_by_rule_no_patient_is_both_in_training_and_in_validation(acdc_like, seed):
    cases = {f"patient{p:03d}": [f"patient{p:03d}_frame01", f"patient{p:03d}_frame{p + 10}"] for p in (1, 2, 3)}
    acdc_like.json("splits.json", {"cases": cases})
    found = splits(acdc_like, seed)
    assert len(found["labeled"]) == 2
    assert len(found["validation"]) == 1
    assert {**found["labeled"], **found["validation"]} == cases
    assert found["unlabeled"] == {}


@pytest.mark.parametrize("seed", range(6))
def test_the_unlabeled_frame_of_a_validation_patient_does_not_train(acdc_like, seed):
    for patient in (1, 2, 3):
        (acdc_like.root / f"labelsTr/patient{patient:03d}_frame{patient + 10}.nii.gz").unlink()
    cases = {f"patient{p:03d}": [f"patient{p:03d}_frame01", f"patient{p:03d}_frame{p + 10}"] for p in (1, 2, 3)}
    acdc_like.json("splits.json", {"cases": cases})
    found = splits(acdc_like, seed)
    (held,) = found["validation"]
    assert found["validation"] == {held: [f"{held}_frame01"]}
    trained = {case for case in cases if case != held}
    assert found["labeled"] == {case: [cases[case][0]] for case in found["labeled"]}
    assert set(found["labeled"]) == trained
    assert found["unlabeled"] == {case: [cases[case][1]] for case in found["unlabeled"]}
    assert set(found["unlabeled"]) == trained


def test_one_frame_of_a_patient_may_train_labeled_and_another_unlabeled(acdc_like):
    cases = {"patient001": ["patient001_frame01", "patient001_frame11"]}
    given = {"labeled": ["patient001_frame01"], "unlabeled": ["patient001_frame11"], "cases": cases}
    acdc_like.json("splits.json", given)
    found = splits(acdc_like)
    assert found["labeled"] == {"patient001": ["patient001_frame01"]}
    assert found["unlabeled"] == {"patient001": ["patient001_frame11"]}


def test_test_images_without_label_map_are_neither_scored_nor_trained_on(dataset):
    with_empty_files(dataset, labeled=3).json("imagesTs/t.nii", "")
    assert all("t" not in cases for cases in splits(dataset).values())
    assert notes(dataset)[1].startswith("1 volume is in no split and not used (t): name them in splits.json")


def test_volumes_that_splits_json_leaves_out_are_noted(dataset):
    given = {"labeled": ["a00"], "unlabeled": ["a01"], "validation": [], "test": []}
    with_empty_files(dataset, labeled=8).json("splits.json", given)
    assert notes(dataset)[0].startswith("6 volumes are in no split and not used (a02, a03, a04, a05, a06 and 1 more)")


@pytest.mark.parametrize(("first", "second"), list(itertools.combinations(SPLITS, 2)))
def test_a_case_in_two_splits_is_refused(dataset, first, second):
    with_empty_files(dataset, labeled=5)
    given = {"labeled": ["a00"], "unlabeled": ["a01"], "validation": ["a02"], "test": ["a03"]}
    given[first].append("a04")
    given[second].append("a04")
    dataset.json("splits.json", given)
    (message,) = errors(dataset)
    assert message.startswith(f"case 'a04' is in both '{first}' and '{second}': keep it in one of them in ")
    assert message.endswith("splits.json")


def test_two_frames_of_a_patient_in_training_and_validation_are_refused(acdc_like):
    cases = {"patient001": ["patient001_frame01", "patient001_frame11"]}
    given = {"labeled": ["patient001_frame01"], "validation": ["patient001_frame11"], "cases": cases}
    acdc_like.json("splits.json", given)
    assert any("case 'patient001' is in both 'labeled' and 'validation'" in message for message in errors(acdc_like))


def test_a_patient_in_both_training_and_test_folder_is_refused(dataset):
    with_empty_files(dataset, labeled=3, test=1).json("splits.json", {"validation": [], "cases": {"p": ["a00", "t00"]}})
    assert any("case 'p' is in both 'labeled' and 'test'" in message for message in errors(dataset))


@pytest.mark.parametrize("split", SPLITS)
def test_a_split_that_names_an_unknown_case_is_refused(dataset, split):
    with_empty_files(dataset, labeled=3).json("splits.json", {split: ["a7"]})
    assert (
        f"names 'a7' in '{split}': no such case or volume in the dataset, which has 3 cases such as 'a00'"
        in "".join(errors(dataset))
    )


def test_a_group_with_an_unknown_volume_is_refused(dataset):
    with_empty_files(dataset, labeled=3).json("splits.json", {"cases": {"p": ["a00", "a7"]}})
    assert "has the volume 'a7' in case 'p': no such volume in the dataset, which has 3 such as" in errors(dataset)[0]


def test_a_volume_in_two_groups_is_refused(dataset):
    with_empty_files(dataset, labeled=3).json("splits.json", {"cases": {"p": ["a00", "a01"], "q": ["a01"]}})
    assert "has the volume 'a01' in the cases 'p' and 'q'" in errors(dataset)[0]


def test_a_group_named_like_a_volume_outside_it_is_refused(dataset):
    with_empty_files(dataset, labeled=3).json("splits.json", {"cases": {"a02": ["a00", "a01"]}})
    assert "a case 'a02' that is also the name of a volume outside it: rename the case" in errors(dataset)[0]


def test_a_name_twice_in_a_split_is_refused(dataset):
    with_empty_files(dataset, labeled=3).json("splits.json", {"labeled": ["a00", "a01", "a00"]})
    assert "names 'a00' twice in 'labeled': remove one" in errors(dataset)[0]


@pytest.mark.parametrize("split", ["labeled", "validation", "test"])
def test_a_case_without_label_map_cannot_train_labeled_validate_or_test(dataset, split):
    with_empty_files(dataset, labeled=3, unlabeled=1).json("splits.json", {split: ["u00"]})
    assert f"case 'u00' is in '{split}' of splits.json, but " in errors(dataset)[0]
    assert "u00.nii has no label map: add it, or move the case to 'unlabeled'" in errors(dataset)[0]


@pytest.mark.parametrize("content", [{"train": ["a00"]}, {"labeled": "a00"}, {"labeled": [1]}, {"cases": ["a00"]}])
def test_a_wrong_key_or_type_is_refused_with_what_was_expected(dataset, content):
    with_empty_files(dataset, labeled=3).json("splits.json", content)
    assert "expected labeled, unlabeled, validation, test (lists of names) and cases" in errors(dataset)[0]


def test_nnunets_list_of_folds_is_refused(dataset):
    with_empty_files(dataset, labeled=3).json("splits.json", [{"train": ["a00"], "val": ["a01"]}])
    assert "splits.json holds a list; expected an object" in errors(dataset)[0]


def test_without_a_label_map_the_message_shows_where_one_belongs(dataset):
    with_empty_files(dataset, labeled=0, unlabeled=2)
    (message,) = errors(dataset)
    assert message.startswith("no labeled case to train with in ")
    assert message.endswith("for instance labelsTr/u00.nii.gz")
