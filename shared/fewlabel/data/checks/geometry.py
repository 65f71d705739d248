"""How the volumes of a dataset are stored, and what of it a person should know before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from fewlabel.conventions.orientation import PLANES, find_slice_axis, orientation_code
from fewlabel.data.checks.problems import Problem
from fewlabel.data.files.formats import Header


def plane_of(header: Header) -> str:
    """Return "axial", "coronal" or "sagittal": the slices into which a volume is cut by default."""
    return PLANES[find_slice_axis(header.affine, header.shape)]


def geometry_problems(headers: Mapping[str, Header]) -> Iterable[Problem]:
    """Yield what is worth knowing: mixed orientations, mixed directions of slices, headers that contradict themselves.

    Args:
        headers: of each image, by volume.
    """
    codes = {name: orientation_code(header.affine).split()[0] for name, header in headers.items()}
    if len(set(codes.values())) > 1:
        yield Problem("note", "orientation", f"volumes are stored as {_counted(codes)}: all are read as RAS")
    planes = {name: plane_of(header) for name, header in headers.items()}
    if len(set(planes.values())) > 1:
        yield Problem(
            "warning",
            "slice axis",
            f"by their spacing, volumes are cut into different slices: {_counted(planes)}; for bundles of slices "
            "choose one with --slice_axis 0 (sagittal), 1 (coronal) or 2 (axial), or leave the others out",
        )
    for kind in sorted({kind for header in headers.values() for kind in header.remarks}):
        concerned = [name for name, header in headers.items() if kind in header.remarks]
        first = concerned[0]
        more = f" ({len(concerned) - 1} more volumes have such a header)" if len(concerned) > 1 else ""
        message = f"{first}: {headers[first].remarks[kind]}; see whether image and label are where a viewer shows them"
        yield Problem("warning", kind, message + more, first)


def _counted(values: Mapping[str, str]) -> str:
    """List values with how many volumes have them, the first of which is named."""
    firsts = {value: name for name, value in reversed(list(values.items()))}
    parts = (f"{value} ({count}, {firsts[value]} the first)" for value, count in Counter(values.values()).most_common())
    return ", ".join(parts)
