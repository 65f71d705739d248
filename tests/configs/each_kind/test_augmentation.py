"""`--augmentation strong` in a bundle of each kind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import MetaTensor

from fewlabel.errors import user_facing_cause
from fewlabel.transforms import StrongPatchAugmentationd, StrongSliceAugmentationd
from helpers.bundle_runs import places, tiny, workflow
from helpers.bundles import ONE_OF_EACH_KIND, config, kind_of, read_json

STRONG = {"slices": StrongSliceAugmentationd, "volumes": StrongPatchAugmentationd}


def parsed(bundle: str, phantom: Path, folder: Path, **options: Any) -> Any:
    made = workflow(bundle, "train", dataset_dir=str(phantom), **places(folder), **tiny(bundle), **options)
    return made.parser


@ONE_OF_EACH_KIND
def test_the_papers_augmentation_is_what_a_bundle_has_unless_told_otherwise(bundle: str) -> None:
    assert read_json(config(bundle, "train"))["augmentation"] == "published"


@ONE_OF_EACH_KIND
def test_strong_applies_to_labeled_and_unlabeled_images_alike(bundle: str, phantom: Path, tmp_path: Path) -> None:
    parser = parsed(bundle, phantom, tmp_path, augmentation="strong", labeled_cases=2)
    used = parser.get_parsed_content("train#augmentation")
    assert type(used) is STRONG[kind_of(bundle)]
    for name in ("train#dataset", "train#unlabeled_dataset"):
        dataset = parser.get_parsed_content(name)
        assert dataset.transform is used
        item, again = dataset[1, 7], dataset[1, 7]
        assert item["image"].shape[1:] == used.size
        assert isinstance(item["image"], MetaTensor)
        assert torch.equal(item["image"], again["image"])
        assert ("label" in item) == (name == "train#dataset")
    assert parser.get_parsed_content("settings")["augmentation"] == "strong"


@ONE_OF_EACH_KIND
@pytest.mark.parametrize(("mirror", "flips"), [("auto", False), ("true", True), ("false", False)])
def test_strong_mirrors_only_where_mirror_says_so(
    bundle: str, mirror: str, flips: bool, phantom: Path, tmp_path: Path
) -> None:
    parser = parsed(bundle, phantom, tmp_path, augmentation="strong", mirror=mirror)
    assert parser.get_parsed_content("train#augmentation").flips is flips


@ONE_OF_EACH_KIND
def test_its_strengths_are_options(bundle: str, phantom: Path, tmp_path: Path) -> None:
    options = {"train#augmentation#strengths#scale": [0.9, 1.1], "train#augmentation#strengths#noise": 0.0}
    strengths = (
        parsed(bundle, phantom, tmp_path, augmentation="strong", **options)
        .get_parsed_content("train#augmentation")
        .strengths
    )
    assert (strengths.scale, strengths.noise) == ((0.9, 1.1), 0.0)


@ONE_OF_EACH_KIND
def test_another_name_is_an_error_that_says_which_there_are(bundle: str, phantom: Path, tmp_path: Path) -> None:
    parser = parsed(bundle, phantom, tmp_path, augmentation="srtong")
    with pytest.raises(RuntimeError) as raised:
        parser.get_parsed_content("train#augmentation")
    assert str(user_facing_cause(raised.value)) == 'augmentation must be "published" or "strong", got \'srtong\''
