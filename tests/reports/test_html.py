from __future__ import annotations

import base64
import itertools
import math
import os
import re
from html.parser import HTMLParser

import pytest

from fewlabel.reports import write_report

VOID = {"meta", "link", "img", "br"}
NASTY = '<script>alert("1")</script> & $x$'


class Page(HTMLParser):
    """Collects text, tags and attributes, and fails on tags that do not match."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(source)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def rows(volumes=("v1", "v2"), classes=("heart", "liver"), **changes):
    scores = {"dice": 0.8, "jaccard": 0.7, "hd95": 2.5, "asd": 1.0} | changes
    return [
        {"checkpoint": c, "case": v, "volume": v, "class": k, "protocol": p} | scores
        for v, k, c, p in itertools.product(volumes, classes, ("last", "best"), ("strict", "published"))
    ]


HISTORY = [
    {"epoch": e, "step": 10 * e, "seconds": 40.0, "terms": {"ce": 1 / e}, "weights": {}, "validation": {}}
    for e in range(1, 4)
]


def write(path, **changes):
    arguments = {"title": "A run", "rows": rows(), "history": [], "cases": [], "settings": {}, "sources": {}}
    return Page(write_report(path, **(arguments | changes)).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full_report(tmp_path_factory, case_view):
    path = tmp_path_factory.mktemp("run") / "report.html"
    cases = [case_view("v1", "worst"), case_view("v2", "median"), case_view("v3", "best")]
    sources = {"Scores": "eval/scores.csv", "Paper": "https://example.org/paper"}
    write(path, cases=cases, history=HISTORY, settings={"Bundle": "mcsc 0.1.0", "Seed": 0}, sources=sources)
    return path


def test_a_full_report_has_settings_tables_pictures_and_sources(full_report):
    page = Page(full_report.read_text(encoding="utf-8"))
    text = " ".join(page.texts)
    for expected in ("A run", "mcsc 0.1.0", "Seed", "eval/scores.csv", "0.800", "2.50", "Worst: v1, mean Dice 0.500"):
        assert expected in text
    assert "3 epochs, 30 steps, 2 min 0 s." in text
    assert len(page.all("table")) == 2 * 2 + 1  # checkpoints x protocols, and the volumes
    assert len(page.all("img")) == 3 + 2  # cases, box plots, curves
    assert os.listdir(full_report.parent) == ["report.html"]


def test_the_page_requests_nothing(full_report):
    source = full_report.read_text(encoding="utf-8")
    page = Page(source)
    addresses = [a[key] for _, a in page.tags for key in ("src", "href", "srcset", "action") if key in a]
    assert addresses
    assert all(address.startswith("data:") for address in addresses)
    assert not re.search(r"url\(|@import", source)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "iframe", "object", "embed", "base"})
    policy = next(a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy


def test_pictures_are_whole_pngs_with_alternative_texts(full_report):
    for image in Page(full_report.read_text(encoding="utf-8")).all("img"):
        content = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"), validate=True)
        assert content.startswith(b"\x89PNG")
        assert content.endswith(b"IEND\xaeB`\x82")
        assert len(image["alt"]) > 10


def test_names_cannot_become_markup(tmp_path, case_view):
    page = write(
        tmp_path / "report.html",
        title=NASTY,
        rows=rows((NASTY,), (NASTY, "liver")),
        history=[{"epoch": 1, "terms": {NASTY: 1.0}, "validation": {"mean_dice": 0.1, f"dice_{NASTY}": 0.1}}],
        cases=[case_view(NASTY, labels={0: "background", 1: NASTY, 2: "liver"})],
        settings={NASTY: NASTY},
        sources={NASTY: NASTY},
    )
    assert not page.all("script")
    # Title twice, class in four tables, volume once, settings and sources twice each: text, not markup.
    assert sum(NASTY in text for text in page.texts) >= 11
    assert any(NASTY in image["alt"] for image in page.all("img"))


def test_what_was_not_recorded_is_said_in_its_place(tmp_path):
    page = write(tmp_path / "report.html", rows=[])
    text = " ".join(page.texts)
    for note in ("No scores were given.", "No training history was given.", "No cases were given."):
        assert note in text
    assert not page.all("img")


def test_a_class_without_any_score_is_a_dash_and_counted(tmp_path):
    nothing = {"dice": math.nan, "jaccard": math.nan, "hd95": math.nan, "asd": math.nan}
    page = write(tmp_path / "report.html", rows=rows(classes=("liver",)) + rows(classes=("gone",), **nothing))
    assert "2 / 2" in page.texts
    assert page.texts.count("–") == 4 * 4 + 4  # four scores in four tables, and two volumes of two checkpoints
    assert "nan" not in " ".join(page.texts)


def test_one_volume_has_a_mean_without_a_deviation(tmp_path, case_view):
    page = write(tmp_path / "report.html", rows=rows(("only",), ("heart",)), cases=[case_view("only", "median")])
    assert "0.800" in page.texts
    assert not any("±" in text and "0.800" in text for text in page.texts)


def test_the_worst_volume_stands_first(tmp_path):
    page = write(tmp_path / "report.html", rows=rows(("good",), dice=0.9) + rows(("bad",), dice=0.1))
    order = [text for text in page.texts if text in ("good", "bad")]
    assert order == ["bad", "bad", "good", "good"]


def test_the_same_run_gives_the_same_file(tmp_path):
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    for path in (first, second):
        write(path, history=HISTORY)
    assert first.read_bytes() == second.read_bytes()


def test_a_failed_report_leaves_the_old_one(tmp_path):
    path = tmp_path / "report.html"
    write(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="has two rows"):
        write(path, rows=rows() + rows())
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["report.html"]
