"""Turns of a patch in its plane that leave its sides and its voxels as they are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from monai.transforms import RandRotate90d

from fewlabel.conventions.turns import turns_by_quarters

_log = logging.getLogger(__name__)


class RandTurnd(RandRotate90d):
    """Turn a patch at random by a multiple of 90 degrees in the plane of its first two axes.

    A quarter turn exchanges these axes. Where their sides differ, patches of a batch would differ in shape; where their
    spacings differ, anatomy would be stretched. Then half turns alone are drawn, and a line of the log says so. With
    equal sides and spacings it is MONAI's ``RandRotate90d``, draw for draw.

    Args:
        keys: of the volumes (C, H, W, D); all are turned alike.
        size: voxels of a patch along H, W and D.
        spacing: millimeters between voxels along H, W and D.
        prob: of a turn by 90, 180 or 270 degrees, each a third of it. Half turns alone are drawn with two thirds of it,
            so that with 0.75 all turns that are allowed, none at all among them, are equally likely.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        ValueError: ``size`` or ``spacing`` has not three positive numbers, or ``prob`` is no probability.

    >>> import torch
    >>> turn = RandTurnd(["image"], size=(4, 2, 2), spacing=(1, 1, 1)).set_random_state(seed=0)
    >>> {tuple(turn({"image": torch.zeros(1, 4, 2, 2)})["image"].shape) for _ in range(20)}
    {(1, 4, 2, 2)}
    """

    def __init__(
        self,
        keys: Sequence[str],
        size: Sequence[int],
        spacing: Sequence[float],
        prob: float = 0.75,
        allow_missing_keys: bool = False,
    ) -> None:
        for name, values in (("size", size), ("spacing", spacing)):
            if len(values) != 3 or not all(value > 0 for value in values):
                raise ValueError(f"{name} must be three positive numbers, one for each axis, got {values!r}")
        if not 0 <= prob <= 1:
            raise ValueError(f"prob must be a probability in [0, 1], got {prob}")
        self.quarter_turns = turns_by_quarters(size, spacing)
        super().__init__(keys, prob if self.quarter_turns else prob * 2 / 3, 3, allow_missing_keys=allow_missing_keys)
        if not self.quarter_turns and prob > 0:
            _log.info(
                "patches of %s voxels of %s mm are turned by 180 degrees alone: a quarter turn would exchange axes "
                "that differ",
                *(" x ".join(map(str, values)) for values in (size, spacing)),
            )

    def randomize(self, data: Any | None = None) -> None:
        """Draw whether to turn, and by how much."""
        super().randomize(data)
        if not self.quarter_turns:
            self._rand_k = 2
