from __future__ import annotations

from typing import Any

import nibabel as nib
import numpy as np
import pytest

from fewlabel.data import Cohort
from fewlabel.data.checks.dataset import check

STRAIGHT = np.diag([1.5, 1.5, 10.0, 1.0])


def store(dataset: Any, name: str, affine: np.ndarray, qform: np.ndarray | None = None) -> None:
    """Store a labeled scan with another affine."""
    for folder, array in (("imagesTr", dataset.voxels()), ("labelsTr", np.ones(dataset.shape, np.uint8))):
        image = nib.Nifti1Image(array, affine)
        if qform is not None:
            image.set_qform(qform, 1)
        nib.save(image, dataset.root / folder / f"{name}.nii.gz")


def problems(report: Any, kind: str) -> list[tuple[str, str]]:
    return [(problem.severity, problem.message) for problem in report.problems if problem.kind == kind]


def test_orientation_and_slices_of_each_volume_are_shown(dataset: Any) -> None:
    dataset.training(3)
    store(dataset, "a00", STRAIGHT)
    store(dataset, "a01", np.diag([8.0, 1.5, 1.5, 1.0]))
    rows = {row.volume: (row.orientation, row.plane) for row in check(dataset.root).rows}
    assert rows == {"a00": ("RAS", "axial"), "a01": ("RAS", "sagittal"), "a02": ("LPS", "axial")}


def test_mixed_orientations_are_noted(dataset: Any) -> None:
    dataset.training(3)
    store(dataset, "a01", STRAIGHT)
    report = check(dataset.root)
    assert problems(report, "orientation") == [
        ("note", "volumes are stored as LPS (2, a00 the first), RAS (1, a01 the first): all are read as RAS")
    ]
    assert problems(report, "spacing") == []
    assert report.ok


def test_one_orientation_whatever_it_is_is_no_news(dataset: Any) -> None:
    assert problems(check(dataset.training(3).root), "orientation") == []


def test_volumes_cut_along_different_axes_are_warned_of_in_check_and_in_training(dataset: Any) -> None:
    dataset.training(3)
    store(dataset, "a01", np.diag([8.0, 1.5, 1.5, 1.0]))
    ((severity, message),) = problems(check(dataset.root), "slice axis")
    assert severity == "warning"
    assert "axial (2, a00 the first), sagittal (1, a01 the first); for bundles of slices choose one with" in message
    assert message in Cohort(dataset.root).notes


@pytest.mark.parametrize(
    ("affine", "qform", "kind", "text"),
    [
        (STRAIGHT, np.diag([-1.5, -1.5, 10.0, 1.0]), "sform and qform", "disagree by up to .* mm: the sform was taken"),
        (STRAIGHT @ (np.eye(4) + np.eye(4, k=1) * [1, 0.3, 1, 1]), None, "sheared", "degrees off a right angle"),
    ],
)
def test_a_header_that_contradicts_itself_is_warned_of(
    dataset: Any, affine: np.ndarray, qform: Any, kind: str, text: str
) -> None:
    affine = affine.copy()
    affine[:3, 3] = 0
    affine[3] = [0, 0, 0, 1]
    dataset.training(3)
    for name in ("a00", "a02"):
        store(dataset, name, affine, qform)
    ((severity, message),) = problems(check(dataset.root), kind)
    assert severity == "warning"
    assert message.startswith("a00: ")
    assert text.split(" .* ")[-1] in message
    assert message.endswith("(1 more volumes have such a header)")
