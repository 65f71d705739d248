"""The words behind `python -m monai.bundle` that `fewlabel train`, `evaluate` and `segment` stand for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from fewlabel.launch.folders import bundle_folder, known_bundles
from fewlabel.launch.overlays import overlay, split_names
from fewlabel.launch.words import as_typed, is_option, split_option

# what comes before and after the overlays
_CONFIGS = {"train": (["train"], []), "evaluate": (["train"], ["evaluate"]), "segment": (["inference"], [])}
_OURS = "--with"


def long_form(command: str, words: Sequence[str]) -> list[str]:
    """Return what follows ``python -m monai.bundle`` in the long form of a command.

    Args:
        command: "train", "evaluate" or "segment".
        words: what was typed after it: a bundle's name or folder, and options, of which ``--with`` is read here and
            the others go on to MONAI. A path or word is quoted where MONAI would take it for something else, see
            :func:`fewlabel.launch.words.as_typed`.

    Raises:
        FileNotFoundError: no such bundle or overlay.
        ValueError: no bundle, a word that belongs to no option, or an option that this form has no use for.
    """
    bundle, typed, options = _read(command, words)
    overlays = split_names(typed)
    configs = bundle_folder(bundle).resolve() / "configs"
    if overlays and command == "segment":
        raise ValueError(
            f"{_OURS} {overlays[0]}: segment takes no overlay, model.json beside the weights has the settings of the "
            "training run; set a key of inference.json with --key value"
        )
    before, after = _CONFIGS[command]
    files = [
        *(_own(configs, name) for name in before),
        *(overlay(configs, name) for name in overlays),
        *(_own(configs, name) for name in after),
    ]
    for file in files:
        if "#" in str(file):
            raise ValueError(f"{file}: MONAI reads no config in a path with a number sign; rename or move it")
    return ["run", "--config_file", repr([str(file) for file in files]), *options]


def _read(command: str, words: Sequence[str]) -> tuple[str, list[str], list[str]]:
    """Return the bundle, the overlays as typed and the words of the other options."""
    if not words or is_option(words[0]):
        raise ValueError(f"fewlabel {command} needs a bundle first, one of {', '.join(known_bundles())}, or its folder")
    bundle, rest = words[0], list(words[1:])
    overlays: list[str] = []
    options: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":  # what follows is for Fire itself
            options += [word, *rest]
            break
        if not is_option(word):
            raise ValueError(
                f"{word!r} follows no option; write every setting as --key value, with quotes around blanks"
            )
        key, value = split_option(word)
        given = value is not None
        if not given and rest and not is_option(rest[0]) and rest[0] != "--":
            value = rest.pop(0)
        if _name(key) == _name(_OURS):
            if not value:
                raise ValueError(f"{_OURS} needs a name or a file, for instance {_OURS} small")
            overlays.append(value)
        else:
            options += _option(command, word, key, value, given)
    return bundle, overlays, options


def _option(command: str, word: str, key: str, value: str | None, joined: bool) -> list[str]:
    if _name(key) == "config_file":
        raise ValueError(
            f"fewlabel {command} chooses the config files itself; add overlays with {_OURS}, or run "
            "python -m monai.bundle run --config_file"
        )
    if value is None:
        return [word]
    value = as_typed(key, value)
    return [f"{key}={value}"] if joined else [word, value]


def _name(key: str) -> str:
    """The name of an option: Fire takes one dash or two, and dashes for underscores."""
    return key.lstrip("-").replace("-", "_")


def _own(configs: Path, name: str) -> Path:
    file = configs / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file, and this command needs it; name another bundle")
    return file
