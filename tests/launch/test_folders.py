from __future__ import annotations

from pathlib import Path

import pytest

from fewlabel.bundle import find_root
from fewlabel.launch import bundle_folder, known_bundles, work_folder


def copy_of_one(folder: Path) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "metadata.json").write_text('{"name": "one"}')
    return folder


def test_a_name_finds_the_bundle_of_the_checkout_from_anywhere(checkout: Path) -> None:
    assert bundle_folder("one") == checkout / "bundles" / "one"
    assert work_folder(bundle_folder("one")) == checkout / "bundles" / "one"


def test_a_name_finds_an_installed_bundle_which_works_in_the_working_directory(installed: Path) -> None:
    assert bundle_folder("one") == installed / "_bundles" / "one"
    assert work_folder(bundle_folder("one")) == Path.cwd() / "one"


def test_the_config_of_an_installed_bundle_finds_the_same_folder_for_its_results(installed: Path) -> None:
    assert find_root("one") == str(Path.cwd() / "one")


def test_results_in_a_folder_of_the_bundles_name_do_not_hide_the_installed_bundle(installed: Path) -> None:
    (Path.cwd() / "one" / "models").mkdir(parents=True)
    assert bundle_folder("one") == installed / "_bundles" / "one"


def test_a_copy_in_the_working_directory_comes_first_and_works_in_its_own_folder(installed: Path) -> None:
    copy = copy_of_one(Path.cwd() / "one")
    assert bundle_folder("one").resolve() == copy
    assert work_folder(copy) == copy


@pytest.mark.parametrize("typed", ["my/one", "./my/one", "my/one/"])
def test_a_folder_is_taken_by_its_path(typed: str, checkout: Path) -> None:
    copy = copy_of_one(Path.cwd() / "my" / "one")
    assert bundle_folder(typed).resolve() == copy


def test_a_zip_that_carries_the_package_knows_its_own_bundle(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked = copy_of_one(checkout.parent / "unpacked" / "one")
    monkeypatch.setattr("fewlabel.__file__", str(unpacked / "fewlabel" / "__init__.py"))
    assert bundle_folder("one") == unpacked


def test_an_unknown_name_is_an_error_that_lists_the_known_ones_and_copies(installed: Path) -> None:
    copy_of_one(Path.cwd() / "mine")
    assert known_bundles() == ["mine", "one", "two"]
    with pytest.raises(FileNotFoundError, match="three: no such bundle; the known ones are mine, one, two; name one"):
        bundle_folder("three")


@pytest.mark.parametrize("typed", ["my/one", ".", "", "/"])
def test_a_path_to_no_bundle_is_an_error(typed: str, checkout: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no bundle, it has no folder configs; name a bundle or its folder"):
        bundle_folder(typed)
