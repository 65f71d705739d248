"""All runs of a comparison, from one file or the words of one command."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from fewlabel.comparison.runs.run import Run
from fewlabel.launch.folders import bundle_folder
from fewlabel.launch.overlays import overlay, split_names

_OF_BLOCKS = {"bundles", "labeled_cases", "seeds", "dataset_dir", "dataset", "with", "options"}
_OF_BUNDLES = {"bundle", "name", "with", "options"}
_NAME = re.compile(r"[\w.+-]([\w .+()-]*[\w.+()-])?")


def read_specification(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a comparison's file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no JSON or YAML, or no object.
    """
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such file; name one with the comparison's bundles, or give --bundles")
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text) if file.suffix == ".json" else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{file}: no JSON or YAML in UTF-8 ({error}); correct it") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} holds a {type(content).__name__}; a comparison is one object, of keys and values")
    return content


def make_runs(specification: Mapping[str, Any]) -> list[Run]:
    """Return every run of a comparison once, all first seeds first, so that a short time shows every row.

    Args:
        specification: ``bundles`` (names, folders, or objects with ``bundle`` and, of their own, ``name``, ``with`` and
            ``options``), ``labeled_cases`` (numbers, or "all"), ``seeds`` (how many, or a list), ``dataset_dir``,
            ``dataset`` (its name in the tables), ``with`` (overlays) and ``options`` (keys of the config). A list
            ``blocks`` holds several such objects, for which the values beside it are the defaults.

    Raises:
        FileNotFoundError: no such bundle or overlay.
        ValueError: a key that nobody knows, a value of another kind, or two different runs of one name.
    """
    blocks = specification.get("blocks")
    if blocks is not None and not (isinstance(blocks, list) and all(isinstance(block, Mapping) for block in blocks)):
        raise ValueError(f"blocks is {blocks!r}; expected a list of objects")
    shared = {key: value for key, value in specification.items() if key != "blocks"}
    placed: list[tuple[int, Run]] = []
    for block in [{}] if blocks is None else blocks:
        placed += _runs_of({**shared, **block})
    runs: dict[str, Run] = {}
    for _, run in sorted(placed, key=lambda pair: pair[0]):
        if runs.setdefault(run.key, run) != run:
            raise ValueError(
                f"two runs are called {run.key} and differ; give one of the rows a name of its own: "
                '{"bundle": ..., "name": ...}'
            )
    return list(runs.values())


def _runs_of(block: Mapping[str, Any]) -> Iterator[tuple[int, Run]]:
    if unknown := sorted(set(block) - _OF_BLOCKS):
        raise ValueError(f"{unknown[0]!r} is no key of a comparison; there are {', '.join(sorted(_OF_BLOCKS))}, blocks")
    if not block.get("dataset_dir"):
        raise ValueError("a comparison needs the dataset's folder: give --dataset_dir")
    folder = Path(str(block["dataset_dir"])).absolute()
    dataset = _name("dataset", block.get("dataset", folder.name))
    bundles = [_bundle(entry, block) for entry in _list("bundles", block.get("bundles"))]
    labeled = [_labeled_cases(value) for value in _list("labeled_cases", block.get("labeled_cases", ["all"]))]
    seeds = _seeds(block.get("seeds", 1))
    for (turn, seed), number, values in product(enumerate(seeds), labeled, bundles):
        yield turn, Run(dataset=dataset, dataset_dir=str(folder), labeled_cases=number, seed=seed, **values)


def _bundle(entry: Any, block: Mapping[str, Any]) -> dict[str, Any]:
    given = {"bundle": entry} if isinstance(entry, str) else entry
    if not isinstance(given, Mapping) or "bundle" not in given or set(given) - _OF_BUNDLES:
        raise ValueError(f'{entry!r}: expected a bundle\'s name, or an object with "bundle", "name", "with", "options"')
    folder = bundle_folder(str(given["bundle"]))
    configs = folder.resolve() / "configs"
    words = split_names([str(word) for word in _list("with", given.get("with", block.get("with", [])))])
    files = [(word, overlay(configs, word)) for word in words]
    by_path = (Path(str(given["bundle"])) / "configs").is_dir()
    return {
        "bundle": str(folder.resolve()) if by_path else str(given["bundle"]),
        "method": _name("name", given.get("name", folder.resolve().name)),
        "overlays": tuple(file.stem if file.parent == configs else str(file) for _, file in files),
        "options": {**_options(block.get("options", {})), **_options(given.get("options", {}))},
    }


def _options(options: Any) -> dict[str, str]:
    if not isinstance(options, Mapping):
        raise ValueError(f"options is {options!r}; expected an object of keys and values")
    return {str(key): value if isinstance(value, str) else json.dumps(value) for key, value in options.items()}


def _list(name: str, value: Any) -> Sequence[Any]:
    """Return a list; a text is split at commas, and a single value becomes one."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    elif isinstance(value, int | Mapping):
        value = [value]
    if not isinstance(value, list | tuple) or (not value and name != "with"):
        raise ValueError(f"a comparison needs {name}, as a list or with commas between them; got {value!r}")
    return value


def _labeled_cases(value: Any) -> int | None:
    if value in ("all", None):
        return None
    return _number("labeled_cases", value, 1)


def _seeds(value: Any) -> list[int]:
    """Return the seeds: the first N of a number N, or those of a list."""
    if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
        return list(range(_number("seeds", value, 1)))
    return [_number("seeds", seed, 0) for seed in _list("seeds", value)]


def _number(name: str, value: Any, least: int) -> int:
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if number < least:
        raise ValueError(f"{name} has {value!r}; expected a whole number, {least} or more")
    return number


def _name(what: str, value: Any) -> str:
    if not _NAME.fullmatch(str(value)) or str(value) in (".", ".."):
        raise ValueError(
            f"{what} {str(value)!r}: expected letters, digits, blanks and . _ + - ( ), as in a folder's name"
        )
    return str(value)
