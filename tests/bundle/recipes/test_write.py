from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fewlabel.bundle import pack_bundle
from fewlabel.bundle.recipes import check_configs, write_configs
from fewlabel.cli import main

ROOT = Path(__file__).parents[3]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_is_written_in_this_checkout_is_what_the_recipes_give() -> None:
    assert check_configs(ROOT) == [], "edit recipe.json, README.parts.md or shared/base_configs, then `make configs`"


def test_every_bundle_of_this_checkout_has_a_recipe() -> None:
    bundles = {file.parents[1].name for file in ROOT.glob("bundles/*/configs/train.json")}
    assert bundles == {file.parent.name for file in ROOT.glob("bundles/*/recipe.json")}


def test_writing_again_changes_nothing(checkout: Path) -> None:
    write_configs(checkout)
    before = contents(checkout)
    assert write_configs(checkout) == []
    assert contents(checkout) == before


def test_all_files_come_back_from_the_recipes_alone(checkout: Path) -> None:
    write_configs(checkout)
    before = contents(checkout)
    written = [name for name in before if name.startswith("bundles/") and "recipe" not in name and "parts" not in name]
    for name in written:
        (checkout / name).unlink()
    assert {str(file.relative_to(checkout)) for file in write_configs(checkout)} == set(written)
    assert contents(checkout) == before
    assert {Path(name).parts[2] for name in written} == {"LICENSE", "configs", "docs"}


def test_a_check_finds_a_changed_byte_a_missing_file_and_one_that_no_recipe_gives(checkout: Path) -> None:
    write_configs(checkout)
    folder = checkout / "bundles" / "cts"
    train = folder / "configs" / "train.json"
    train.write_bytes(train.read_bytes().replace(b'"seed": 0', b'"seed": 1'))
    (folder / "docs" / "data_license.txt").unlink()
    (checkout / "bundles" / "vnet" / "configs" / "old.json").write_text("{}")
    (checkout / "README.md").write_text((checkout / "README.md").read_text().replace("| `cts`", "| `ctt`"))
    before = contents(checkout)
    assert sorted(check_configs(checkout)) == [
        "README.md differs",
        "bundles/cts/configs/train.json differs",
        "bundles/cts/docs/data_license.txt is missing",
        "bundles/vnet/configs/old.json comes from no recipe",
    ]
    assert contents(checkout) == before


def test_a_wrong_recipe_leaves_all_bundles_as_they_are(checkout: Path) -> None:
    write_configs(checkout)
    for bundle, old, new in (
        ("cts", '"size": 224', '"size": 192'),
        ("vnet", '"lr_network": 0.01', '"lr_netwrok": 0.01'),
    ):
        file = checkout / "bundles" / bundle / "recipe.json"
        file.write_text(file.read_text().replace(old, new, 1))
    before = contents(checkout)
    with pytest.raises(ValueError, match=r"vnet/recipe\.json: train: demo: 'lr_network' is given, but no setting"):
        write_configs(checkout)
    assert contents(checkout) == before


def test_an_unknown_placeholder_of_the_readme_is_refused(checkout: Path) -> None:
    file = checkout / "bundles" / "cts" / "recipe.json"
    file.write_text(file.read_text().replace('"table": {', '"readme": {"optionz": ""},\n  "table": {', 1))
    with pytest.raises(ValueError, match=r"cts/recipe\.json: readme: 'optionz' is unknown; expected train_options"):
        write_configs(checkout)


def test_a_zip_leaves_the_recipe_and_the_parts_of_the_readme_out(checkout: Path) -> None:
    write_configs(checkout)
    with zipfile.ZipFile(pack_bundle(checkout / "bundles" / "vnet", checkout / "dist", weights=False)) as packed:
        names = {name for name in packed.namelist() if not name.startswith("vnet/fewlabel/")}
    configs = ("evaluate", "inference", "metadata", "multi_gpu_train", "small", "train")
    assert names == {
        "vnet/LICENSE", "vnet/configs/logging.conf", "vnet/docs/README.md", "vnet/docs/data_license.txt",
        *(f"vnet/configs/{name}.json" for name in configs),
    }  # fmt: skip


def test_the_command_writes_then_finds_nothing_and_fails_with_what_to_do(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fewlabel.bundle.recipes.write.checkout", lambda: checkout)
    main(["configs"])
    assert "2 files changed" in capsys.readouterr().out  # both pages: the bundles were copied as they are written
    main(["configs", "--check"])
    assert "all files are what the recipes give" in capsys.readouterr().out
    (checkout / "bundles" / "cts" / "LICENSE").unlink()
    with pytest.raises(SystemExit, match="1"):
        main(["configs", "--check"])
    shown = capsys.readouterr().out
    assert "bundles/cts/LICENSE is missing" in shown
    assert "then `make configs`" in shown


def test_an_installed_package_without_the_project_says_where_recipes_are_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fewlabel.__file__", str(tmp_path / "site-packages" / "fewlabel" / "__init__.py"))
    with pytest.raises(SystemExit, match="2"):
        main(["configs"])
    assert "recipes are written in a checkout of the project" in capsys.readouterr().err
