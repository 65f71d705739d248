"""What MONAI Label imports from here, refusing to be called."""

from typing import NoReturn


def make_grid(*arguments: object, **options: object) -> NoReturn:
    raise NotImplementedError("this torchvision only stands in for the real one: it draws no grid")


def save_image(*arguments: object, **options: object) -> NoReturn:
    raise NotImplementedError("this torchvision only stands in for the real one: it saves no image")
