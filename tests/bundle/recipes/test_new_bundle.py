from __future__ import annotations

import json
from pathlib import Path

import pytest

from fewlabel.bundle.recipes import check_configs, new_bundle
from fewlabel.bundle.recipes.new_bundle import PLACEHOLDERS
from fewlabel.bundle.verify import verify_bundle
from fewlabel.bundle.verify.report import NOTE


@pytest.mark.parametrize("like", ["cts", "vnet"])
def test_a_new_bundle_passes_verification_and_the_check_of_configs(checkout: Path, like: str) -> None:
    written = new_bundle("mean_teacher", like, checkout)
    folder = checkout / "bundles" / "mean_teacher"
    assert written[:2] == [folder / "recipe.json", folder / "README.parts.md"]
    report = verify_bundle(str(folder))
    assert report.ok, str(report)
    assert "other files" not in str(report)
    assert check_configs(checkout) == []


def test_a_new_bundle_trains_like_the_other_one_under_its_own_name(checkout: Path) -> None:
    new_bundle("mean_teacher", "cts", checkout)
    old, new = (
        json.loads((checkout / "bundles" / name / "configs" / "train.json").read_text())
        for name in ("cts", "mean_teacher")
    )
    assert {key for key in old if old[key] != new[key]} == {"bundle_root", "evaluation"}
    assert new["evaluation"]["title"] == "mean_teacher"
    recipe = (checkout / "bundles" / "mean_teacher" / "recipe.json").read_text()
    assert '"lr_cnn": 2e-3' in recipe


def test_figures_of_the_other_method_are_not_claimed(checkout: Path) -> None:
    new_bundle("mean_teacher", "cts", checkout)
    (row,) = [line for line in (checkout / "README.md").read_text().splitlines() if "`mean_teacher`" in line]
    assert row == "| `mean_teacher` | 2D | to be described | to be named | not measured |"
    assert "0.604" not in (checkout / "bundles" / "mean_teacher" / "docs" / "README.md").read_text()


def test_overlays_of_the_other_methods_paper_are_left_out(checkout: Path) -> None:
    recipe = checkout / "bundles" / "cts" / "recipe.json"
    content = json.loads(recipe.read_text())
    recipe.write_text(json.dumps({**content, "overlays": {"as_printed": {"seed": 1}}}))
    new_bundle("mean_teacher", "cts", checkout)
    written = {
        name: {file.stem for file in (checkout / "bundles" / name / "configs").glob("*.json")}
        for name in ("cts", "mean_teacher")
    }
    assert written["cts"] - written["mean_teacher"] == {"as_printed"}


def test_task_description_and_papers_of_the_other_method_are_not_claimed(checkout: Path) -> None:
    new_bundle("mean_teacher", "cts", checkout)
    metadata = json.loads((checkout / "bundles" / "mean_teacher" / "configs" / "metadata.json").read_text())
    assert metadata["task"].startswith("To be described")
    assert metadata["description"].startswith("To be described")
    assert metadata["references"] == ["To be named: the paper of this method"]


def test_verification_notes_what_nobody_has_written_yet(checkout: Path) -> None:
    new_bundle("mean_teacher", "cts", checkout)
    folder = checkout / "bundles" / "mean_teacher"
    noted = {finding.check: finding for finding in verify_bundle(folder).findings if finding.result == NOTE}
    assert "'Say in two lines what this method does and for whom.'" in noted["docs/README.md"].detail
    assert "write your own into README.parts.md" in noted["docs/README.md"].fix
    assert "'To be described: what this method learns, from which data'" in noted["configs/metadata.json"].detail
    assert "write your own into recipe.json" in noted["configs/metadata.json"].fix
    assert "words of `fewlabel new`" not in str(verify_bundle(checkout / "bundles" / "cts"))


def test_each_placeholder_is_in_a_new_bundle(checkout: Path) -> None:
    new_bundle("mean_teacher", "cts", checkout)
    folder = checkout / "bundles" / "mean_teacher"
    text = (folder / "docs" / "README.md").read_text() + (folder / "configs" / "metadata.json").read_text()
    assert [words for words in PLACEHOLDERS if words not in text] == []


@pytest.mark.parametrize("name", ["Mean", "mean-teacher", "2d", "", "../cts2", "_a", "a__b", "mean teacher"])
def test_a_name_that_is_not_lower_case_words_is_refused(checkout: Path, name: str) -> None:
    with pytest.raises(ValueError, match="expected lower case words such as mean_teacher"):
        new_bundle(name, "cts", checkout)


def test_a_folder_that_is_there_is_left_alone(checkout: Path) -> None:
    (checkout / "bundles" / "mean_teacher").mkdir()
    with pytest.raises(FileExistsError, match="mean_teacher: there is such a bundle; choose another name"):
        new_bundle("mean_teacher", "cts", checkout)
    assert not [*(checkout / "bundles" / "mean_teacher").iterdir()]


def test_a_wrong_recipe_elsewhere_stops_before_a_new_bundle_is_half_made(checkout: Path) -> None:
    (checkout / "bundles" / "vnet" / "recipe.json").write_text("{}")
    with pytest.raises(ValueError, match=r"vnet/recipe\.json: has no 'kind'"):
        new_bundle("mean_teacher", "cts", checkout)
    assert not (checkout / "bundles" / "mean_teacher").exists()


@pytest.mark.parametrize("like", ["ctt", "../bundles/cts", "/", ""])
def test_a_bundle_to_start_from_that_is_not_there_is_refused_with_those_that_are(checkout: Path, like: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such recipe; the ones to start from are .*cts"):
        new_bundle("mean_teacher", like, checkout)
    assert not (checkout / "bundles" / "mean_teacher").exists()
