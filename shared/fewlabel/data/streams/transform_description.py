"""Describe transforms as text, so that what they made can be told from what others would make."""

from __future__ import annotations

import functools
import hashlib
import pickle
import types
from collections.abc import Collection, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

PLAIN = (str, bytes, int, float, complex, type(None), type, np.generic, np.dtype, torch.dtype, PurePath)
# MONAI's random states, a switch that results don't depend on, and the file that a reader read last
VOLATILE = frozenset({"R", "_lazy", "filenames"})


def describe_transforms(value: Any, leave_out: Collection[str] = ()) -> str:
    """Return text that is equal for equal settings, in this run and the next, and differs when any setting does.

    Objects are taken apart down to numbers and names; a function counts by its code, its defaults and the variables
    that it captures. Random states are left out: a description is meant for deterministic transforms.

    Args:
        value: transforms, an inferer, or anything else that has settings.
        leave_out: attributes that do not count, wherever an object has them.

    >>> describe_transforms({"b": [1, 2.0], "a": {"y", "x"}})
    "{'a': {'x', 'y'}, 'b': [1, 2.0]}"
    """
    return _describe(value, (), VOLATILE.union(leave_out))


def _describe(value: Any, above: tuple[int, ...], volatile: frozenset[str]) -> str:
    if isinstance(value, PLAIN):
        return repr(value)
    if id(value) in above:
        return "..."  # an object that holds itself, as a transform that knows its parent
    inner = functools.partial(_describe, above=(*above, id(value)), volatile=volatile)
    if isinstance(value, Mapping):
        return "{" + ", ".join(sorted(f"{inner(k)}: {inner(v)}" for k, v in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "{" + ", ".join(sorted(map(inner, value))) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(inner, value)) + "]"
    if isinstance(value, torch.Tensor):
        return _array(value.detach().cpu().numpy())
    if isinstance(value, np.ndarray):
        return _array(value)
    parts = code_parts(value)
    if parts is not None:
        return f"{name_of(value)}{inner(parts)}"
    return f"{name_of(type(value))}{inner(state_of(value, volatile))}"


def name_of(value: Any) -> str:
    """Return the full name of a function or class."""
    # NumPy's functions have no __qualname__ before NumPy 2
    name = getattr(value, "__qualname__", getattr(value, "__name__", type(value).__qualname__))
    return f"{getattr(value, '__module__', '')}.{name}"


def _array(array: np.ndarray) -> str:
    return f"array({array.dtype}, {array.shape}, {hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()})"


def code_parts(value: Any) -> list[Any] | None:
    """Return what a callable's results depend on, None for what is no function."""
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        captured = [cell.cell_contents for cell in value.__closure__ or ()]
        return [value.__code__, value.__defaults__, value.__kwdefaults__, captured]
    if isinstance(value, types.CodeType):
        return [value.co_code, value.co_consts, value.co_names]
    return [] if isinstance(value, (types.BuiltinFunctionType, np.ufunc)) else None


def state_of(value: Any, volatile: frozenset[str]) -> Any:
    """Return the attributes of an object by name, but the volatile ones; of one without any, a text for it."""
    slots = [name for kind in type(value).__mro__ for name in _slots(kind) if hasattr(value, name)]
    if hasattr(value, "__dict__") or slots:
        state = {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}
        return {name: part for name, part in state.items() if name not in volatile}
    try:
        return hashlib.sha256(pickle.dumps(value)).hexdigest()
    except (pickle.PicklingError, TypeError):
        return "opaque"  # locks, handles and the like: nothing that a result could depend on


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))
