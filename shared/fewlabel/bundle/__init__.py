"""What a bundle's JSON needs from the world around it: where it lies, and which cases it works on."""

from fewlabel.bundle.cases import BundleCohort
from fewlabel.bundle.root import find_root

__all__ = ["BundleCohort", "find_root"]
