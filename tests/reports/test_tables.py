from __future__ import annotations

import math
import os
import statistics

import pytest

from fewlabel.reports import COLUMNS, format_table, read_scores_csv, summarize, write_scores_csv

NAN = math.nan


def row(volume, name, dice, hd95=1.0, checkpoint="last", protocol="strict", case=None):
    names = {"checkpoint": checkpoint, "case": case or volume, "volume": volume, "class": name, "protocol": protocol}
    return names | {"dice": dice, "jaccard": dice / 2, "hd95": hd95, "asd": hd95 / 2}


ROWS = [
    row("a_1", "left", 0.9, 2.0, case="a"),
    row("a_1", "right", 0.5, 8.0, case="a"),
    row("a_2", "left", 0.7, 4.0, case="a"),
    row("a_2", "right", 0.0, NAN, case="a"),
    row("b_1", "left", 0.8, 3.0, case="b"),
    row("b_1", "right", NAN, NAN, case="b"),
]


def by_class(summary):
    return {line["class"]: line for line in summary}


def test_a_class_is_averaged_over_the_volumes_that_have_a_score():
    lines = by_class(summarize(ROWS))
    assert lines["left"]["dice_mean"] == pytest.approx((0.9 + 0.7 + 0.8) / 3)
    assert lines["left"]["dice_std"] == pytest.approx(statistics.stdev([0.9, 0.7, 0.8]))
    assert lines["right"]["dice_mean"] == pytest.approx((0.5 + 0.0) / 2)
    assert lines["right"]["hd95_mean"] == 8.0
    assert math.isnan(lines["right"]["hd95_std"])
    assert (lines["right"]["dice_left_out"], lines["right"]["hd95_left_out"]) == (1, 2)


def test_the_mean_row_averages_the_classes_of_a_volume_first_and_then_the_volumes():
    mean = by_class(summarize(ROWS))["mean"]
    # Volumes: (0.9 + 0.5) / 2, (0.7 + 0) / 2, and 0.8 alone. Averaging the classes first would give 0.525.
    assert mean["dice_mean"] == pytest.approx((0.7 + 0.35 + 0.8) / 3)
    assert mean["dice_std"] == pytest.approx(statistics.stdev([0.7, 0.35, 0.8]))
    assert (mean["cases"], mean["volumes"], mean["dice_left_out"], mean["hd95_left_out"]) == (2, 3, 1, 2)


def test_checkpoints_and_protocols_are_kept_apart_in_their_order():
    rows = [
        row("a", "heart", dice, checkpoint=checkpoint, protocol=protocol)
        for checkpoint, dice in (("last", 0.2), ("best", 0.4))
        for protocol in ("strict", "published")
    ]
    lines = summarize(rows)
    assert [(line["checkpoint"], line["protocol"], line["class"], line["dice_mean"]) for line in lines] == [
        ("last", "strict", "heart", 0.2),
        ("last", "strict", "mean", 0.2),
        ("last", "published", "heart", 0.2),
        ("last", "published", "mean", 0.2),
        ("best", "strict", "heart", 0.4),
        ("best", "strict", "mean", 0.4),
        ("best", "published", "heart", 0.4),
        ("best", "published", "mean", 0.4),
    ]


def test_the_order_of_the_rows_does_not_change_the_numbers():
    forward, backward = by_class(summarize(ROWS)), by_class(summarize(ROWS[::-1]))
    for name, line in forward.items():
        numbers = {key: value for key, value in line.items() if not isinstance(value, str)}
        assert {key: backward[name][key] for key in numbers} == pytest.approx(numbers, nan_ok=True)


def test_a_class_without_any_score_has_no_mean():
    lines = by_class(summarize([row("a", "gone", NAN, NAN), row("a", "there", 0.5)]))
    assert math.isnan(lines["gone"]["dice_mean"])
    assert lines["mean"]["dice_mean"] == 0.5


def test_a_volume_scored_twice_is_refused():
    with pytest.raises(ValueError, match="Volume 'a_1' has two rows for class 'left'"):
        summarize([*ROWS, ROWS[0]])


def test_what_is_written_is_read_back_bit_for_bit(tmp_path):
    rows = [row('odd, "name" <é>', "left\nventricle", 0.1 + 0.2), row("b", "right", 1 / 3, NAN)]
    path = write_scores_csv(rows, tmp_path / "new" / "scores.csv")
    read = read_scores_csv(path)
    assert read[0] == rows[0]
    assert list(read[1]) == list(COLUMNS)
    assert read[1]["dice"] == 1 / 3
    assert math.isnan(read[1]["hd95"])
    assert os.listdir(tmp_path / "new") == ["scores.csv"]


def test_nan_is_an_empty_field(tmp_path):
    path = write_scores_csv([row("a", "heart", 0.0, NAN)], tmp_path / "scores.csv")
    assert (
        path.read_text()
        == "checkpoint,case,volume,class,protocol,dice,jaccard,hd95,asd\nlast,a,a,heart,strict,0.0,0.0,,\n"
    )


def test_a_failed_write_leaves_the_old_file_alone(tmp_path):
    path = write_scores_csv(ROWS, tmp_path / "scores.csv")
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"must have the keys \['checkpoint', .* this one has \['dice'\]"):
        write_scores_csv([ROWS[0], {"dice": 1.0}], path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["scores.csv"]


def test_a_foreign_header_is_refused(tmp_path):
    (tmp_path / "other.csv").write_text("volume,dice\na,0.5\n")
    with pytest.raises(ValueError, match=r"other\.csv must begin with the columns checkpoint,case"):
        read_scores_csv(tmp_path / "other.csv")


@pytest.mark.parametrize("line", ["last,a,a,heart,strict,high,0.5,1,1", "last,a,a,heart,strict,0.5,0.5,1"])
def test_a_broken_line_is_named(tmp_path, line):
    good = "last,a,a,heart,strict,0.5,0.5,1,1"
    (tmp_path / "scores.csv").write_text("\n".join([",".join(COLUMNS), good, line]) + "\n")
    with pytest.raises(ValueError, match=r"scores\.csv, line 3: expected 5 names and 4 numbers"):
        read_scores_csv(tmp_path / "scores.csv")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_scores_csv(tmp_path / "none.csv")


def test_the_text_table_is_aligned_and_ends_with_the_mean():
    lines = format_table(summarize(ROWS)).split("\n")
    assert lines[0] == "last checkpoint, strict protocol: 3 volumes of 2 cases, mean ± standard deviation"
    assert len({len(line) for line in lines[1:]}) == 1
    assert lines[1].split("  ")[0] == "class"
    assert "HD95 (mm)" in lines[1]
    assert " ".join(lines[3].split()) == "left 0.800 ± 0.100 0.400 ± 0.050 3.00 ± 1.00 1.50 ± 0.50 0 0"
    assert " ".join(lines[4].split()) == "right 0.250 ± 0.354 0.125 ± 0.177 8.00 4.00 1 2"
    assert lines[-1].startswith("mean ")


def test_the_text_table_has_a_block_per_checkpoint_and_protocol():
    rows = [row("a", "heart", NAN, NAN, c, p) for c in ("last", "best") for p in ("strict", "published")]
    blocks = format_table(summarize(rows)).split("\n\n")
    assert [block.split(":")[0] for block in blocks] == [
        f"{c} checkpoint, {p} protocol" for c in ("last", "best") for p in ("strict", "published")
    ]
    assert ["HD95 (voxels)" in block for block in blocks] == [False, True, False, True]
    assert all(block.split("\n")[-1].split() == ["mean", "-", "-", "-", "-", "1", "1"] for block in blocks)
