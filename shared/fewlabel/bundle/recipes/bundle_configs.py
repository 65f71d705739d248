"""The configs of one bundle, from those that its kind shares and its recipe."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewlabel.bundle.recipes.json_text import read_json
from fewlabel.bundle.recipes.overlay import overlay
from fewlabel.bundle.recipes.recipe import NAME, Recipe

# null in the shared train.json: what makes a method, so that no recipe gets another method's by leaving it out
OWN = ("paper", "demo", "method_def", "weights", "learning_rates")
OWN_METADATA = ("task", "description", "references")
# what no setting decides but the data set
_FROM_DATA = {"@num_classes": "num_classes", "@in_channels": "in_channels"}
_SETTING = re.compile(r"\$@settings\['(\w+)'\]")
_SAVER = "fewlabel.handlers.ModelSaver"


def base_file(base: Path, kind: str, name: str) -> Path:
    """Return the shared file of a kind, or the one that all kinds share."""
    own = base / kind / name
    return own if own.is_file() else base / "all" / name


def bundle_configs(base: Path, recipe: Recipe) -> dict[str, dict[str, Any]]:
    """Return the configs of a bundle by their names, without ``.json``.

    Args:
        base: the folder ``shared/base_configs``.
        recipe: the bundle's recipe.

    Raises:
        FileNotFoundError: a shared config is missing.
        ValueError: an entry of the recipe is missing or changes nothing that is there.
    """
    for key in OWN_METADATA:
        if not recipe.sections["metadata"].get(key):
            raise ValueError(
                f"{recipe.where('metadata')}: has no {key!r}; every recipe gives {', '.join(OWN_METADATA)}"
            )
    train = _train(_shared(base, recipe, "train"), recipe)
    metadata = overlay(_shared(base, recipe, "metadata"), **_changes(recipe, "metadata"))
    shared = _shared(base, recipe, "inference")
    inference = overlay(_inference(shared, train, metadata, recipe), **_changes(recipe, "inference"))
    configs = {
        "train": train,
        "inference": inference,
        "small": _small(_shared(base, recipe, "small"), train, recipe),
        "evaluate": _with_own(_shared(base, recipe, "evaluate"), train, recipe, "evaluate"),
        "multi_gpu_train": _with_own(_shared(base, recipe, "multi_gpu_train"), train, recipe, "multi_gpu_train"),
        "metadata": metadata,
    }
    return {**configs, **_own_overlays(train, recipe, taken=configs)}


def _shared(base: Path, recipe: Recipe, name: str) -> dict[str, Any]:
    file = base_file(base, recipe.kind, f"{name}.json")
    content: dict[str, Any] = _named(read_json(file), {"{name}": recipe.name, "{title}": recipe.title})
    return content


def _named(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_named(item, names) for item in value]
    if isinstance(value, str):
        for placeholder, name in names.items():
            value = value.replace(placeholder, name)
    return value


def _changes(recipe: Recipe, section: str) -> dict[str, Any]:
    return {"changes": recipe.sections[section], "where": recipe.where(section)}


def _train(shared: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    own = recipe.sections["train"]
    for key in OWN:
        if not isinstance(own.get(key), dict):
            raise ValueError(f"{recipe.where('train')}: has no object {key!r}; every recipe gives {', '.join(OWN)}")
    paper, demo = own["paper"], own["demo"]
    _known_settings(demo, paper, recipe.where("train: demo"))
    train = overlay(shared, {**own, "demo": {**paper, **demo}}, recipe.where("train"))
    if saved := recipe.sections["saved"]:
        _known_settings(saved, paper, recipe.where("saved"))
        _saver(train, recipe.where("train"))["settings"].update(saved)
    second = recipe.second_network
    if second is None:
        return train
    if not isinstance(train.get(second), dict) or "_target_" not in train[second]:
        raise ValueError(
            f"{recipe.file}: second_network is {second!r}, which train does not define as a network; add '+{second}'"
        )
    if second != "network_def":  # a network that is trained beside the first one has weights of its own to save
        saver = _saver(train, recipe.where("train"))
        handlers = train["train"]["handlers"]
        handlers[handlers.index(saver)] = _after(saver, "ckpt_dir", "second_network", f"@{second}")
        # by the name that the method has for it, see Method.networks
        train["evaluation"]["others"] = {second.removesuffix("_def"): f"$@{second}.to(@device)"}
    return train


def _saver(train: dict[str, Any], where: str) -> dict[str, Any]:
    handlers = [item for item in train["train"]["handlers"] if isinstance(item, dict)]
    savers: list[dict[str, Any]] = [item for item in handlers if item.get("_target_") == _SAVER]
    if len(savers) != 1:
        raise ValueError(f"{where}: train#handlers has {len(savers)} times {_SAVER}; expected one, which saves weights")
    return savers[0]


def _after(content: dict[str, Any], key: str, new: str, value: Any) -> dict[str, Any]:
    pairs = [(k, v) for k, v in content.items() if k != new]
    place = [k for k, _ in pairs].index(key) + 1
    return dict([*pairs[:place], (new, value), *pairs[place:]])


def _inference(
    shared: dict[str, Any], train: dict[str, Any], metadata: dict[str, Any], recipe: Recipe
) -> dict[str, Any]:
    """Fill in what follows from the training: recorded settings, and the networks that read them."""
    saved = _saver(train, recipe.where("train"))["settings"]
    of_train = [key for key, value in saved.items() if value == f"@{key}"]  # "num_classes" and the like: no settings
    recorded = [key for key in saved if key not in of_train]
    _known_settings(dict.fromkeys(recorded), train["paper"], recipe.where("train: paper"), "needed for inference")
    published = _published(metadata)
    given = {key: published.get(key, train[key]) for key in of_train}
    settings = {**{key: train["paper"][key] for key in recorded}, **given}
    filled = {**shared, "trained": {**shared["trained"], **settings}}
    filled["network_def"] = _as_trained(train["network_def"], settings)
    if recipe.second_network is not None:
        second = _as_trained(train[recipe.second_network], settings)
        second.pop("_requires_", None)
        target = {"_target_": second.pop("_target_"), "_disabled_": "$not fewlabel.bundle.parse_bool(@uncertainty)"}
        same = recipe.second_network == "network_def"
        filled["second_network_def"] = {**target, **second}
        filled["second_checkpoint"] = "@checkpoint" if same else "$fewlabel.bundle.second_checkpoint(@checkpoint)"
    return filled


def _published(metadata: dict[str, Any]) -> dict[str, int]:
    """The numbers that follow from the published data set."""
    tensors = metadata["network_data_format"]
    return {
        "num_classes": tensors["outputs"]["pred"]["num_channels"],
        "in_channels": tensors["inputs"]["image"]["num_channels"],
    }


def _as_trained(network: dict[str, Any], recorded: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the arguments whose values are saved with the weights; others are for training, or stand in the recipe."""
    found: dict[str, Any] = {key: network[key] for key in ("_requires_", "_target_") if key in network}
    for key, value in network.items():
        setting = _SETTING.fullmatch(value) if isinstance(value, str) else None
        name = _FROM_DATA.get(str(value), setting[1] if setting else None)
        if name in recorded:
            found[key] = f"$@trained['{name}']"
    return found


def _small(shared: dict[str, Any], train: dict[str, Any], recipe: Recipe) -> dict[str, Any]:
    """Name the keys of ``train.json`` and the settings of ``paper`` that change, in the order that they have there."""
    own = recipe.sections["small"]
    keys = {key: value for key, value in shared.items() if not key.startswith("paper#")}
    overlay(train, keys, recipe.where("small"))
    settings = {key.removeprefix("paper#"): value for key, value in shared.items() if key not in keys}
    changed = {**settings, **own}
    _known_settings(changed, train["paper"], recipe.where("small"))
    return {
        **{key: keys[key] for key in train if key in keys},
        **{f"paper#{key}": changed[key] for key in train["paper"] if key in changed},
    }


def _known_settings(settings: Mapping[str, Any], paper: Mapping[str, Any], where: str, why: str = "given") -> None:
    for key in settings:
        if key not in paper:
            raise ValueError(f"{where}: {key!r} is {why}, but no setting of train's paper ({', '.join(paper)})")


def _with_own(shared: dict[str, Any], train: dict[str, Any], recipe: Recipe, section: str) -> dict[str, Any]:
    """Add entries to a config that changes ``train.json`` itself, whose keys are therefore paths and no objects."""
    own = recipe.sections[section]
    overlay(train, {key: value for key, value in own.items() if key not in shared}, recipe.where(section))
    merged = {**shared, **own}
    return {**{key: value for key, value in merged.items() if key != "run"}, "run": merged["run"]}


def _own_overlays(train: dict[str, Any], recipe: Recipe, taken: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the overlays that only this bundle has, whose keys are paths that ``train.json`` has."""
    overlays = recipe.sections["overlays"]
    for name, changes in overlays.items():
        where = recipe.where(f"overlays: {name}")
        if not NAME.fullmatch(name) or name in taken:
            raise ValueError(f"{where}: no name for an overlay; take lower case words that no config of the bundle has")
        if not isinstance(changes, dict) or any(key.startswith("+") for key in changes):
            raise ValueError(f"{where}: expected an object of keys that train.json has and their values")
        overlay(train, changes, where)
    return overlays
