from __future__ import annotations

import pytest

from fewlabel.data.layout.folders import read_layout
from fewlabel.data.layout.splits import assign_splits

FOLDS = [{"train": ["a01", "a02", "a03"], "val": ["a00"]}, {"train": ["a00", "a02", "a03"], "val": ["a01"]}]


@pytest.fixture
def folds(dataset):
    """Five labeled and one unlabeled scan, and two folds that say nothing of the fifth."""
    dataset.training(5, unlabeled=1).json("splits_final.json", FOLDS)
    return dataset


def assigned(dataset, **options):
    return assign_splits(read_layout(dataset.root), **options)


def messages(dataset, severity, **options):
    return [problem.message for problem in assigned(dataset, **options).problems if problem.severity == severity]


def test_the_first_fold_is_used_and_told(folds):
    splits = assigned(folds).splits
    assert sorted(splits["labeled"]) == ["a01", "a02", "a03"]
    assert list(splits["validation"]) == ["a00"]
    assert list(splits["unlabeled"]) == ["a04", "u00"]
    assert any(
        "splits_final.json decides: fold 0 of 2, 3 cases train and 1 validate; choose another with --fold" in message
        for message in messages(folds, "note")
    )


def test_another_fold_can_be_chosen(folds):
    splits = assigned(folds, fold=1).splits
    assert sorted(splits["labeled"]) == ["a00", "a02", "a03"]
    assert list(splits["validation"]) == ["a01"]


def test_the_seed_orders_the_labeled_cases_of_a_fold(folds):
    orders = {tuple(assigned(folds, seed=seed).splits["labeled"]) for seed in range(20)}
    assert len(orders) > 1
    assert assigned(folds, seed=3).splits["labeled"] == assigned(folds, seed=3).splits["labeled"]


def test_our_own_file_goes_first_and_that_is_told(folds):
    folds.json("splits.json", {"labeled": ["a04"], "validation": ["a03"]})
    splits = assigned(folds).splits
    assert list(splits["labeled"]) == ["a04"]
    assert any("splits_final.json is not used, because " in message for message in messages(folds, "note"))


def test_a_fold_needs_its_file(dataset):
    dataset.training(3)
    with pytest.raises(ValueError, match=r"fold is 1, but .*splits_final\.json does not exist: leave --fold out"):
        assigned(dataset, fold=1)
    dataset.json("splits_final.json", FOLDS)
    dataset.json("splits.json", {"labeled": ["a00"]})
    with pytest.raises(ValueError, match=r"fold is 1, but .*splits\.json decides about the splits: leave --fold out"):
        assigned(dataset, fold=1)


@pytest.mark.parametrize("fold", [2, -1, "1", True])
def test_a_fold_that_there_is_not_is_refused(folds, fold):
    assert messages(folds, "error", fold=fold)[0].startswith(f"fold is {fold!r}, but ")
    assert "splits_final.json has the folds 0 to 1: choose one of them" in messages(folds, "error", fold=fold)[0]


@pytest.mark.parametrize("content", [{}, [], [{"train": ["a00"]}], [{"train": "a00", "val": []}], ["a00"]])
def test_a_file_that_holds_no_folds_is_refused(folds, content):
    folds.json("splits_final.json", content)
    assert "splits_final.json is no list of folds; expected" in messages(folds, "error")[0]


def test_broken_json_is_named(folds):
    folds.json("splits_final.json", "[")
    assert "splits_final.json is not valid JSON" in messages(folds, "error")[0]


def test_an_unknown_case_is_named(folds):
    folds.json("splits_final.json", [{"train": ["a01", "gone"], "val": ["a00"]}])
    assert "names 'gone' in 'train' of fold 0: no such case in the dataset" in messages(folds, "error")[0]


def test_a_case_in_both_halves_of_a_fold_is_refused(folds):
    folds.json("splits_final.json", [{"train": ["a01", "a00"], "val": ["a00"]}])
    assert "has 'a00' in 'train' and in 'val' of fold 0" in messages(folds, "error")[0]
