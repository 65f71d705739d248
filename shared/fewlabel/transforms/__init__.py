"""What happens to images and labels before a network sees them: checks and augmentation."""

from fewlabel.transforms.augmentation import SliceAugmentationd
from fewlabel.transforms.checks import CheckCased

__all__ = ["CheckCased", "SliceAugmentationd"]
