"""Find the memories that a module keeps."""

from __future__ import annotations

from torch import nn

from fewlabel.sampling.class_bank import ClassBank
from fewlabel.sampling.map_bank import MapBank


def find_banks(module: nn.Module) -> dict[str, ClassBank | MapBank]:
    """Return a module's banks by their names in it.

    Of several processes that train together each fills banks of its own: they are no state that all share, as the
    weights are, and whoever sends or saves states has to treat them on their own.

    Example:
        >>> list(find_banks(nn.ModuleDict({"net": nn.Linear(1, 1), "memory": ClassBank(2, 3, capacity=4)})))
        ['memory']

    """
    return {name: child for name, child in module.named_modules() if isinstance(child, ClassBank | MapBank)}
