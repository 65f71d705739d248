"""The organs of the abdominal CT challenge (BTCV, on Synapse), and the ways in which files number them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fewlabel.data.public.source_files import Sources

# as the challenge numbers them
THIRTEEN = (
    "background", "spleen", "right kidney", "left kidney", "gallbladder", "esophagus", "liver", "stomach", "aorta",
    "inferior vena cava", "portal and splenic vein", "pancreas", "right adrenal gland", "left adrenal gland",
)  # fmt: skip
# as TransUNet's files number them, which is the order of its tables
EIGHT = (
    "background", "aorta", "gallbladder", "left kidney", "right kidney", "liver", "pancreas", "spleen", "stomach",
)  # fmt: skip
# as files number them that others made, in the challenge's order
EIGHT_IN_ORDER = tuple(name for name in THIRTEEN if name in EIGHT)
NUMBERINGS = {"transunet": EIGHT, "challenge": EIGHT_IN_ORDER, "thirteen": THIRTEEN}


def renumber(label: NDArray[np.generic], names: tuple[str, ...], wanted: tuple[str, ...]) -> NDArray[np.uint8]:
    """Number organs anew; what is not wanted becomes background.

    Args:
        label: a label map.
        names: what its values mean, from 0.
        wanted: what the new values mean.

    Raises:
        ValueError: the label map holds a value without a name.

    >>> renumber(np.array([1, 5, 8]), THIRTEEN, EIGHT).tolist()
    [7, 0, 1]
    """
    values = np.unique(label)
    if not np.isin(values, np.arange(len(names))).all():
        raise ValueError(f"the label map holds {values[:20].tolist()}, but only 0 to {len(names) - 1} are organs")
    table = np.array([wanted.index(name) if name in wanted else 0 for name in names], np.uint8)
    return np.asarray(table[label.astype(np.int64)])


def check_numbering(sources: Sources, numbering: str, scans: int = 3) -> None:
    """Make sure that TransUNet-like files are numbered as stated, by the sizes of the organs.

    Of eight organs, label 2 is the gallbladder for TransUNet and the right kidney in the challenge's order; label 4 is
    the other one. A kidney is several times larger than a gallbladder. The first scans are read for this.

    Raises:
        ValueError: it is another numbering, or a scan cannot be read.

    """
    counts = np.zeros(len(THIRTEEN), np.int64)
    for source in list(sources.values())[:scans]:
        try:
            label = source.read().label
        except Exception as error:
            raise ValueError(f"cannot read {source.files[0]} ({error}): download it again") from error
        counts += np.bincount(label.ravel().astype(np.int64), minlength=len(counts))[: len(counts)]
    if not counts[1:].any() or (counts[2] == counts[4] and not counts[9:].any()):
        return
    seen = "thirteen" if counts[9:].any() else "transunet" if counts[2] < counts[4] else "challenge"
    if seen != numbering:
        why = (
            f"label 2 has {counts[2]} voxels and label 4 {counts[4]}, and a kidney is larger than a gallbladder"
            if seen != "thirteen"
            else "there are labels above 8"
        )
        raise ValueError(
            f"{', '.join(list(sources)[:scans])} are not numbered as --numbering {numbering} says: {why}. Their order "
            f"is {', '.join(NUMBERINGS[seen][1:])}: say so with --numbering {seen}"
        )
