from __future__ import annotations

import shutil

import numpy as np
import pytest
from monai.transforms import LoadImaged

from fewlabel.data import Cohort
from fewlabel.data.layout.splits import shuffled


def names(items):
    return [item["volume"] for item in items]


def test_items_are_monai_items_with_labels_where_there_are_any(dataset):
    dataset.training(2, unlabeled=1)
    dataset.pair("t", "Ts")
    cohort = Cohort(dataset.root)
    root = str(dataset.root)
    assert cohort.unlabeled == [{"image": f"{root}/imagesTr/u00.nii.gz", "case": "u00", "volume": "u00"}]
    assert cohort.test == [
        {"image": f"{root}/imagesTs/t.nii.gz", "label": f"{root}/labelsTs/t.nii.gz", "case": "t", "volume": "t"}
    ]
    loaded = LoadImaged(["image", "label"])(cohort.labeled[0])
    assert loaded["image"].shape == loaded["label"].shape == dataset.shape


def test_the_labels_count_the_background(dataset):
    cohort = Cohort(dataset.training(1).root)
    assert cohort.labels == {0: "background", 1: "liver", 2: "tumor"}
    assert cohort.num_classes == 3


def test_labeled_cases_keeps_the_first_of_the_order_and_hides_the_labels_of_the_rest(dataset):
    dataset.training(12, unlabeled=3)
    everything = Cohort(dataset.root)
    for k in range(1, 12):
        cohort = Cohort(dataset.root, labeled_cases=k)
        assert cohort.labeled == everything.labeled[:k]
        assert names(cohort.unlabeled) == names(everything.labeled[k:]) + names(everything.unlabeled)
        assert all("label" not in item for item in cohort.unlabeled)
        assert cohort.validation == everything.validation


def test_labeled_cases_counts_patients_not_frames(acdc_like):
    cohort = Cohort(acdc_like.root, labeled_cases=1)
    assert names(cohort.labeled) == ["patient003_frame01", "patient003_frame13"]
    assert names(cohort.unlabeled) == ["patient001_frame01", "patient001_frame11"]
    assert {item["case"] for item in cohort.validation} == {"patient002"}


def test_the_seed_orders_the_labeled_cases(dataset):
    dataset.training(5)
    for seed in (0, 1, 7):
        cohort = Cohort(dataset.root, seed=seed)
        assert names(cohort.labeled + cohort.validation) == shuffled([f"a{i:02d}" for i in range(5)], seed)


def test_a_copy_of_the_dataset_elsewhere_is_split_the_same(dataset, tmp_path):
    dataset.training(8, unlabeled=2)
    shutil.copytree(dataset.root, tmp_path / "copy")
    here, there = Cohort(dataset.root, 3), Cohort(tmp_path / "copy", 3)
    for split in ("labeled", "unlabeled", "validation", "test"):
        assert names(getattr(here, split)) == names(getattr(there, split))


def test_label_maps_beyond_labeled_cases_are_never_opened(dataset):
    dataset.training(6)
    kept = Cohort(dataset.root, labeled_cases=2)
    for item in kept.unlabeled:
        (dataset.root / "labelsTr" / f"{item['volume']}.nii.gz").write_bytes(b"garbage")
    assert Cohort(dataset.root, labeled_cases=2).unlabeled == kept.unlabeled
    with pytest.raises(ValueError, match=r"labelsTr.* is truncated or corrupt"):
        Cohort(dataset.root, labeled_cases=3)


def test_label_maps_of_unlabeled_cases_in_splits_json_are_never_opened(dataset):
    dataset.training(3).json("splits.json", {"labeled": ["a00"], "unlabeled": ["a01"]})
    (dataset.root / "labelsTr/a01.nii.gz").write_bytes(b"garbage")
    assert names(Cohort(dataset.root).unlabeled) == ["a01"]


def test_the_notes_tell_which_cases_validate(dataset):
    cohort = Cohort(dataset.training(3).root)
    (note,) = cohort.notes
    assert note.startswith(f"1 of 3 labeled cases validate ({cohort.validation[0]['case']})")


@pytest.mark.parametrize("count", [0, -1])
def test_fewer_than_one_labeled_case_is_refused(dataset, count):
    with pytest.raises(ValueError, match=rf"labeled_cases is {count}; expected at least 1 case, or None for all"):
        Cohort(dataset.training(1).root, labeled_cases=count)


@pytest.mark.parametrize("count", [2.0, "2", True])
def test_labeled_cases_that_are_no_whole_number_are_refused(dataset, count):
    with pytest.raises(ValueError, match=r"labeled_cases is .*; expected a whole number of cases"):
        Cohort(dataset.training(1).root, labeled_cases=count)


def test_a_seed_that_is_no_whole_number_is_refused(dataset):
    with pytest.raises(ValueError, match=r"seed is 0\.5; expected a whole number"):
        Cohort(dataset.training(1).root, seed=0.5)


def test_more_labeled_cases_than_can_train_are_refused(dataset):
    dataset.training(12)
    with pytest.raises(
        ValueError,
        match=r"labeled_cases is 12, but 11 labeled cases can train \(validation has 1\): ask for at most 11",
    ):
        Cohort(dataset.root, labeled_cases=12)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        Cohort(tmp_path / "nowhere")


def test_an_empty_folder_is_refused_and_the_other_problems_are_counted(tmp_path):
    with pytest.raises(
        ValueError, match=r"dataset\.json does not exist.* \(2 more: `fewlabel check .*` lists them all\)"
    ):
        Cohort(tmp_path)


def test_a_dataset_without_label_map_is_refused(dataset):
    with pytest.raises(ValueError, match="no labeled case to train with"):
        Cohort(dataset.training(0, unlabeled=3).root)


@pytest.mark.parametrize("half", ["Tr", "Ts"])
def test_a_label_map_of_another_shape_is_refused(dataset, half):
    dataset.training(1).pair("b", half)
    dataset.write(f"labels{half}/b.nii.gz", np.zeros((6, 5, 3), np.uint8))
    with pytest.raises(ValueError, match=r"b\.nii\.gz has the shape \(6, 5, 3\), its image .*b\.nii\.gz \(6, 5, 4\)"):
        Cohort(dataset.root)


@pytest.mark.parametrize(
    "shift", [np.diag([1, 1, 0.5, 1]), np.array([[1, 0, 0, 2.0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])]
)
def test_a_label_map_of_another_affine_is_refused(dataset, shift):
    dataset.training(1)
    dataset.write("labelsTr/a00.nii.gz", np.zeros(dataset.shape, np.uint8), shift @ dataset.affine)
    with pytest.raises(ValueError, match=r"a00\.nii\.gz lies elsewhere than its image .* affines differ by up to"):
        Cohort(dataset.root)


def test_rounding_of_the_affine_is_forgiven_up_to_a_thousandth(dataset):
    dataset.training(1)
    for error, fine in ((9e-4, True), (1.2e-3, False)):
        affine = dataset.affine.copy()
        affine[2, 3] += error
        dataset.write("labelsTr/a00.nii.gz", np.zeros(dataset.shape, np.uint8), affine)
        if fine:
            Cohort(dataset.root)
        else:
            with pytest.raises(ValueError, match="lies elsewhere"):
                Cohort(dataset.root)


def test_a_time_series_among_the_unlabeled_images_is_refused(dataset):
    dataset.training(1).write("imagesTr/u.nii.gz", np.zeros((6, 5, 4, 3), np.uint8))
    with pytest.raises(ValueError, match=r"u\.nii\.gz holds 3 channels or time points, but"):
        Cohort(dataset.root)


def test_a_broken_link_is_refused(dataset):
    (dataset.training(2).root / "labelsTr/a01.nii.gz").unlink()
    (dataset.root / "labelsTr/a01.nii.gz").symlink_to(dataset.root / "gone")
    with pytest.raises(ValueError, match=r"labelsTr/a01\.nii\.gz is a link to .*gone, which does not exist"):
        Cohort(dataset.root)


def test_regions_are_refused(dataset):
    dataset.training(1).json("dataset.json", {"labels": {"background": 0, "whole": [1, 2]}})
    with pytest.raises(ValueError, match="describes regions"):
        Cohort(dataset.root)


CHANNELS = {"channel_names": {"0": "T2", "1": "ADC"}}


def with_channels(dataset, *names):
    """A dataset with two channels, each a file."""
    dataset.describe(**CHANNELS)
    for name in names:
        for number in (0, 1):
            dataset.image(f"{name}_000{number}")
        dataset.label(name)
    return dataset


def test_a_case_of_several_channels_lists_their_files(dataset):
    cohort = Cohort(with_channels(dataset, "a", "b").root)
    root = str(dataset.root)
    by_volume = {item["volume"]: item["image"] for item in cohort.labeled}
    assert by_volume["b"] == [f"{root}/imagesTr/b_0000.nii.gz", f"{root}/imagesTr/b_0001.nii.gz"]
    assert (cohort.channels, cohort.in_channels) == (("T2", "ADC"), 2)


def test_one_channel_is_the_rule(dataset):
    assert Cohort(dataset.training(1).root).in_channels == 1


def test_channels_may_lie_along_the_fourth_axis(dataset):
    dataset.describe(modality={"0": "T2", "1": "ADC"})
    dataset.write("imagesTr/a.nii.gz", dataset.voxels((*dataset.shape, 2)))
    dataset.label("a")
    cohort = Cohort(dataset.root)
    assert cohort.labeled[0]["image"] == f"{dataset.root}/imagesTr/a.nii.gz"
    assert cohort.in_channels == 2


@pytest.mark.parametrize(
    ("description", "count", "message"),
    [
        (CHANNELS, 3, r"a\.nii\.gz holds 3 channels or time points, but dataset\.json names 2 \(T2, ADC\)"),
        (CHANNELS, 1, r"a\.nii\.gz holds 1 channel or time points, but dataset\.json names 2 \(T2, ADC\)"),
        (
            {},
            2,
            r'a\.nii\.gz holds 2 channels .*, but dataset\.json names no channels: name them under "channel_names"',
        ),
    ],
)
def test_a_file_with_another_number_of_channels_is_named(dataset, description, count, message):
    dataset.describe(**description)
    dataset.write("imagesTr/a.nii.gz", dataset.voxels((*dataset.shape, count)))
    dataset.label("a")
    with pytest.raises(ValueError, match=message):
        Cohort(dataset.root)


@pytest.mark.parametrize("half", ["Tr", "Ts"])
def test_a_case_that_lacks_a_channel_stops_the_training(dataset, half):
    with_channels(dataset, "a").image("b_0001", half)
    with pytest.raises(ValueError, match=rf"case 'b' lacks channel 0 \(T2\): expected .*images{half}/b_0000\.nii\.gz"):
        Cohort(dataset.root)


def test_channels_of_one_case_lie_on_one_grid(dataset):
    with_channels(dataset, "a", "b")
    dataset.write("imagesTr/b_0001.nii.gz", dataset.voxels(), np.diag([1.5, 1.5, 5.0, 1.0]))
    message = r"b_0001\.nii\.gz lies on another grid than the first channel .*b_0000\.nii\.gz \(6 x 5 x 4 voxels of"
    with pytest.raises(ValueError, match=message):
        Cohort(dataset.root)


def test_a_label_map_has_one_channel(dataset):
    dataset.training(1).write("labelsTr/a00.nii.gz", np.ones((*dataset.shape, 2), np.uint8))
    with pytest.raises(ValueError, match=r"a00\.nii\.gz holds 2 label maps along its fourth axis; expected one"):
        Cohort(dataset.root)


def test_the_ignored_value_is_no_class(dataset):
    dataset.training(1).json("dataset.json", {"labels": {"background": 0, "liver": 1, "tumor": 2, "ignore": 3}})
    cohort = Cohort(dataset.root)
    assert (cohort.num_classes, cohort.ignored) == (3, 3)


def test_a_fold_of_nnunet_is_chosen_by_its_number(dataset):
    dataset.training(3).json("splits_final.json", [{"train": ["a00"], "val": ["a01"]}, {"train": ["a02"], "val": []}])
    assert names(Cohort(dataset.root).labeled) == ["a00"]
    assert names(Cohort(dataset.root, fold=1).labeled) == ["a02"]
