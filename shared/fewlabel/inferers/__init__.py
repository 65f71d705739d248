"""Inferers that turn volumes into volumes of logits."""

from fewlabel.inferers.slice_inferer import ResizedSliceInferer
from fewlabel.inferers.window_inferer import WindowInferer

__all__ = ["ResizedSliceInferer", "WindowInferer"]
