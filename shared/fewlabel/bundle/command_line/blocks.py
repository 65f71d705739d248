"""Find settings of the block, the paper's or the demo's, that does not apply."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from fewlabel.bundle.cohort import BundleCohort
from fewlabel.bundle.command_line.references import prefixes, referred_keys
from fewlabel.listing import first_few

# with the cohort they decide which block applies; a command that changes one of them has rules of its own
_DECIDING = ("settings", ReferenceResolver.normalize_id("train#dataset#data"))
_SHOWN = 3


def require_block_that_applies(config_files: Sequence[str], overrides: Mapping[str, Any]) -> None:
    """Refuse settings of the paper for the demo, and of the demo for a dataset: they change nothing.

    A setting that both blocks are given is accepted, for commands that are written for either.

    Args:
        config_files: the config file and the overlays behind it.
        overrides: values by key, where `#` or `::` goes one level down.

    Raises:
        ValueError: the command sets such a setting; the message names it, and says which block applies and why.

    """
    if not config_files:
        return
    base = ConfigParser(ConfigParser.load_config_files(list(config_files[:1])))
    parser = ConfigParser(ConfigParser.load_config_files(list(config_files)))
    parser.update(dict(overrides))
    if any(key not in base or parser[key] != base[key] for key in _DECIDING):
        return
    layers = [*((file, ConfigParser.load_config_file(file)) for file in config_files[1:]), (None, overrides)]
    given = {block: {name for _, layer in layers for name in _names(layer, block)} for block in ("paper", "demo")}
    if not any(given.values()) or not all(isinstance(parser.get(block), dict) for block in given):
        return
    cohort = parser.get_parsed_content("cohort")
    if not isinstance(cohort, BundleCohort):
        return
    applying, idle = ("demo", "paper") if cohort.is_demo else ("paper", "demo")
    referred = {part for name in referred_keys(parser.get()) for part in prefixes(name)}
    used = {name for name in given[idle] if f"{idle}{ReferenceResolver.sep}{name}" in referred}
    for file, layer in layers:
        names = [name for name in _names(layer, idle) if name not in given[applying] | used]
        if names:
            what = f"--{_listed(idle, names)}" if file is None else f"{_listed(idle, names)} in {file}"
            reason = _reason(cohort, parser["dataset_dir"] == base["dataset_dir"])
            dataset = "name a dataset with" if cohort.is_demo else "leave out"
            raise ValueError(
                f"{what} would change nothing: the {applying}'s settings apply because {reason}: set "
                f"{_listed(applying, names)}, or {dataset} --dataset_dir; nothing was run"
            )


def _names(layer: Mapping[str, Any], block: str) -> list[str]:
    """Return the settings of a block that a layer gives, alone or with the whole block."""
    names: list[str] = []
    for key, value in layer.items():
        first, *below = ReferenceResolver.split_id(ReferenceResolver.normalize_id(key.removeprefix("+")))
        if first == block:
            names += below[:1] or (list(value) if isinstance(value, dict) else [])
    return names


def _reason(cohort: BundleCohort, is_default: bool) -> str:
    if not cohort.is_demo:
        return f"the dataset is {cohort.dataset_dir}"
    return "no --dataset_dir was given" if is_default else f"--dataset_dir is the demo's folder {cohort.demo_dir}"


def _listed(block: str, names: Sequence[str]) -> str:
    return first_few([f"{block}#{name}" for name in names], _SHOWN)
