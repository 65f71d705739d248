"""Labels that name a side of the body, which a mirrored image would swap."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LEFT = frozenset({"left", "l", "lt", "lh", "sinister", "sinistra", "sinistrum", "sin"})
_RIGHT = frozenset({"right", "r", "rt", "rh", "dexter", "dextra", "dextrum", "dext"})
# The heart's halves are named for sides, but are no mirror images of each other: their walls and shapes tell them
# apart in any view, and the published augmentation of cardiac MR mirrors. The brain's "lateral ventricle" is not here.
_HEART = frozenset(
    (
        "ventricle", "ventricles", "ventricular", "atrium", "atria", "atrial", "auricle", "appendage", "myocardium",
        "myocardial", "endocardium", "epicardium", "cavity", "wall", "blood", "pool", "chamber", "cardiac", "heart",
        "of", "the", "and", "v", "a",
    )
)  # fmt: skip


def sided_labels(names: Iterable[str]) -> list[str]:
    """Return the names that say left or right of something which has a mirror image on the other side of the body.

    A name has a side if one of its words is left, right, l, r, lt, rt, lh, rh, sinister or dexter, in any case, with
    blanks, underscores, hyphens, dots or a capital letter between words; or if it begins with l or r and another name
    of at least three letters is the same but for that letter. The chambers of the heart do not count.

    >>> sided_labels(["background", "liver", "right kidney", "Kidney_L", "LeftLung"])
    ['right kidney', 'Kidney_L', 'LeftLung']
    >>> sided_labels(["rkid", "lkid", "spleen"])
    ['rkid', 'lkid']
    >>> sided_labels(["right ventricle", "myocardium", "left ventricle", "LA", "RA"])
    []
    """
    listed = [str(name) for name in names]
    lowered = {name.lower() for name in listed}
    return [name for name in listed if _has_side(name) or _has_twin(name.lower(), lowered)]


def _has_side(name: str) -> bool:
    words = re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    words = [part for word in words for part in re.sub(r"^(left|right)(?=.)", r"\1 ", word).split()]
    rest = [word for word in words if word not in _LEFT | _RIGHT]
    return len(rest) < len(words) and not (rest and set(rest) <= _HEART)


def _has_twin(name: str, names: set[str]) -> bool:
    """Whether a name such as "lkid" has a partner "rkid"; LV and RV, LA and RA are too short to be told from words."""
    if len(name) < 3 or name[0] not in "lr" or not name.isalpha() or name[1] == "v":
        return False
    return {"l" + name[1:], "r" + name[1:]} <= names
