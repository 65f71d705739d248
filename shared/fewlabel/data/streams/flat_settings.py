"""Take objects apart into single settings by name, so that two runs can be compared setting by setting."""

from __future__ import annotations

import functools
import random
import types
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from fewlabel.data.streams.transform_description import (
    PLAIN,
    VOLATILE,
    code_parts,
    describe_transforms,
    name_of,
    state_of,
)

# where random numbers come from and where they are used is no setting
_NO_SETTINGS = (random.Random, np.random.RandomState, np.random.Generator, torch.Generator, torch.device)
# what PyTorch keeps of every module besides its settings
_OF_MODULES = frozenset(vars(nn.Module()))


def flat_settings(value: Any, name: str, leave_out: Collection[str] = ()) -> dict[str, str]:
    """Return the settings of an object and of all that it holds: the text of each by its path, such as ``loss.power``.

    An object's own entry says what it is. Of a module parameters and buffers do not count, which are its state; random
    generators do not either. An object that is met again, as a network that two others hold, is described once.

    Args:
        value: modules, transforms, mappings, numbers.
        name: path of the object itself.
        leave_out: attributes and keys that do not count, wherever they are.

    >>> flat_settings({"rate": 0.1, "loss": nn.Dropout(0.5)}, "run")
    {'run.rate': '0.1', 'run.loss': 'Dropout', 'run.loss.p': '0.5', 'run.loss.inplace': 'False'}
    """
    return dict(_settings(value, name, VOLATILE.union(leave_out), []))


def _settings(value: Any, name: str, leave_out: frozenset[str], seen: list[Any]) -> Iterator[tuple[str, str]]:
    if isinstance(value, set | frozenset):
        value = sorted(value, key=repr)
    if _is_plain(value):
        yield name, repr(value)
        return
    if any(value is other for other in seen):
        return
    seen.append(value)
    if isinstance(value, torch.Tensor | np.ndarray):
        yield name, describe_transforms(value)
        return
    if isinstance(value, Mapping):
        parts = {str(key): inner for key, inner in value.items()}
    elif isinstance(value, list | tuple):
        parts = {str(number): inner for number, inner in enumerate(value)}
    else:
        parts = _parts(value)
        yield name, _kind(value)
    for key, inner in parts.items():
        if key not in leave_out:
            yield from _settings(inner, f"{name}.{key}", leave_out, seen)


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(isinstance(inner, PLAIN) for inner in value)
    return isinstance(value, PLAIN)


def _kind(value: Any) -> str:
    if isinstance(value, functools.partial):
        return f"partial {_kind(value.func)}"
    if isinstance(value, types.FunctionType | types.MethodType | types.BuiltinFunctionType):
        return name_of(value)
    return type(value).__qualname__


def _parts(value: Any) -> dict[str, Any]:
    if isinstance(value, _NO_SETTINGS):
        return {}
    if isinstance(value, functools.partial):
        return {**{str(number): inner for number, inner in enumerate(value.args)}, **value.keywords}
    if isinstance(value, types.FunctionType):
        return _parts_of_function(value)
    if code_parts(value) is not None:
        return {"self": value.__self__} if isinstance(value, types.MethodType) else {}
    state = state_of(value, frozenset())
    if isinstance(value, nn.Module):
        return {
            **{key: inner for key, inner in state.items() if key not in _OF_MODULES},
            **dict(value.named_children()),
        }
    return state if isinstance(state, dict) else {"state": state}


def _parts_of_function(function: types.FunctionType) -> dict[str, Any]:
    """Return what a function captures and its defaults; of one that a config wrote also its code."""
    captured = dict(
        zip(function.__code__.co_freevars, (cell.cell_contents for cell in function.__closure__ or ()), strict=True)
    )
    defaults = {"defaults": function.__defaults__, "keyword defaults": function.__kwdefaults__}
    parts = {**captured, **{key: inner for key, inner in defaults.items() if inner}}
    # a function of a module is known by its name, and the bytes of its code differ between versions of Python
    known = function.__code__.co_filename.endswith(".py") and function.__name__ != "<lambda>"
    return parts if known else {**parts, "code": describe_transforms(function)}
