from __future__ import annotations

from typing import Any

import numpy as np

from fewlabel.data.checks.dataset import check


def store_ct(dataset: Any, name: str, organ: int, labeled: bool = True) -> None:
    """Store a CT with padding of -2000, air, metal, and an organ of one value where label 1 is."""
    image = np.full(dataset.shape, -2000, np.int16)
    image[1:], image[0, 0, 0] = -1000, 3000
    image[2:4] = organ + np.arange(2 * 5 * 4).reshape(2, 5, 4) % 7 - 3
    dataset.write(f"imagesTr/{name}.nii.gz", image)
    if labeled:
        label = np.zeros(dataset.shape, np.uint8)
        label[2:4] = 1
        dataset.write(f"labelsTr/{name}.nii.gz", label)


def warnings(dataset: Any) -> list[str]:
    return [problem.message for problem in check(dataset.root).problems if problem.kind == "Hounsfield units"]


def test_a_window_around_the_labeled_structures_is_recommended_for_ct(dataset: Any) -> None:
    dataset.training(3, unlabeled=1)
    for name, organ in (("a00", 62), ("a01", 98), ("a02", 75)):
        store_ct(dataset, name, organ)
    store_ct(dataset, "u00", 500, labeled=False)
    (message,) = warnings(dataset)
    assert message.startswith("4 of 4 images look like CT in Hounsfield units (-2000 to 3000)")
    # 59 to 101 is what the organs of a00 and a01 or a02 hold, rounded outward to tens; one of three validates
    low, high = (int(message.split(f"--intensity#{limit} ")[1].split()[0].rstrip(",")) for limit in ("low", "high"))
    assert (low, high) in {(50, 110), (50, 80), (70, 110)}


def test_without_labels_of_them_the_window_is_that_for_soft_tissue(dataset: Any) -> None:
    dataset.training(3, unlabeled=1)
    store_ct(dataset, "u00", 60, labeled=False)
    (message,) = warnings(dataset)
    assert message.startswith("1 of 4 images look like CT")
    assert "--intensity#low -160 --intensity#high 240, which is the usual one for soft tissue" in message


def test_images_of_other_kinds_are_not_taken_for_ct(dataset: Any) -> None:
    assert warnings(dataset.training(3)) == []
