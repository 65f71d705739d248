"""Dice, Jaccard, HD95 and ASD of one volume, as the papers compute them and as they should be read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from fewlabel.metrics.surface import Mask, surface_distances

Protocol = Literal["strict", "published"]
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)


def scores(
    prediction: ArrayLike | torch.Tensor,
    reference: ArrayLike | torch.Tensor,
    spacing: Sequence[float] | None = None,
    protocol: Protocol = "strict",
) -> dict[str, float]:
    """Overlap and surface agreement of two binary masks, under one of two protocols.

    With P and R the voxels of prediction and reference, and S(.) their surfaces (:func:`fewlabel.metrics.surface`)::

        dice    = 2 |P ∩ R| / (|P| + |R|)                    in [0, 1]
        jaccard = |P ∩ R| / |P ∪ R|                          in [0, 1]
        hd95    = 95th percentile of  d(S(P), S(R)) ⊎ d(S(R), S(P))
        asd     = mean of  d(S(P), S(R))                     one-directional: prediction to reference

    These are the definitions of medpy's ``dc``, ``jc``, ``hd95`` and ``asd``, which the papers call, and both
    protocols share them so that their columns compare. (MONAI's percentile takes the larger of the two directed
    percentiles instead, which is another number.) The protocols differ in two points:

    ``"published"``
        for comparison with the tables of the papers. Distances are in voxels on every axis, as the papers compute
        them even where a table says mm; ``spacing`` is not used. An empty mask on either side, or on both, gives 0
        for all four. The test scripts of MCSC (HD95 = ASD = 0), MC-Net and UA-MT (all four 0) do so for an empty
        prediction; SSL4MIS guards its validation the same way, and its test script stops at an empty mask. Mind that
        a distance of 0 rewards a network that finds nothing. TransUNet and CS-Unet use yet another rule, not
        offered here: Dice 1 and HD95 0 when only the reference is empty.
    ``"strict"``
        for conclusions. Distances are in millimeters. Both masks empty: all four are nan, to be left out of
        means and counted. Exactly one empty: Dice and Jaccard are 0, hd95 and asd nan, never a number that flatters.

    Args:
        prediction: mask of zeros and ones (bool, integer or float; array or tensor), shape ``(*spatial)``, at least 2D.
            An axis of length 1 makes every voxel surface, so pass a single slice in 2D.
        reference: mask of the same shape.
        spacing: millimeters between voxel centers along each axis. Needed by ``"strict"``.
        protocol: ``"strict"`` or ``"published"``.

    Returns:
        ``{"dice", "jaccard", "hd95", "asd"}``.

    Raises:
        ValueError: on masks that are not binary, of different shapes or below 2D, on a missing or malformed
            ``spacing``, or on an unknown protocol.

    Example:
        >>> p, r = np.zeros((2, 4, 9), dtype=bool)
        >>> p[1, 2], r[1, 5] = True, True
        >>> scores(p, r, spacing=(1.0, 0.5))
        {'dice': 0.0, 'jaccard': 0.0, 'hd95': 1.5, 'asd': 1.5}
        >>> scores(p, r, protocol="published")
        {'dice': 0.0, 'jaccard': 0.0, 'hd95': 3.0, 'asd': 3.0}

    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"Unknown protocol {protocol!r}: choose one of {', '.join(map(repr, PROTOCOLS))}.")
    p = _binary(prediction, "prediction")
    r = _binary(reference, "reference")
    _check_shapes(p, r)
    _check_spacing(spacing, p.ndim)
    if protocol == "published":
        return _scores(p, r, spacing=None, without_reference=0.0, without_surface=0.0)
    if spacing is None:
        raise ValueError(
            "The strict protocol measures in millimeters and needs the voxel spacing, but spacing is None: pass one "
            f"number per axis ({p.ndim} here), for instance nibabel's image.header.get_zooms(), or choose "
            'protocol="published" for distances in voxels.'
        )
    return _scores(p, r, spacing=spacing, without_reference=math.nan, without_surface=math.nan)


def case_scores(
    prediction: ArrayLike | torch.Tensor,
    reference: ArrayLike | torch.Tensor,
    labels: Mapping[int, str],
    spacing: Sequence[float],
) -> list[dict[str, Any]]:
    """Scores of every class of a label map under both protocols, as rows of a table.

    Args:
        prediction: label map with values among the keys of ``labels``, shape ``(*spatial)``, at least 2D.
        reference: label map of the same shape.
        labels: name of each label; 0 is the background and is left out.
        spacing: millimeters between voxel centers along each axis.

    Returns:
        One dict ``{"class", "protocol", "dice", "jaccard", "hd95", "asd"}`` per class, in the order of the labels,
        and protocol, strict first.

    Raises:
        ValueError: if a map holds a value that ``labels`` does not name, and as :func:`scores` does.

    Example:
        >>> rows = case_scores(np.eye(3), np.eye(3), {0: "background", 1: "heart"}, spacing=(1.0, 1.0))
        >>> [(row["class"], row["protocol"], row["dice"]) for row in rows]
        [('heart', 'strict', 1.0), ('heart', 'published', 1.0)]

    """
    p = _array(prediction)
    r = _array(reference)
    _check_shapes(p, r)
    for name, array in (("prediction", p), ("reference", r)):
        unknown = sorted(set(np.unique(array).tolist()) - {*labels, 0})
        if unknown:
            raise ValueError(
                f"The {name} holds the values {unknown[:5]}, which are none of the labels {dict(labels)}: check that "
                "it is a label map (after argmax) of the same data set."
            )
    return [
        {"class": labels[value], "protocol": protocol} | scores(p == value, r == value, spacing, protocol)
        for value in sorted(set(labels) - {0})
        for protocol in PROTOCOLS
    ]


def _scores(
    p: Mask, r: Mask, spacing: Sequence[float] | None, without_reference: float, without_surface: float
) -> dict[str, float]:
    both = int(np.count_nonzero(p & r))
    union = int(np.count_nonzero(p | r))
    if union == 0:
        return dict.fromkeys(("dice", "jaccard", "hd95", "asd"), without_reference)
    overlap = {"dice": 2 * both / (union + both), "jaccard": both / union}  # |P| + |R| = |P ∪ R| + |P ∩ R|
    if not (p.any() and r.any()):
        return overlap | {"hd95": without_surface, "asd": without_surface}
    to_reference, to_prediction = surface_distances(p, r, spacing)
    hd95 = np.percentile(np.concatenate((to_reference, to_prediction)), 95)
    return overlap | {"hd95": float(hd95), "asd": float(to_reference.mean())}


def _array(values: ArrayLike | torch.Tensor) -> NDArray[Any]:
    if isinstance(values, torch.Tensor):
        # as_subclass: a MetaTensor would keep its metadata through every comparison, slowly.
        return values.detach().cpu().as_subclass(torch.Tensor).numpy()
    return np.asarray(values)


def _binary(values: ArrayLike | torch.Tensor, name: str) -> Mask:
    array = _array(values)
    mask = array.astype(bool)
    if array.dtype != bool and not np.array_equal(mask, array):
        strange = [value for value in np.unique(array).tolist() if value not in (0, 1)]
        raise ValueError(
            f"The {name} must be binary, but holds {strange[:5]}: threshold probabilities, and compare label maps "
            "class by class (prediction == 1) or with fewlabel.metrics.case_scores."
        )
    return mask


def _check_shapes(p: NDArray[Any], r: NDArray[Any]) -> None:
    if p.shape != r.shape:
        raise ValueError(
            f"The prediction has shape {p.shape}, the reference {r.shape}: both must be on the same grid; "
            "resample the prediction to the reference's grid first."
        )
    if p.ndim < 2:
        raise ValueError(f"Masks must have at least 2 dimensions, these have shape {p.shape}.")


def _check_spacing(spacing: Sequence[float] | None, ndim: int) -> None:
    if spacing is None:
        return
    values = [float(value) for value in spacing]
    if len(values) != ndim or not all(math.isfinite(value) and value > 0 for value in values):
        raise ValueError(f"spacing must be {ndim} positive numbers, one per axis of the masks, got {values}.")
