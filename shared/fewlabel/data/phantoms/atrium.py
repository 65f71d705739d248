"""A left atrium drawn from random numbers: volumes whose pose, shape, veins and contrast vary strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from fewlabel.data.phantoms.heart import PhantomCase

Field = NDArray[np.float64]  # one value per voxel; distances are in millimeters, negative inside
Points = NDArray[np.float64]  # (X, Y, Z, 3), millimeters

LABELS = {"background": 0, "left atrium": 1}
# where veins leave the body, as seen from its center: left and right, upper and lower, all toward the back
_OSTIA = ((-1.0, 0.65, 0.5), (-1.0, 0.65, -0.45), (1.0, 0.6, 0.5), (1.0, 0.6, -0.45))


@dataclass(frozen=True)
class _Blob:
    """An ellipsoid with a bumpy surface: half axes in millimeters, ``turn`` a rotation matrix."""

    center: NDArray[np.float64]
    axes: NDArray[np.float64]
    turn: NDArray[np.float64]
    bumps: tuple[tuple[NDArray[np.float64], float, float], ...] = ()  # direction, amplitude and phase of each wave

    def distance(self, points: Points) -> Field:
        """Distance to the surface, exact for spheres and close to it for ellipsoids."""
        local = (points - self.center) @ self.turn / self.axes
        radius = np.linalg.norm(local, axis=-1)
        surface = np.ones_like(radius)
        for direction, amplitude, phase in self.bumps:
            surface += amplitude * np.cos(local @ direction / np.maximum(radius, 1e-6) + phase)
        distance: Field = (radius - surface) * float(np.prod(self.axes) ** (1 / 3))
        return distance


def _bumps(
    rng: np.random.Generator, number: int, amplitude: float
) -> tuple[tuple[NDArray[np.float64], float, float], ...]:
    return tuple((rng.normal(0, 2.2, 3), rng.uniform(0, amplitude), rng.uniform(0, 2 * np.pi)) for _ in range(number))


def _ellipsoid(
    rng: np.random.Generator, center: NDArray[np.float64], low: tuple[float, ...], high: tuple[float, ...]
) -> _Blob:
    turn = Rotation.random(random_state=rng.integers(2**31)).as_matrix()
    return _Blob(center, rng.uniform(low, high), turn, _bumps(rng, 2, 0.06))


def _tube(points: Points, start: NDArray[np.float64], way: NDArray[np.float64], radius: float, bend: Field) -> Field:
    """Distance to a tube that leaves ``start`` along ``way`` and is bent aside, and never goes backward."""
    along = (points - start) @ way
    aside = points - start - along[..., None] * way - (np.clip(along, 0, None) ** 2)[..., None] * bend
    distance: Field = np.maximum(np.linalg.norm(aside, axis=-1) - radius, -along)
    return distance


class _Atrium:
    """The left atrium of one case: a body, veins of which the first part is labeled, and the plane of its valve."""

    def __init__(self, rng: np.random.Generator, center: NDArray[np.float64]) -> None:
        pose = Rotation.from_euler("zxy", rng.uniform([-180, -25, -25], [180, 25, 25]), degrees=True).as_matrix()
        self.center = center
        self.pose = pose
        self.body = _Blob(
            center, rng.uniform((18, 13, 15), (28, 20, 24)), pose, _bumps(rng, 5, rng.uniform(0.03, 0.12))
        )
        self.veins = []
        for ostium in _OSTIA:
            if rng.random() < 0.06:  # two veins of one side often share an ostium
                continue
            way = pose @ (np.asarray(ostium) + rng.normal(0, 0.22, 3))
            self.veins.append((way / np.linalg.norm(way), rng.uniform(3.2, 6.0), rng.normal(0, 0.004, 3)))
        self.stub = rng.uniform(4, 9)  # millimeters of a vein that belong to the atrium
        self.valve = pose @ (np.array([0.25, -1.0, -0.35]) + rng.normal(0, 0.15, 3))
        self.valve /= np.linalg.norm(self.valve)
        self.valve_at = rng.uniform(8, 13)

    def distances(self, points: Points) -> tuple[Field, Field, Field]:
        """Distances to the labeled atrium, to its veins as far as they reach, and to the valve's plane."""
        body = self.body.distance(points)
        plane = (points - self.center) @ self.valve - self.valve_at
        veins = np.full_like(body, np.inf)
        for way, radius, bend in self.veins:
            veins = np.minimum(veins, _tube(points, self.center + 6 * way, way, radius, bend))
        atrium = np.maximum(np.minimum(body, np.maximum(veins, body - self.stub)), plane)
        return atrium, veins, plane


@dataclass(frozen=True)
class _Levels:
    """Brightness of the tissues, 0 to 1, before gamma, bias and noise."""

    blood: float
    tissue: float
    wall: float
    lung: float
    bone: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Levels:
        blood = rng.uniform(0.55, 0.85)
        tissue = blood * rng.uniform(0.42, 0.72)
        return cls(blood, tissue, tissue * rng.uniform(0.5, 1.5), rng.uniform(0.03, 0.15), rng.uniform(0.3, 0.7))


def _scene(rng: np.random.Generator, atrium: _Atrium, points: Points, edge: float) -> tuple[Field, Field]:
    """Paint one case; return its brightness and the distance to the labeled atrium."""
    levels = _Levels.draw(rng)
    labeled, veins, plane = atrium.distances(points)
    scene = np.full(points.shape[:3], levels.tissue)

    def region(distance: Field, level: float) -> None:
        inside = 0.5 * (1 - np.tanh(distance / edge))  # soft, as partial volumes are seen
        scene[...] += inside * (level - scene)

    def beside(way: tuple[float, float, float], low: float, high: float) -> NDArray[np.float64]:
        toward = atrium.pose @ (np.asarray(way) + rng.normal(0, 0.15, 3))
        place: NDArray[np.float64] = atrium.center + toward / np.linalg.norm(toward) * rng.uniform(low, high)
        return place

    for side in (-1.0, 1.0):
        lung = _ellipsoid(rng, beside((side, 0.3, 0.1), 62, 78), (26, 26, 34), (38, 38, 48))
        region(lung.distance(points), levels.lung)
    spine = _ellipsoid(rng, beside((0.3, 1.0, 0.0), 48, 56), (12, 12, 18), (16, 16, 40))
    region(spine.distance(points), levels.bone)
    # Blood as bright as the atrium's, which is not the atrium: the right atrium, two aortas, and the left ventricle.
    right = _ellipsoid(rng, beside((0.75, -0.75, 0.1), 40, 48), (14, 14, 14), (21, 21, 21)).distance(points)
    up = atrium.pose @ np.array([0.0, 0.0, 1.0])
    ascending, descending = beside((0.35, -1.0, 0.3), 38, 46), beside((-0.35, 1.0, 0.0), 33, 40)
    ascending_aorta = np.linalg.norm(np.cross(points - ascending, up), axis=-1) - rng.uniform(9, 13)
    descending_aorta = np.linalg.norm(np.cross(points - descending, up), axis=-1) - rng.uniform(7, 10)
    ventricle = _Blob(
        atrium.center + atrium.valve * (atrium.valve_at + rng.uniform(19, 26)),
        rng.uniform((18, 18, 18), (26, 26, 26)),
        np.eye(3),
    ).distance(points)
    thick = rng.uniform(1.5, 3.0)
    away = labeled + np.where(plane > 0, 0.0, -thick)  # neighbors keep a wall's width away
    for vessel in (right, ascending_aorta, descending_aorta):
        region(np.maximum(vessel, -away) - 1.5, levels.wall)
        region(np.maximum(vessel, -away), levels.blood * rng.uniform(0.9, 1.1))
    body = atrium.body.distance(points)
    region(np.minimum(body, veins) - thick, levels.wall)
    region(np.maximum(ventricle, -plane), levels.blood)
    region(np.minimum(body, np.maximum(veins, body - 40)), levels.blood)
    return scene, labeled


def _acquire(rng: np.random.Generator, scene: Field) -> NDArray[np.int16]:
    """Turn ideal brightness into a magnitude image: texture, gamma, coil bias, blur and Rician noise."""
    grain = gaussian_filter(rng.standard_normal(scene.shape), 1.2)
    scene = np.clip(scene * (1 + rng.uniform(0.03, 0.08) * grain / grain.std()), 0, None) ** rng.uniform(0.8, 1.25)
    u, v, w = np.meshgrid(*(np.linspace(-1, 1, n) for n in scene.shape), indexing="ij")
    a, b, c, d, e, f = rng.uniform(-1, 1, 6)
    bias = np.exp(rng.uniform(0, 0.35) * (a * u + b * v + c * w + 0.6 * (d * u * v + e * v * w + f * u * u)))
    scene = gaussian_filter(scene * bias, rng.uniform(0.3, 0.8))
    sigma = rng.uniform(0.02, 0.05)
    noisy = np.hypot(scene + sigma * rng.standard_normal(scene.shape), sigma * rng.standard_normal(scene.shape))
    return np.rint(noisy * rng.uniform(150, 900)).astype(np.int16)


def atrium_case(rng: np.random.Generator) -> PhantomCase:
    """Draw one scan with left atrium 1: body, the first millimeters of its veins, up to the plane of the valve.

    Args:
        rng: The only source of randomness.

    Returns:
        A volume of 56 to 72 voxels squared and 36 to 44 slices of 2.0 to 2.4 mm, equal along all axes.

    """
    shape = (*(int(n) for n in 8 * rng.integers(7, 10, 2)), int(4 * rng.integers(9, 12)))
    spacing = round(float(rng.uniform(2.0, 2.4)), 3)
    axes = [(np.arange(n) - (n - 1) / 2) * spacing for n in shape]
    reach = [max(float(axis[-1]) - room, 0.0) for axis, room in zip(axes, (44, 44, 36), strict=True)]
    atrium = _Atrium(rng, rng.uniform(-1, 1, 3) * reach)
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    scene, distance = _scene(rng, atrium, points, edge=0.6 * spacing)
    return PhantomCase(_acquire(rng, scene), (distance < 0).astype(np.uint8), (spacing,) * 3)
