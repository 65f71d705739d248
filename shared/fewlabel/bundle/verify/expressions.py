"""Read the Python expressions in a config without running them.

Whatever this finds strange is worth reading. Finding nothing is no promise: running a bundle runs code.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

_MODULES = {"torch", "monai", "fewlabel", "numpy"}
_BUILTINS = {
    "abs", "all", "any", "bool", "dict", "enumerate", "float", "int", "len", "list", "max", "min", "range", "round",
    "set", "sorted", "str", "sum", "tuple", "zip",
}  # fmt: skip
# of allowed modules, but good for running or reading anything
_LOADED = {
    "compile", "eval", "exec", "hub", "load", "load_state_dict_from_url", "os", "subprocess", "sys", "system",
}  # fmt: skip
_REFERENCE = re.compile(r"@(?:\w*)(?:(?:#|::)\w+)*")


def strange_words(config: Any) -> Iterator[str]:
    """Yield what a config names beyond its own keys and the libraries that bundles are made of.

    Args:
        config: a parsed config.
    """
    for key, value in _leaves(config):
        if key == "_target_" and not value.startswith("$"):
            yield from _target(value)
        elif value.startswith("$"):
            yield from _expression(value[1:])


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _leaves(inner, str(name))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)


def _target(target: str) -> Iterator[str]:
    # a name without a dot is one of MONAI's
    parts = target.split(".")
    if (len(parts) > 1 and parts[0] not in _MODULES) or _LOADED & set(parts):
        yield f"_target_ {target}"


def _expression(text: str) -> Iterator[str]:
    if match := re.fullmatch(r"\s*(?:import\s+([\w.]+)(?:\s+as\s+\w+)?|from\s+([\w.]+)\s+import\s+[\w, ]+)", text):
        module = match[1] or match[2]
        if module.split(".")[0] not in _MODULES:
            yield f"import {module}"
        return
    try:
        tree = ast.parse(_REFERENCE.sub("(0)", text).strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        yield f"{text[:40]!r} is no expression"
        return
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id not in _MODULES | _BUILTINS | bound:
            yield node.id
        elif isinstance(node, ast.Attribute) and (node.attr.startswith("__") or node.attr in _LOADED):
            yield f".{node.attr}"
