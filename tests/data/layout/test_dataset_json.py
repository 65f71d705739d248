from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.data.layout.dataset_json import read_channel_names, read_ignored_value, read_labels, read_object

FILE = Path("dataset.json")


@pytest.mark.parametrize(
    "labels",
    [
        {"background": 0, "liver": 1, "tumor": 2},
        {"tumor": 2, "liver": 1, "background": 0},
        {"0": "background", "1": "liver", "2": "tumor"},
        {"2": "tumor", "1": "liver", "0": "background"},
        {"background": "0", "liver": "1", "tumor": "2"},
    ],
)
def test_every_way_of_writing_labels_means_the_same(labels):
    assert list(read_labels(FILE, {"labels": labels}).items()) == [(0, "background"), (1, "liver"), (2, "tumor")]


@pytest.mark.parametrize("content", [{}, {"labels": {}}, {"labels": ["background", "liver"]}])
def test_missing_labels_come_with_an_example(content):
    with pytest.raises(ValueError, match=r'dataset.json names no labels: write for instance {"labels"'):
        read_labels(FILE, content)


@pytest.mark.parametrize(
    "content",
    [
        {"labels": {"background": 0, "whole tumor": [1, 2], "core": 2}},
        {"labels": {"background": 0, "core": 1}, "regions_class_order": [1]},
    ],
)
def test_regions_are_refused(content):
    with pytest.raises(ValueError, match=r"describes regions .* does not support: give each label one value"):
        read_labels(FILE, content)


@pytest.mark.parametrize(
    "labels", [{"background": 0, "liver": 1, "ignore": 2}, {"0": "background", "2": "ignore", "1": "liver"}]
)
def test_the_ignore_label_is_no_class(labels):
    content = {"labels": labels}
    assert read_labels(FILE, content) == {0: "background", 1: "liver"}
    assert read_ignored_value(FILE, content) == 2


def test_most_datasets_ignore_nothing():
    assert read_ignored_value(FILE, {"labels": {"background": 0, "liver": 1}}) is None


def test_the_ignore_label_follows_the_last_label():
    with pytest.raises(ValueError, match=r"gives the ignore label the value 255; expected 2, the value after the last"):
        read_ignored_value(FILE, {"labels": {"background": 0, "liver": 1, "ignore": 255}})


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({}, ()),
        ({"channel_names": {"0": "T2", "1": "ADC"}}, ("T2", "ADC")),
        ({"channel_names": {"1": "ADC", "0": "T2"}, "modality": {"0": "CT"}}, ("T2", "ADC")),
        ({"modality": {"0": "MRI"}}, ("MRI",)),
        ({"modality": "CT"}, ("CT",)),
        ({"modality": ["FLAIR", "T1w"]}, ("FLAIR", "T1w")),
    ],
)
def test_channels_are_named_in_the_order_of_their_numbers(content, names):
    assert read_channel_names(FILE, content) == names


@pytest.mark.parametrize("names", [{"0": "T2", "2": "ADC"}, {"T2": 0}, 3])
def test_channels_without_numbers_from_0_on_are_refused(names):
    with pytest.raises(
        ValueError, match=r'as "channel_names"; expected names by number, as in {"0": "T2", "1": "ADC"}'
    ):
        read_channel_names(FILE, {"channel_names": names})


@pytest.mark.parametrize("value", [None, 1.0, True, "one", {}])
def test_a_value_that_is_no_whole_number_is_named(value):
    with pytest.raises(ValueError, match=r"has the label 'liver': .*; expected a name and a whole number"):
        read_labels(FILE, {"labels": {"background": 0, "liver": value}})


def test_two_names_for_one_value_are_refused():
    with pytest.raises(ValueError, match="gives one label value two names"):
        read_labels(FILE, {"labels": {"background": 0, "liver": 1, "tumor": 1}})


@pytest.mark.parametrize("values", [[0, 255], [1, 2], [0], [0, 1, 3], [-1, 0, 1]])
def test_values_with_gaps_are_refused(values):
    with pytest.raises(ValueError, match=r"expected 0 \(background\), 1, 2, ... without gaps: renumber"):
        read_labels(FILE, {"labels": {f"name{value}": value for value in values}})


def test_json_may_begin_with_the_byte_order_mark_of_windows_editors(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"labels": {}}')
    assert read_object(tmp_path / "a.json") == {"labels": {}}


def test_broken_json_is_named_with_its_line(tmp_path):
    (tmp_path / "a.json").write_text('{"labels":\n oops}')
    with pytest.raises(ValueError, match=r"a\.json is not valid JSON: .*line 2"):
        read_object(tmp_path / "a.json")


def test_json_that_is_no_object_is_refused(tmp_path):
    (tmp_path / "a.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"a\.json holds a list; expected an object in braces"):
        read_object(tmp_path / "a.json")
