"""Find the keys of a command line and of overlays that no config has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS, merge_kv

from fewlabel.bundle.command_line.components import is_argument
from fewlabel.bundle.command_line.config_files import load_config
from fewlabel.bundle.command_line.nearest import nearest_key
from fewlabel.bundle.command_line.references import prefixes, referred_keys
from fewlabel.bundle.command_line.whole_objects import differences

_SEPARATOR = ReferenceResolver.sep
_OF_MONAI = {"initialize", "run", "finalize", ConfigParser.meta_key}
_OF_THE_METHOD = {"weights", "learning_rates"}  # their keys are terms and networks that the method has


def require_known_keys(config_files: Sequence[str], overrides: Mapping[str, Any], tracking: Any = None) -> None:
    """Refuse keys that change nothing, which `monai.bundle` would add without a word, and whole objects that lack keys.

    A key is known if the configs before it have it, if it is an argument of the component that it belongs to (whose
    constructor refuses what it does not take), or if another value refers to it, as `@key`. Another method, or one with
    another component in it, may have other weights and learning rates.

    Args:
        config_files: the config file and the overlays behind it.
        overrides: values by key, where `#` or `::` goes one level down.
        tracking: what `--tracking` names, which brings keys of its own.

    Raises:
        ValueError: keys are unknown, or lost with the object that they were in; the message names each, and of unknown
            ones the nearest that exists.

    """
    parser = ConfigParser(load_config(config_files[0]) if config_files else {})
    new: dict[str, str | None] = {}  # the file of each key that no config before it has
    lost: dict[str, str | None] = {}  # and of each object that came without this key of the one before it
    layers = [(file, load_config(file)) for file in config_files[1:]]
    for file, layer in [*layers, (None, overrides)]:
        added, dropped = _lay_over(parser, layer)
        new.update({key: file for key in added if key not in lost})
        lost.update(dict.fromkeys(dropped, file))
    referred = {part for name in referred_keys(parser.get()) for part in prefixes(name)}
    free = _OF_MONAI | _keys_of_tracking(tracking)
    if any(_changes_terms(key, value) for _, layer in [*layers, (None, overrides)] for key, value in layer.items()):
        free |= _OF_THE_METHOD

    def is_free(key: str) -> bool:
        return next(prefixes(key)) in free or is_argument(parser, key)

    unknown = {key: file for key, file in new.items() if not (key in referred or is_free(key))}
    for key, file in unknown.items():
        if key in _trained_settings(parser):
            what = f"--{key}" if file is None else f"{key} in {file}"
            raise ValueError(
                f"{what} belongs to the training run: model.json beside the weights says it, for whoever segments with "
                "them; leave it out; nothing was run"
            )
    missing = {key: file for key, file in lost.items() if not (key in parser or is_free(key))}
    known = [key for key in _keys(parser.get()) if key not in unknown]
    faults = [_unknown(key, nearest_key(parser, key, [*known, *missing]), file) for key, file in unknown.items()]
    faults += [_missing(key, file) for key, file in missing.items()]
    if faults:
        raise ValueError(f"{'; '.join(faults)}; nothing was run")


def _lay_over(parser: ConfigParser, layer: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Put the values of a layer in place, and return its keys that were not there before and the keys that it drops."""
    new: list[str] = []
    lost: list[str] = []
    for name, value in layer.items():
        key = ReferenceResolver.normalize_id(name.removeprefix("+"))
        if key not in parser:
            new.append(key)
        elif name.startswith("+") and isinstance(value, dict):  # joins what is there
            new += [inner for inner in (f"{key}{_SEPARATOR}{name}" for name in value) if inner not in parser]
        else:
            added, dropped = differences(key, parser[key], value)
            new += added
            lost += dropped
        above = ReferenceResolver.split_id(key, last=True)[0]
        if key in parser or isinstance(parser.get(above), dict):
            merge_kv(parser, name if key in parser else key, deepcopy(value))
    return [key for key in new if key not in lost], lost


def _changes_terms(key: str, value: Any) -> bool:
    """Whether an entry replaces the method, or a component in it that may bring loss terms and networks of its own."""
    key = ReferenceResolver.normalize_id(key.removeprefix("+"))
    is_component = isinstance(value, Mapping) and "_target_" in value
    return key == "method_def" or (is_component and key.startswith(f"method_def{_SEPARATOR}"))


def _trained_settings(parser: Any) -> set[str]:
    """Return the settings of a training run that a config for inference takes from the note beside the weights."""
    trained = parser.get("trained")
    return {name for name in trained if name != "checkpoint"} if isinstance(trained, dict) else set()


def _keys_of_tracking(tracking: Any) -> set[str]:
    if tracking is None:
        return set()
    built_in = DEFAULT_EXP_MGMT_SETTINGS.get(tracking) if isinstance(tracking, str) else None
    return set((built_in or ConfigParser.load_config_files(tracking)).get("configs", {}))


def _keys(config: Any, key: str = "") -> Iterator[str]:
    for _, inner, value in ReferenceResolver.iter_subconfigs(key, config):
        yield inner
        if isinstance(value, (dict, list)):
            yield from _keys(value, inner)


def _unknown(key: str, nearest: str, file: str | None) -> str:
    key, nearest = (name.replace(_SEPARATOR, "#") for name in (key, nearest))
    if file is None:
        return f"--{key} is no setting of these configs, the nearest is --{nearest}"
    return f"{key} in {file} is no setting of the configs before it, the nearest is {nearest}"


def _missing(key: str, file: str | None) -> str:
    above, name = ReferenceResolver.split_id(key, last=True)
    above = above.replace(_SEPARATOR, "#")
    what = f"--{above}" if file is None else f"{above} in {file}"
    return f"{what} replaces the whole object and has no {name}: give it too, or set single keys, as {above}#{name}"
