"""From a volume to a volume of logits."""

from fewlabel.inferers.slices import ResizedSliceInferer
from fewlabel.inferers.windows import WindowInferer

__all__ = ["ResizedSliceInferer", "WindowInferer"]
