"""From a volume to a volume of logits."""

from fewlabel.inferers.slices import ResizedSliceInferer

__all__ = ["ResizedSliceInferer"]
