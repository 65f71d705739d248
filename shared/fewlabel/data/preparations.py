"""What `fewlabel prepare` knows: by name, each data set's function, imported when it is called."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fewlabel.parsing import parse_bool

PREPARATIONS = {
    "acdc": "fewlabel.data.public.acdc:prepare_acdc",
    "folders": "fewlabel.data.own.dataset:prepare_folders",
    "la": "fewlabel.data.public.left_atrium:prepare_la",
    "pancreas": "fewlabel.data.public.pancreas:prepare_pancreas",
    "synapse": "fewlabel.data.public.synapse:prepare_synapse",
}
_OF_PROGRAMS = ("report",)  # parameters that no command line can give


def run_preparation(dataset: str, paths: Sequence[str], options: Mapping[str, Any]) -> None:
    """Prepare a data set as the command line asks for it.

    Args:
        dataset: a name in ``PREPARATIONS``.
        paths: the source folders and the new data set's folder.
        options: more arguments of the function by name, as typed or as Fire read them.

    Raises:
        ValueError: the data set or an option is unknown, or the paths are too many or too few.

    """
    if dataset not in PREPARATIONS:
        raise ValueError(f"dataset is {dataset!r}, but the known ones are {', '.join(PREPARATIONS)}")
    module, _, name = PREPARATIONS[dataset].partition(":")
    prepare: Callable[..., Any] = getattr(importlib.import_module(module), name)
    parameters = inspect.signature(prepare).parameters
    folders = [name for name, parameter in parameters.items() if parameter.default is parameter.empty]
    known = [name for name in parameters if name not in (*folders, *_OF_PROGRAMS)]
    if len(paths) != len(folders):
        raise ValueError(
            f"fewlabel prepare {dataset} takes {len(folders)} folders, but {len(paths)} were given: "
            f"fewlabel prepare {dataset} {' '.join(folders).upper()}"
        )
    if unknown := [name for name in options if name not in known]:
        options_there = ", ".join(f"--{name}" for name in known)
        raise ValueError(f"fewlabel prepare {dataset} has no option --{unknown[0]}: it has {options_there}")
    prepare(*paths, **{name: _typed(name, value, parameters[name].annotation) for name, value in options.items()})


def _typed(name: str, value: Any, annotation: str) -> Any:
    """A value of the command line in the type that the function asks for."""
    if annotation == "bool":
        try:
            return parse_bool(value)
        except ValueError:
            raise ValueError(f"{name} is {value!r}, but it must be true or false") from None
    if annotation.startswith("int"):
        return _whole(name, value, optional="None" in annotation)
    return ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def _whole(name: str, value: Any, optional: bool) -> int | None:
    if optional and str(value).lower() == "none":
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return int(str(value))
    except ValueError:
        raise ValueError(
            f"{name} is {value!r}, but it must be a whole number{' or none' if optional else ''}"
        ) from None
