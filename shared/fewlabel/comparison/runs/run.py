"""One training run of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Run:
    """What is trained, on which labels, with which seed.

    Args:
        dataset: short name of the dataset, a heading of the tables.
        dataset_dir: its folder, absolute.
        method: name of the row.
        bundle: the bundle's name, or its folder, absolute.
        overlays: names of the bundle's overlays, or files, absolute, in their order.
        options: other keys of the config with their values as typed.
        labeled_cases: labels of the first so many cases; None for all.
        seed: of the training run.
    """

    dataset: str
    dataset_dir: str
    method: str
    bundle: str
    overlays: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict, hash=False)
    labeled_cases: int | None = None
    seed: int = 0

    @property
    def key(self) -> str:
        """The run's name and folder.

        >>> Run("acdc", "/data/acdc", "bcp", "bcp", labeled_cases=3, seed=1).key
        'acdc/bcp/labeled_3/seed_1'
        """
        labeled = "all" if self.labeled_cases is None else self.labeled_cases
        return f"{self.dataset}/{self.method}/labeled_{labeled}/seed_{self.seed}"

    def as_dict(self) -> dict[str, Any]:
        """Return the run as JSON has it."""
        return {**asdict(self), "overlays": list(self.overlays), "options": dict(self.options)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Run:
        """Return the run that :meth:`as_dict` wrote."""
        return cls(**{**content, "overlays": tuple(content["overlays"])})
