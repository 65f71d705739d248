from __future__ import annotations

import pytest

from fewlabel.data.layout.folders import read_layout
from fewlabel.data.layout.splits import assign_splits
from fewlabel.data.layout.splits_json import read_splits


def found(dataset):
    """Name, image and label map of every volume, as bare file names."""
    layout = read_layout(dataset.root)
    assert layout.problems == []
    return {v.name: (v.image.name, v.label.name if v.label else None) for v in layout.volumes.values()}


def messages(dataset):
    return [problem.message for problem in read_layout(dataset.root).problems]


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha", ".mhd", ".NII.GZ"])
def test_images_pair_with_label_maps_of_their_name(dataset, ending):
    dataset.describe()
    for name in (f"imagesTr/a{ending}", f"imagesTr/b{ending}", f"labelsTr/a{ending}"):
        dataset.json(name, "no image needs to be opened")
    assert found(dataset) == {"a": (f"a{ending}", f"a{ending}"), "b": (f"b{ending}", None)}


def test_image_and_label_map_may_have_different_endings(dataset):
    dataset.describe()
    dataset.json("imagesTr/a.nrrd", "")
    dataset.json("labelsTr/a.nii.gz", "")
    assert found(dataset) == {"a": ("a.nrrd", "a.nii.gz")}


def test_the_channel_suffix_of_nnunet_is_no_part_of_the_name(dataset):
    dataset.describe()
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/b_0000.nii.gz", "imagesTr/c.nii.gz"):
        dataset.json(name, "")
    assert found(dataset) == {
        "a": ("a_0000.nii.gz", "a.nii.gz"),
        "b": ("b_0000.nii.gz", None),
        "c": ("c.nii.gz", None),
    }


def test_four_digits_are_a_number_when_a_label_map_carries_them(dataset):
    dataset.describe()
    for name in ("imagesTr/scan_0000.nii.gz", "imagesTr/scan_0001.nii.gz", "labelsTr/scan_0001.nii.gz"):
        dataset.json(name, "")
    assert list(found(dataset)) == ["scan_0000", "scan_0001"]


def test_test_images_are_no_training_images(dataset):
    dataset.training(1)
    dataset.pair("t", "Ts")
    layout = read_layout(dataset.root)
    assert {volume.name: volume.training for volume in layout.volumes.values()} == {"a00": True, "t": False}


def test_hidden_files_and_notes_are_skipped(dataset):
    dataset.training(1)
    for name in ("imagesTr/._a00.nii.gz", "imagesTr/notes.txt", "imagesTr/a00.json", "labelsTr/.DS_Store"):
        dataset.json(name, "")
    assert list(found(dataset)) == ["a00"]


def test_a_broken_link_is_a_missing_file_not_an_unlabeled_scan(dataset):
    dataset.training(1)
    for folder in ("imagesTr", "labelsTr"):
        (dataset.root / folder / "b.nii.gz").symlink_to(dataset.root / "gone")
    assert found(dataset)["b"] == ("b.nii.gz", "b.nii.gz")


def test_the_decathlons_list_pairs_other_names(dataset):
    dataset.describe(training=[{"image": "./imagesTr/scan_7.nii.gz", "label": "./labelsTr/mask_7.nii.gz"}])
    for name in ("imagesTr/scan_7.nii.gz", "labelsTr/mask_7.nii.gz", "imagesTr/new.nii.gz"):
        dataset.json(name, "")
    assert found(dataset) == {"mask_7": ("scan_7.nii.gz", "mask_7.nii.gz"), "new": ("new.nii.gz", None)}


def test_four_digits_are_a_number_when_a_listed_label_map_carries_them(dataset):
    dataset.describe(training=[{"image": "imagesTr/scan_0001.nii.gz", "label": "masks/scan_0001.nii.gz"}])
    for index in range(3):
        dataset.json(f"imagesTr/scan_{index:04d}.nii.gz", "")
    dataset.json("masks/scan_0001.nii.gz", "")
    assert list(found(dataset)) == ["scan_0000", "scan_0001", "scan_0002"]


def test_test_scans_are_numbered_when_training_scans_are(dataset):
    dataset.describe()
    for name in ("imagesTr/s_0007.nii", "labelsTr/s_0007.nii", "imagesTs/s_0000.nii", "imagesTs/s_0001.nii"):
        dataset.json(name, "")
    assert list(found(dataset)) == ["s_0000", "s_0001", "s_0007"]


def test_nnunet_v1_lists_images_without_their_channel_suffix(dataset):
    dataset.describe(training=[{"image": "./imagesTr/a.nii.gz", "label": "./labelsTr/a.nii.gz"}])
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"):
        dataset.json(name, "")
    assert found(dataset) == {"a": ("a_0000.nii.gz", "a.nii.gz")}


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere does not exist: expected one with imagesTr"):
        read_layout(tmp_path / "nowhere")


def test_a_home_directory_and_a_relative_path_are_understood(dataset, monkeypatch):
    dataset.training(1)
    monkeypatch.setenv("HOME", str(dataset.root.parent))
    monkeypatch.chdir(dataset.root.parent)
    for root in ("~/data", "data", "./data/../data"):
        assert read_layout(root).root == dataset.root


def test_an_empty_root_lacks_both_a_description_and_images(tmp_path):
    first, second = [problem.message for problem in read_layout(tmp_path).problems]
    assert 'dataset.json does not exist: it names the label values; write for instance {"labels"' in first
    assert "imagesTr holds no image: the folder does not exist; put the training scans there" in second


def test_an_empty_image_folder_is_told_from_a_wrong_format(dataset):
    dataset.describe()
    (dataset.root / "imagesTr").mkdir()
    assert "it is empty; put the training scans there" in messages(dataset)[0]
    for index in range(3):
        dataset.json(f"imagesTr/{index}.dcm", "")
    assert "found 3 x .dcm; expected one of .nii.gz, .nii, .nrrd, .mha, .mhd: convert" in messages(dataset)[0]


def test_the_same_name_with_two_endings_is_refused(dataset):
    dataset.training(1)
    for folder in ("imagesTr", "labelsTr"):
        dataset.json(f"{folder}/a00.nii", "")
    for message, folder in zip(messages(dataset), ("labelsTr", "imagesTr"), strict=True):
        assert f"{folder}/a00.nii and " in message
        assert f"{folder}/a00.nii.gz are both volume 'a00': remove one" in message


def test_the_same_name_with_and_without_channel_suffix_is_refused(dataset):
    dataset.training(1)
    dataset.json("imagesTr/a00_0000.nii.gz", "")
    assert "are both volume 'a00': remove one" in messages(dataset)[0]


def test_the_same_name_in_training_and_test_is_refused(dataset):
    dataset.training(1)
    dataset.pair("a00", "Ts")
    assert "volume 'a00' is both " in messages(dataset)[0]


def test_a_label_map_without_image_is_refused(dataset):
    dataset.training(1)
    dataset.label("a01_seg")
    (message,) = messages(dataset)
    assert "labelsTr/a01_seg.nii.gz has no image: expected" in message
    assert message.endswith("rename it like its image, or remove it")


TWO = {"channel_names": {"0": "T2", "1": "ADC"}}


def channels_of(dataset) -> dict[str, list[str]]:
    return {name: [file.name for file in volume.images] for name, volume in read_layout(dataset.root).volumes.items()}


def test_the_channels_of_a_case_are_its_images_in_order(dataset):
    dataset.describe(**TWO)
    for name in ("imagesTr/a_0001.nii.gz", "imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz", "imagesTr/b.nii.gz"):
        dataset.json(name, "")
    layout = read_layout(dataset.root)
    assert channels_of(dataset) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"], "b": ["b.nii.gz"]}
    assert layout.channels == ("T2", "ADC")
    assert not layout.problems  # whether b holds two channels along a fourth axis, its header tells


def test_channels_without_names_are_counted_and_told(dataset):
    dataset.describe()
    for name in ("a_0000", "a_0001", "b_0000", "b_0001"):
        dataset.json(f"imagesTr/{name}.nii.gz", "")
    layout = read_layout(dataset.root)
    assert layout.channels == ("channel 0", "channel 1")
    assert [problem.severity for problem in layout.problems] == ["note"]
    assert "names no channels, the files have 2, _0000 to _0001; name them" in layout.problems[0].message


@pytest.mark.parametrize(
    ("description", "file", "lacking"),
    [
        (TWO, "b_0001", "0"),
        (TWO, "b_0000", "1"),
        ({"modality": TWO["channel_names"]}, "b_0000", "1"),
        ({}, "b_0000", "1"),
    ],
)
def test_a_case_that_lacks_a_channel_is_named(dataset, description, file, lacking):
    dataset.describe(**description)
    for name in ("a_0000", "a_0001", file):
        dataset.json(f"imagesTr/{name}.nii.gz", "")
    named = ("T2", "ADC")[int(lacking)] if description else f"channel {lacking}"
    assert any(
        f"case 'b' lacks channel {lacking} ({named}): expected {dataset.root}/imagesTr/b_000{lacking}.nii.gz" in message
        for message in messages(dataset)
    )


def test_a_channel_more_than_is_named_is_refused(dataset):
    dataset.describe(modality={"0": "MRI"})
    for name in ("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"):
        dataset.json(name, "")
    (message,) = messages(dataset)
    assert "a_0001.nii.gz is channel 1 of 'a', but there are to be 1 channel: name it under" in message


def test_two_files_for_one_channel_are_refused(dataset):
    dataset.describe(**TWO)
    for name in ("a_0000.nii.gz", "a_0001.nii.gz", "a_0001.nrrd"):
        dataset.json(f"imagesTr/{name}", "")
    assert "a_0001.nii.gz and " in messages(dataset)[0]
    assert "a_0001.nrrd are both volume 'a': remove one" in messages(dataset)[0]


@pytest.mark.parametrize("image", ["a.nii.gz", "a_0000.nii.gz"])
def test_a_listed_image_brings_its_other_channels(dataset, image):
    dataset.describe(training=[{"image": f"./imagesTr/{image}", "label": "./labelsTr/a.nii.gz"}], **TWO)
    for name in ("imagesTr/a_0000.nii.gz", "imagesTr/a_0001.nii.gz", "labelsTr/a.nii.gz"):
        dataset.json(name, "")
    assert channels_of(dataset) == {"a": ["a_0000.nii.gz", "a_0001.nii.gz"]}
    assert not read_layout(dataset.root).problems


def test_a_listed_file_that_is_missing_is_named(dataset):
    dataset.training(1).describe(training=[{"image": "imagesTr/a00.nii.gz", "label": "labelsTr/gone.nii.gz"}])
    (message,) = messages(dataset)
    assert 'labelsTr/gone.nii.gz under "training", which does not exist' in message


@pytest.mark.parametrize("entry", ["imagesTr/a00.nii.gz", {"image": "imagesTr/a00.nii.gz"}, {"image": 1, "label": "x"}])
def test_a_malformed_list_is_named(dataset, entry):
    dataset.training(1).describe(training=[entry])
    (message,) = messages(dataset)
    assert 'expected {"image": ..., "label": ...}' in message


def test_two_listed_images_of_one_name_are_refused(dataset):
    dataset.training(1)
    dataset.image("a00", half="More")
    dataset.label("a00", half="More")
    dataset.describe(training=[{"image": "imagesMore/a00.nii.gz", "label": "labelsMore/a00.nii.gz"}])
    assert any("are both volume 'a00': rename or remove one" in message for message in messages(dataset))


def test_broken_json_and_wrong_labels_are_reported_not_raised(dataset):
    dataset.training(1)
    dataset.json("dataset.json", "{")
    assert "is not valid JSON" in messages(dataset)[0]
    dataset.json("dataset.json", {"labels": {}})
    assert "names no labels" in messages(dataset)[0]


ANNEX = "../.git/annex/objects/0K/w1/SHA256E-s1048576--0b8f/SHA256E-s1048576--0b8f"


@pytest.mark.parametrize("name", ["imagesTr", "labelsTr", "imagesTs", "labelsTs", "dataset.json"])
def test_a_folder_or_description_that_is_a_link_to_nowhere_is_told_from_one_that_is_missing(dataset, name):
    path = dataset.training(3).root / name
    if path.exists():
        path.rename(dataset.root / "elsewhere")
    path.symlink_to(ANNEX)
    assert any(f"{path} is a link to {ANNEX}" in message for message in messages(dataset))


def test_a_listed_file_that_is_a_link_to_nowhere_is_told_with_how_to_fetch_it(dataset):
    dataset.training(2).describe(training=[{"image": "./imagesTr/a00.nii.gz", "label": "./labelsTr/a00.nii.gz"}])
    (dataset.root / "labelsTr/a00.nii.gz").unlink()
    (dataset.root / "labelsTr/a00.nii.gz").symlink_to(ANNEX)
    assert any('under "training", which is a link to' in m and "datalad get" in m for m in messages(dataset))


@pytest.mark.parametrize("entry", ["x" * 1_000_000, "a\0b", "", None, {"image": "x" * 1_000_000, "label": 3}])
def test_a_path_that_can_be_none_is_quoted_in_short(dataset, entry):
    dataset.training(2).describe(training=[{"image": entry, "label": "b"}])
    (message,) = [text for text in messages(dataset) if "training" in text]
    assert "expected {" in message
    assert len(message) < 500


@pytest.mark.parametrize(
    "content",
    [
        {"labels": {"background": 0, "x" * 1_000_000: 1}},
        {"labels": {"0": "background", "1": "x" * 1_000_000}},
        {"labels": {"background": 0, "liver": "x" * 1_000_000}},
        {"labels": {"background": 0, "9" * 100_000: "liver"}},
        {"labels": {"background": 0, "liver": 1}, "channel_names": {"0": "x" * 1_000_000}},
        {"labels": {"background": 0, "liver": 1}, "channel_names": ["x" * 1_000_000] * 2 + [1]},
        {"labels": {"background": 0, "liver": 1}, "modality": {"1": "x" * 1_000_000}},
    ],
)
def test_a_name_without_end_is_refused_in_short(dataset, content):
    dataset.training(2).json("dataset.json", content)
    (message,) = [text for text in messages(dataset) if "dataset.json" in text]
    assert len(message) < 500


@pytest.mark.parametrize(
    ("content", "count"),
    [
        ({"labeled": ["x" * 1_000_000]}, 1),
        ({"cases": {"x" * 1_000_000: ["a00"]}}, 1),
        ({"cases": {"p": ["x" * 1_000_000]}}, 1),
        ({"x" * 1_000_000: []}, 1),
        ({"labeled": "x" * 1_000_000}, 1),
    ],
)
def test_a_name_without_end_in_the_splits_is_refused_in_short(dataset, content, count):
    dataset.training(3).json("splits.json", content)
    problems = [p for p in read_splits(read_layout(dataset.root)).problems if p.severity == "error"]
    assert len(problems) == count
    assert all(len(problem.message) < 500 for problem in problems)


@pytest.mark.parametrize("name", ["splits.json", "splits_final.json"])
@pytest.mark.parametrize("target", [ANNEX, None])
def test_splits_that_cannot_be_read_are_an_error_and_not_passed_over(dataset, name, target):
    path = dataset.training(3).root / name
    if target:
        path.symlink_to(target)
    else:
        path.write_text("[" * 100_000)
    problems = assign_splits(read_layout(dataset.root), 0, None).problems
    (message,) = [problem.message for problem in problems if problem.severity == "error" and name in problem.message]
    assert "datalad get" in message if target else "nested more than 100 levels" in message
