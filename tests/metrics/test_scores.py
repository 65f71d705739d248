from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fewlabel.metrics import case_scores, scores

NAMES = ("dice", "jaccard", "hd95", "asd")
SPACINGS = {2: (1.5, 0.7), 3: (1.25, 1.4, 10.0)}


def literal_surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    points = []
    for index in itertools.product(*map(range, mask.shape)):
        neighbors = [(*index[:a], index[a] + step, *index[a + 1 :]) for a in range(mask.ndim) for step in (-1, 1)]
        inside = [
            all(0 <= i < n for i, n in zip(point, mask.shape, strict=True)) and bool(mask[point]) for point in neighbors
        ]
        if mask[index] and not all(inside):
            points.append(index)
    return points


def literal_scores(p: np.ndarray, r: np.ndarray, spacing: tuple[float, ...]) -> dict[str, float]:
    p_set, r_set = set(zip(*np.nonzero(p), strict=True)), set(zip(*np.nonzero(r), strict=True))
    pairs = cdist(np.array(literal_surface(p)) * spacing, np.array(literal_surface(r)) * spacing)
    return {
        "dice": 2 * len(p_set & r_set) / (len(p_set) + len(r_set)),
        "jaccard": len(p_set & r_set) / len(p_set | r_set),
        "hd95": np.percentile(np.hstack((pairs.min(axis=1), pairs.min(axis=0))), 95),
        "asd": pairs.min(axis=1).mean(),
    }


def random_blobs(shape: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    p, r = np.zeros((2, *shape), dtype=bool)
    for mask in (p, r):
        for _ in range(2):
            center, radius = random.uniform(0, shape), random.uniform(1.5, 4)
            mask |= np.linalg.norm(grid - center, axis=-1) < radius
        mask |= random.random(shape) < 0.01
        mask[tuple(random.integers(0, shape))] = True
    return p, r


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(13, 11), (9, 10, 7)])
def test_strict_agrees_with_all_pairwise_distances_in_millimeters(shape, seed):
    p, r = random_blobs(shape, seed)
    spacing = SPACINGS[p.ndim]
    assert scores(p, r, spacing) == pytest.approx(literal_scores(p, r, spacing), abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("shape", [(13, 11), (9, 10, 7)])
def test_published_agrees_with_all_pairwise_distances_in_voxels(shape, seed):
    p, r = random_blobs(shape, seed)
    expected = literal_scores(p, r, (1.0,) * p.ndim)
    assert scores(p, r, protocol="published") == pytest.approx(expected, abs=1e-12)
    assert scores(p, r, SPACINGS[p.ndim], protocol="published") == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_published_agrees_with_medpy_where_it_is_installed(seed):
    binary = pytest.importorskip("medpy.metric.binary")
    p, r = random_blobs((14, 12, 6), seed)
    expected = {"dice": binary.dc, "jaccard": binary.jc, "hd95": binary.hd95, "asd": binary.asd}
    assert scores(p, r, protocol="published") == pytest.approx({k: f(p, r) for k, f in expected.items()}, abs=1e-12)
    spacing = (0.5, 1.0, 4.0)
    assert scores(p, r, spacing)["hd95"] == pytest.approx(binary.hd95(p, r, voxelspacing=spacing), abs=1e-12)


def test_single_voxels_are_as_far_apart_as_their_centers():
    p, r = np.zeros((2, 8, 8, 8), dtype=bool)
    p[1, 1, 1], r[4, 5, 1] = True, True
    # 3 and 4 voxels apart: 5 voxels; with 2 mm and 1.5 mm: 6 mm and 6 mm.
    assert scores(p, r, protocol="published") == {"dice": 0, "jaccard": 0, "hd95": 5, "asd": 5}
    assert scores(p, r, (2.0, 1.5, 9.0)) == pytest.approx(
        {"dice": 0, "jaccard": 0, "hd95": math.sqrt(72), "asd": 72**0.5}
    )


def test_asd_looks_from_the_prediction_only_and_hd95_pools_both_directions():
    p, r = np.zeros((2, 1, 12), dtype=bool)
    p[0, 0] = True
    r[0, 0] = r[0, 10] = True
    # From the prediction: {0}. From the reference: {0, 10}. 95th percentile of {0, 0, 10}: 0.9 of the way from 0 to 10.
    forward, backward = scores(p, r, (1.0, 1.0)), scores(r, p, (1.0, 1.0))
    assert forward == pytest.approx({"dice": 2 / 3, "jaccard": 1 / 2, "hd95": 9.0, "asd": 0.0})
    assert backward == pytest.approx({"dice": 2 / 3, "jaccard": 1 / 2, "hd95": 9.0, "asd": 5.0})


@pytest.mark.parametrize("protocol", ["strict", "published"])
def test_identical_masks_agree_perfectly(protocol):
    mask, _ = random_blobs((9, 8, 7), 3)
    assert scores(mask, mask, (1.0, 2.0, 3.0), protocol) == {"dice": 1, "jaccard": 1, "hd95": 0, "asd": 0}


def test_all_but_asd_are_symmetric():
    p, r = random_blobs((12, 11, 6), 0)
    spacing = SPACINGS[3]
    forward, backward = scores(p, r, spacing), scores(r, p, spacing)
    assert forward["asd"] != pytest.approx(backward["asd"])
    del forward["asd"], backward["asd"]
    assert forward == pytest.approx(backward)


def test_moving_both_masks_together_changes_nothing():
    p, r = random_blobs((10, 9, 6), 1)
    margins = ((5, 0), (1, 3), (0, 2))
    assert scores(np.pad(p, margins), np.pad(r, margins), SPACINGS[3]) == pytest.approx(scores(p, r, SPACINGS[3]))


def test_moving_a_box_by_t_voxels_gives_a_distance_between_0_and_t_times_the_spacing():
    p, r = np.zeros((2, 6, 40), dtype=bool)
    p[2, 2:4], r[2, 22:24] = True, True
    # A row of two voxels moved by 20: every surface voxel is 19 or 20 away, both ways.
    assert scores(p, r, (1.0, 0.5))["hd95"] == 10.0
    assert scores(p, r, (1.0, 0.5))["asd"] == pytest.approx((20 + 19) / 2 * 0.5)


def test_doubling_the_spacing_doubles_the_distances_and_leaves_the_overlap():
    p, r = random_blobs((12, 9, 6), 2)
    one, two = scores(p, r, SPACINGS[3]), scores(p, r, tuple(2 * s for s in SPACINGS[3]))
    assert two == pytest.approx({"dice": one["dice"], "jaccard": one["jaccard"]} | {k: 2 * one[k] for k in NAMES[2:]})
    assert one["hd95"] > 0


def test_dice_and_jaccard_are_functions_of_each_other():
    p, r = random_blobs((12, 9), 5)
    result = scores(p, r, (1.0, 1.0))
    assert 0 < result["jaccard"] < 1
    assert result["dice"] == pytest.approx(2 * result["jaccard"] / (1 + result["jaccard"]))


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, torch.bool, torch.float32, "list"])
def test_masks_may_be_arrays_lists_or_tensors_of_any_type(kind):
    p, r = random_blobs((7, 9), 4)
    expected = scores(p, r, (1.0, 2.0))
    if kind == "list":
        p, r = p.tolist(), r.tolist()
    elif isinstance(kind, torch.dtype):
        p, r = torch.from_numpy(p).to(kind), torch.from_numpy(r).to(kind)
    else:
        p, r = p.astype(kind), r.astype(kind)
    assert scores(p, r, (1.0, 2.0)) == expected


def test_transposing_masks_and_spacing_together_changes_nothing():
    p, r = random_blobs((5, 6, 7), 6)
    assert scores(p.T, r.T, (3.0, 2.0, 1.0)) == pytest.approx(scores(p, r, (1.0, 2.0, 3.0)))


def test_four_dimensions_agree_with_all_pairwise_distances():
    p, r = random_blobs((4, 5, 6, 3), 7)
    spacing = (1.0, 2.0, 0.5, 3.0)
    assert scores(p, r, spacing) == pytest.approx(literal_scores(p, r, spacing), abs=1e-12)


def test_in_a_single_slice_of_a_volume_every_voxel_is_surface():
    p, r = np.zeros((2, 1, 9, 9), dtype=bool)
    p[0, 2:7, 2:7], r[0, 4, 4] = True, True
    distances = [math.hypot(i - 4, j - 4) for i in range(2, 7) for j in range(2, 7)]
    assert scores(p, r, (1.0, 1.0, 1.0))["asd"] == pytest.approx(np.mean(distances))


EMPTY, FULL = np.zeros((4, 5), dtype=bool), np.ones((4, 5), dtype=bool)


def test_strict_leaves_a_volume_without_the_structure_out():
    result = scores(EMPTY, EMPTY, (1.0, 1.0))
    assert list(result) == list(NAMES)
    assert all(math.isnan(value) for value in result.values())


@pytest.mark.parametrize(("p", "r"), [(EMPTY, FULL), (FULL, EMPTY)])
def test_strict_never_rewards_a_missed_or_invented_structure(p, r):
    result = scores(p, r, (1.0, 1.0))
    assert (result["dice"], result["jaccard"]) == (0.0, 0.0)
    assert math.isnan(result["hd95"])
    assert math.isnan(result["asd"])


@pytest.mark.parametrize(("p", "r"), [(EMPTY, FULL), (FULL, EMPTY), (EMPTY, EMPTY)])
def test_published_gives_zero_for_every_score_of_an_empty_mask(p, r):
    assert scores(p, r, protocol="published") == dict.fromkeys(NAMES, 0.0)


def test_label_maps_give_a_row_per_class_and_protocol_without_the_background():
    p, r = np.zeros((2, 6, 6), dtype=np.uint8)
    p[1, 1], r[1, 4] = 2, 2
    p[3:5], r[3:5] = 5, 5
    rows = case_scores(torch.from_numpy(p), r, {0: "background", 5: "liver", 2: "spleen", 9: "tumor"}, (1.0, 2.0))
    assert [(row["class"], row["protocol"]) for row in rows] == list(
        itertools.product(("spleen", "liver", "tumor"), ("strict", "published"))
    )
    by_key = {(row.pop("class"), row.pop("protocol")): row for row in rows}
    assert by_key["spleen", "strict"] == {"dice": 0, "jaccard": 0, "hd95": 6, "asd": 6}
    assert by_key["spleen", "published"] == {"dice": 0, "jaccard": 0, "hd95": 3, "asd": 3}
    assert by_key["liver", "strict"] == {"dice": 1, "jaccard": 1, "hd95": 0, "asd": 0}
    assert by_key["tumor", "published"] == dict.fromkeys(NAMES, 0.0)
    assert all(math.isnan(value) for value in by_key["tumor", "strict"].values())


def test_strict_without_spacing_says_what_to_pass():
    with pytest.raises(ValueError, match=r"needs the voxel spacing.*2 here.*get_zooms"):
        scores(FULL, FULL)


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(4, 5\), the reference \(5, 4\).*resample"):
        scores(FULL, FULL.T, (1.0, 1.0))


@pytest.mark.parametrize(
    ("mask", "shown"), [(2 * np.eye(3), r"\[2.0\]"), (0.5 * np.eye(3), r"\[0.5\]"), (np.nan * np.eye(3), r"\[nan\]")]
)
def test_masks_that_are_not_binary_are_refused(mask, shown):
    with pytest.raises(ValueError, match=f"prediction must be binary, but holds {shown}"):
        scores(mask, np.eye(3), (1.0, 1.0))
    with pytest.raises(ValueError, match=f"reference must be binary, but holds {shown}"):
        scores(np.eye(3), mask, (1.0, 1.0))


@pytest.mark.parametrize("protocol", ["strict", "published"])
@pytest.mark.parametrize("spacing", [(1.0,), (1.0, 1.0, 1.0), (1.0, 0.0), (1.0, -2.0), (math.nan, 1.0)])
def test_spacing_must_be_one_positive_number_per_axis(spacing, protocol):
    with pytest.raises(ValueError, match="spacing must be 2 positive numbers"):
        scores(FULL, FULL, spacing, protocol)


def test_an_unknown_protocol_is_refused():
    with pytest.raises(ValueError, match="Unknown protocol 'medpy': choose one of 'strict', 'published'"):
        scores(FULL, FULL, (1.0, 1.0), "medpy")


def test_flat_vectors_are_refused():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        scores(FULL.ravel(), FULL.ravel(), (1.0,))


def test_a_label_map_with_an_unnamed_value_is_refused():
    with pytest.raises(ValueError, match=r"prediction holds the values \[7\].*\{0: 'background', 1: 'heart'\}"):
        case_scores(7 * np.eye(3, dtype=int), np.eye(3, dtype=int), {0: "background", 1: "heart"}, (1.0, 1.0))
