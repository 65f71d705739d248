from __future__ import annotations

from typing import Any

from fewlabel.comparison.tables.markdown import to_markdown
from fewlabel.comparison.tables.page import to_html
from fewlabel.comparison.tables.sections import Section, make_sections
from fewlabel.comparison.tables.summary import summarize_runs


def sections(rows: Any, split: str = "validation", dataset: str = "mine", **more: Any) -> dict[str, Section]:
    parts = [rows("supervised", [[0.5, 0.7], [0.6, 0.6]], dataset=dataset), rows("bcp", [[0.6, 0.9]], dataset=dataset)]
    runs = [row for part in parts for row in part[0]]
    runs[-1] |= {"options": '{"paper#size": "64"}', "labeled": "p7 p8", "ended": "2026-11-25T10:00:00", "commit": "abc"}
    made = make_sections(runs, [row for part in parts for row in part[1]], "supervised", split, **more)
    return {section.title: section for section in made}


def test_the_last_checkpoint_comes_first_and_the_best_beside_it(rows: Any) -> None:
    table = sections(rows)["Strict protocol, validation cases"]
    assert table.header.index("Dice, last") < table.header.index("Dice, best")
    assert table.rows[0] == [
        "3", "supervised", "2", "0.600 ± 0.100", "–", "6.0", "0.600 ± 0.100", "–", "6.0", "2.5 (1.0)", "0.5"
    ]  # fmt: skip
    assert table.rows[1][1:6] == ["bcp", "1", "0.750 ± 0.212", "+0.150 [+0.100, +0.200]", "7.5"]


def test_every_table_of_scores_names_the_split(rows: Any) -> None:
    for split in ("validation", "test"):
        scored = [title for title in sections(rows, split) if "Dice" in title or "protocol" in title]
        assert len(scored) == 3
        assert all(title.endswith(f"{split} cases") for title in scored)


def test_both_protocols_are_shown(rows: Any) -> None:
    assert "HD95 (voxels), last" in sections(rows)["Published protocol, validation cases"].header


def test_figures_of_papers_are_labeled_as_theirs_with_the_choice_of_the_checkpoint(rows: Any) -> None:
    papers = sections(rows, dataset="acdc")["The papers' figures"]
    assert ["3", "bcp", "0.876", "–", "best on the 20 validation volumes", "Bai et al., CVPR 2023"] in papers.rows
    assert {"Dice, paper's", "checkpoint that was scored"} <= set(papers.header)
    assert "The papers' figures" not in sections(rows, dataset="mine")


def test_patients_in_both_halves_are_dropped_in_a_second_table(rows: Any) -> None:
    both = sections(rows, doubles={"mine": {"p1"}})
    first, second = (both[f"{name}trict protocol, validation cases"] for name in ("S", "Without doubles: s"))
    assert first.rows[1][3] == "0.750 ± 0.212"
    assert (second.rows[0][3], second.rows[1][3]) == ("0.550", "0.600")
    assert "p1" in second.note
    assert (
        "No scored patient has a double"
        in sections(rows, doubles={"mine": set()})["Without doubles: validation cases"].note
    )


def test_a_run_that_failed_is_a_cell_with_its_message(rows: Any) -> None:
    runs, scores = rows("supervised", [[0.5, 0.7], [0.6, 0.6]])
    runs[1] |= {"status": "failed", "message": "killed | for memory"}
    kept = [row for row in scores if row["seed"] == "0"]
    made = {section.title: section for section in make_sections(runs, kept, "supervised", "validation")}
    assert made["Strict protocol, validation cases"].rows[0][2] == "1, 1 failed"
    assert made["Runs that failed"].rows == [["mine", "3", "supervised", "1", "killed | for memory"]]
    assert r"killed \| for memory" in to_markdown("Title", "fewlabel compare", list(made.values()))


def test_a_method_of_which_nothing_finished_has_a_row_without_numbers(rows: Any) -> None:
    runs, _ = rows("supervised", [[0.5]])
    runs[0] |= {"status": "failed", "message": "no"}
    (row,) = make_sections(runs, [], "supervised", "validation")[1].rows
    assert row[2:6] == ["0, 1 failed", "–", "–", "–"]
    assert summarize_runs(runs, [], "supervised")[0].scores == {}


def test_what_the_runs_were_made_with_is_told(rows: Any) -> None:
    told = dict(sections(rows)["The runs"].rows)
    assert told["ended"] == "2026-11-25"
    assert told["commit"] == "abc"
    assert told["options"] == 'bcp: {"paper#size": "64"}'
    assert told["labeled cases"] == "mine, 3 labeled: p7 p8"


def test_the_page_needs_nothing_else_and_escapes_names() -> None:
    made = [Section("<b>acdc</b>", 2, "a & b", ["method"], [["<script>"]])]
    html = to_html("Comparison", "fewlabel compare --out x", made, b"png")
    assert "<script>" not in html
    assert "&lt;b&gt;acdc" in html
    assert "data:image/png;base64," in html
    assert "http" not in html.replace("http-equiv", "")


def test_markdown_has_the_command_the_picture_and_a_rule_below_each_header() -> None:
    text = to_markdown("T", "fewlabel compare", [Section("S", 3, "note", ["a", "b"], [["1", "2"]])], "lift.png")
    assert text == (
        "# T\n\n```text\nfewlabel compare\n```\n\n![Lift over the baseline, a dot for each seed](lift.png)\n\n"
        "### S\n\nnote\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    )
