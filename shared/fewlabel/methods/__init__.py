"""Methods, each a module or subpackage that owns networks and turns a batch into named loss terms.

A method is public as soon as its module is here: a module's ``__all__``, or else its subclasses of
:class:`fewlabel.methods.base.Method`, can be imported from this package.
"""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fewlabel.methods.base import Method


def _public_names(module: ModuleType) -> list[str]:
    defined = [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Method) and value.__module__ == module.__name__
    ]
    return list(getattr(module, "__all__", defined))


__all__ = []
for _found in pkgutil.iter_modules(__path__):
    if _found.name != "base":
        _module = importlib.import_module(f"{__name__}.{_found.name}")
        for _name in _public_names(_module):
            globals()[_name] = getattr(_module, _name)
            __all__ += [_name]

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Types of methods: import them from their module where a type checker should know them."""
