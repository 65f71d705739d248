"""A heart drawn from random numbers: short-axis-like volumes whose pose, shape and contrast vary strongly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from fewlabel.data.phantoms.heart_surroundings import Surroundings, TissueLevels
from fewlabel.data.phantoms.slice_drawing import Blob, Field, Painter, disk, draw_waves, toward

LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}
RIGHT_VENTRICLE = 1
MYOCARDIUM = 2
LEFT_VENTRICLE = 3


@dataclass(frozen=True)
class PhantomCase:
    """One synthetic scan: ``image`` int16 and ``label`` uint8 ``(X, Y, Z)``, ``spacing`` in millimeters."""

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    spacing: tuple[float, float, float]


class _Heart:
    """The two ventricles of one case; ``t`` runs from the base (0) to the apex (1)."""

    def __init__(self, rng: np.random.Generator, center: tuple[float, float], angle: float) -> None:
        self.center = center
        self.angle = angle  # radians; the direction of the right ventricle
        self.radius = rng.uniform(13.0, 20.0)  # mm, of the left ventricle's cavity at the base
        self.wall = rng.uniform(7.5, 11.0)  # mm
        self.oval = rng.uniform(0.88, 1.14)
        self.oval_angle = rng.uniform(0, np.pi)
        self.waves = draw_waves(rng, 0.06)
        self.wall_bulge = rng.uniform(0, 0.25)
        self.bulge_angle = rng.uniform(0, 2 * np.pi)
        self.taper = rng.uniform(1.6, 3.5)  # a small exponent is a cone, a large one a barrel
        self.tilt_angle = rng.uniform(0, 2 * np.pi)
        self.tilt = rng.uniform(0, 10.0)  # mm from base to apex
        self.rv_depth = rng.uniform(0.65, 1.15)  # half axis away from the septum, in epicardial radii
        self.rv_width = rng.uniform(0.8, 1.35)  # half axis along the septum: wide is a crescent, narrow a D
        self.rv_offset = rng.uniform(0.75, 1.15)
        self.rv_skew = rng.uniform(-0.4, 0.4)
        self.rv_end = rng.uniform(0.8, 1.0)
        self.rv_waves = draw_waves(rng, 0.08)

    def _shrink(self, t: float) -> float:
        return float((1 - np.clip(0.97 * t, 0, 1) ** self.taper) ** (1 / self.taper))

    def distances(self, x: Field, y: Field, t: float) -> tuple[Field, Field, Field]:
        """Distances to the endocardium, the epicardium and the right ventricle's cavity of the slice at ``t``."""
        center = toward(self.center, self.tilt_angle, self.tilt * t)
        radius = max(self.radius * self._shrink(t), 1e-3)
        axes = (radius * self.oval, radius / self.oval)
        cavity = Blob(center, axes, self.oval_angle, self.waves).distance(x, y)
        theta = np.arctan2(y - center[1], x - center[0])
        wall = self.wall * (1 - 0.25 * t) * (1 + self.wall_bulge * np.cos(theta - self.bulge_angle))
        epicardium = cavity - wall
        outer = radius + self.wall * (1 - 0.25 * t)
        size = outer * float(np.sqrt(max(1 - (max(t, 0.0) / self.rv_end) ** 2, 1e-6))) * (1.15 - 0.15 * t)
        pool = Blob(
            toward(center, self.angle, outer - size + self.rv_offset * size),
            (max(size * self.rv_depth, 1e-3), max(size * self.rv_width, 1e-3)),
            self.angle + self.rv_skew,
            self.rv_waves,
        ).distance(x, y)
        return cavity, epicardium, np.maximum(pool, -epicardium)


def _slice(
    rng: np.random.Generator, heart: _Heart, levels: TissueLevels, canvas: Painter, t: float
) -> NDArray[np.uint8]:
    """Paint the heart at depth ``t`` and return its labels; beyond base and apex there is nothing to label."""
    label = np.zeros(canvas.x.shape, np.uint8)
    if t > 1:
        return label
    cavity, epicardium, pool = heart.distances(canvas.x, canvas.y, t)
    if t < 0:  # the atria: blood as bright as below, without the muscle around it
        canvas.region(cavity - 0.5 * heart.wall, levels.lv)
        canvas.region(pool + 3, levels.rv)
        return label
    canvas.region(pool - 2.0, levels.myocardium)  # the thin free wall, which nobody labels
    canvas.region(pool, levels.rv)
    canvas.region(epicardium, levels.myocardium)
    canvas.region(cavity, levels.lv)
    for _ in range(rng.integers(0, 4)):  # papillary muscles count as blood
        place = toward(heart.center, rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.75) * heart.radius)
        muscle = disk(place, rng.uniform(1.5, 3.2)).distance(canvas.x, canvas.y)
        canvas.region(np.maximum(muscle, cavity + 1), levels.myocardium)
    label[pool < 0] = RIGHT_VENTRICLE
    label[epicardium < 0] = MYOCARDIUM
    label[cavity < 0] = LEFT_VENTRICLE
    return label


def _acquire(rng: np.random.Generator, scene: Field) -> NDArray[np.int16]:
    """Turn ideal brightness ``(X, Y, Z)`` into a magnitude image: texture, gamma, coil bias, blur and Rician noise."""
    grain = gaussian_filter(rng.standard_normal(scene.shape), (1.5, 1.5, 0.3))
    scene = np.clip(scene * (1 + rng.uniform(0.02, 0.06) * grain / grain.std()), 0, None) ** rng.uniform(0.8, 1.25)
    u, v = np.meshgrid(*(np.linspace(-1, 1, n) for n in scene.shape[:2]), indexing="ij")
    a, b, c, d, e = rng.uniform(-1, 1, 5)
    bias = np.exp(rng.uniform(0, 0.3) * (a * u + b * v + 0.6 * (c * u * u + d * v * v + e * u * v)))
    scene = gaussian_filter(scene * bias[..., None], (*(rng.uniform(0.3, 0.9),) * 2, 0))
    sigma = rng.uniform(0.008, 0.03)
    noisy = np.hypot(scene + sigma * rng.standard_normal(scene.shape), sigma * rng.standard_normal(scene.shape))
    return np.rint(noisy * rng.uniform(200, 1500)).astype(np.int16)


def cardiac_case(rng: np.random.Generator) -> PhantomCase:
    """Draw one short-axis-like scan with right ventricle 1, myocardium 2 and left ventricle 3.

    Args:
        rng: The only source of randomness.

    Returns:
        A volume of 96 to 128 pixels squared and 6 to 10 slices, base first, about 1.6 x 1.6 x 8 mm.

    """
    nx, ny = (int(n) for n in 8 * rng.integers(12, 17, 2))
    nz = int(rng.integers(6, 11))
    pixel = round(float(rng.uniform(1.45, 1.75)), 3)
    spacing = (pixel, pixel, round(float(rng.uniform(7, 10)), 2))
    grid = [(np.arange(n) - (n - 1) / 2) * pixel for n in (nx, ny)]
    reach = [max(float(axis[-1]) - 66.0, 8.0) for axis in grid]
    center = (rng.uniform(-reach[0], reach[0]), rng.uniform(-reach[1], reach[1]))
    heart = _Heart(rng, center, rng.uniform(0, 2 * np.pi))
    levels = TissueLevels.draw(rng)
    surroundings = Surroundings(rng, heart.center, heart.angle, levels)
    shift = rng.uniform(0, 2.0)

    scene = np.zeros((nx, ny, nz))
    label = np.zeros((nx, ny, nz), np.uint8)
    for k, t in enumerate(np.linspace(rng.uniform(-0.06, 0.1), rng.uniform(0.88, 1.06), nz)):
        dx, dy = np.clip(rng.normal(0, shift, 2), -4, 4)  # breath-holds differ from slice to slice
        x, y = np.meshgrid(grid[0] - dx, grid[1] - dy, indexing="ij")
        canvas = Painter(x, y, level=0.02, edge=0.6 * pixel)
        surroundings.paint(canvas, float(t))
        label[..., k] = _slice(rng, heart, levels, canvas, float(t))
        scene[..., k] = canvas.canvas
    return PhantomCase(_acquire(rng, scene), label, spacing)
