"""The names of augmentations in the configs."""

from __future__ import annotations

AUGMENTATIONS = ("published", "strong")


def is_strong(augmentation: str) -> bool:
    """Return whether an augmentation, by its name in the configs, is the strong one.

    Raises:
        ValueError: no such augmentation.

    >>> is_strong("strong"), is_strong("published")
    (True, False)
    """
    if augmentation not in AUGMENTATIONS:
        raise ValueError(f'augmentation must be "published" or "strong", got {augmentation!r}')
    return augmentation == "strong"
