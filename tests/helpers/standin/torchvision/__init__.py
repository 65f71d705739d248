"""Takes torchvision's place where torch was built without CUDA: the wheel that pip finds beside it does not load there.

MONAI Label imports torchvision when it starts, for pictures of 2D results, which these tests ask for nowhere.
"""

from torchvision import utils

__all__ = ["utils"]
