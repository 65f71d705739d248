"""A heart drawn from random numbers: short-axis-like volumes whose pose, shape and contrast vary strongly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Field = NDArray[np.float64]  # one value per pixel of a slice; distances are in millimeters, negative inside

LABELS = {"background": 0, "right ventricle": 1, "myocardium": 2, "left ventricle": 3}
RIGHT_VENTRICLE, MYOCARDIUM, LEFT_VENTRICLE = 1, 2, 3


@dataclass(frozen=True)
class PhantomCase:
    """One synthetic scan: ``image`` int16 and ``label`` uint8 ``(X, Y, Z)``, ``spacing`` in millimeters."""

    image: NDArray[np.int16]
    label: NDArray[np.uint8]
    spacing: tuple[float, float, float]


@dataclass(frozen=True)
class _Blob:
    """An ellipse with a wavy outline: center and half axes in millimeters, angle in radians."""

    center: tuple[float, float]
    axes: tuple[float, float]
    angle: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()  # amplitude and phase of the harmonics 2, 3, ...

    def distance(self, x: Field, y: Field) -> Field:
        """Distance to the outline, exact for circles and close to it for ellipses."""
        dx, dy = x - self.center[0], y - self.center[1]
        u = (np.cos(self.angle) * dx + np.sin(self.angle) * dy) / self.axes[0]
        v = (-np.sin(self.angle) * dx + np.cos(self.angle) * dy) / self.axes[1]
        radius, theta = np.hypot(u, v), np.arctan2(v, u)
        outline = np.ones_like(radius)
        for order, (amplitude, phase) in enumerate(self.waves, start=2):
            outline += amplitude * np.cos(order * theta + phase)
        distance: Field = (radius - outline) * np.sqrt(self.axes[0] * self.axes[1])
        return distance


def _waves(rng: np.random.Generator, amplitude: float) -> tuple[tuple[float, float], ...]:
    return tuple((rng.uniform(0, amplitude / order), rng.uniform(0, 2 * np.pi)) for order in (1, 2, 3))


def _toward(center: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    return center[0] + length * np.cos(angle), center[1] + length * np.sin(angle)


class _Heart:
    """The two ventricles of one case; ``t`` runs from the base (0) to the apex (1)."""

    def __init__(self, rng: np.random.Generator, center: tuple[float, float], angle: float) -> None:
        self.center, self.angle = center, angle  # the right ventricle lies in the direction `angle`
        self.radius = rng.uniform(13.0, 20.0)
        self.wall = rng.uniform(7.5, 11.0)
        self.oval = rng.uniform(0.88, 1.14)
        self.oval_angle = rng.uniform(0, np.pi)
        self.waves = _waves(rng, 0.06)
        self.wall_bulge, self.bulge_angle = rng.uniform(0, 0.25), rng.uniform(0, 2 * np.pi)
        self.taper = rng.uniform(1.6, 3.5)  # a small exponent is a cone, a large one a barrel
        self.tilt_angle, self.tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0, 10.0)
        self.rv_depth = rng.uniform(0.65, 1.15)  # half axis away from the septum, in epicardial radii
        self.rv_width = rng.uniform(0.8, 1.35)  # half axis along the septum: wide is a crescent, narrow a D
        self.rv_offset = rng.uniform(0.75, 1.15)
        self.rv_skew = rng.uniform(-0.4, 0.4)
        self.rv_end = rng.uniform(0.8, 1.0)
        self.rv_waves = _waves(rng, 0.08)

    def _shrink(self, t: float) -> float:
        return float((1 - np.clip(0.97 * t, 0, 1) ** self.taper) ** (1 / self.taper))

    def distances(self, x: Field, y: Field, t: float) -> tuple[Field, Field, Field]:
        """Distances to the endocardium, the epicardium and the right ventricle's cavity of the slice at ``t``."""
        center = _toward(self.center, self.tilt_angle, self.tilt * t)
        radius = max(self.radius * self._shrink(t), 1e-3)
        axes = (radius * self.oval, radius / self.oval)
        cavity = _Blob(center, axes, self.oval_angle, self.waves).distance(x, y)
        theta = np.arctan2(y - center[1], x - center[0])
        wall = self.wall * (1 - 0.25 * t) * (1 + self.wall_bulge * np.cos(theta - self.bulge_angle))
        epicardium = cavity - wall
        outer = radius + self.wall * (1 - 0.25 * t)
        size = outer * float(np.sqrt(max(1 - (max(t, 0.0) / self.rv_end) ** 2, 1e-6))) * (1.15 - 0.15 * t)
        pool = _Blob(
            _toward(center, self.angle, outer - size + self.rv_offset * size),
            (max(size * self.rv_depth, 1e-3), max(size * self.rv_width, 1e-3)),
            self.angle + self.rv_skew,
            self.rv_waves,
        ).distance(x, y)
        return cavity, epicardium, np.maximum(pool, -epicardium)


class _Painter:
    """Paints soft-edged regions over each other, as partial volumes are seen."""

    def __init__(self, x: Field, y: Field, level: float, edge: float) -> None:
        self.x, self.y, self.edge = x, y, edge
        self.canvas = np.full_like(x, level)

    def region(self, distance: Field, level: float | Field) -> None:
        """Fill the inside of ``distance`` with ``level``."""
        inside = 0.5 * (1 - np.tanh(distance / self.edge))
        self.canvas += inside * (level - self.canvas)


@dataclass(frozen=True)
class _Levels:
    """Brightness of the tissues, 0 to 1, before gamma, bias and noise."""

    lv: float
    rv: float
    myocardium: float
    tissue: float
    fat: float
    lung: float
    liver: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> _Levels:
        blood = rng.uniform(0.75, 1.0)
        return cls(
            lv=blood,
            rv=blood * rng.uniform(0.87, 1.08),
            myocardium=blood * rng.uniform(0.2, 0.42),
            tissue=rng.uniform(0.32, 0.5),
            fat=rng.uniform(0.5, 0.9),
            lung=rng.uniform(0.0, 0.15),
            liver=rng.uniform(0.2, 0.6),
        )


def _surroundings(rng: np.random.Generator, heart: _Heart, levels: _Levels) -> Callable[[_Painter, float], None]:
    """Draw what is not the heart once, and return the function that paints it into a slice."""
    center, front = heart.center, heart.angle + rng.normal(0, 0.6)

    def place(angle: float, low: float, high: float) -> tuple[float, float]:
        return _toward(center, front + angle + rng.normal(0, 0.25), rng.uniform(low, high))

    chest = _Blob(place(np.pi, 0, 25), (rng.uniform(75, 120), rng.uniform(65, 95)), front, _waves(rng, 0.06))
    lungs = [
        _Blob(place(side, 65, 90), (rng.uniform(28, 48), rng.uniform(22, 38)), rng.uniform(0, np.pi), _waves(rng, 0.12))
        for side in (1.9, -1.4)
    ]
    liver = _Blob(
        place(0.8, 60, 90), (rng.uniform(25, 45), rng.uniform(20, 32)), rng.uniform(0, np.pi), _waves(rng, 0.12)
    )
    spine = _Blob(place(np.pi, 70, 90), (rng.uniform(10, 15),) * 2)
    # Distractors: a vessel as bright as the ventricles, and a ring that lacks only its right ventricle.
    vessel, vessel_size = place(np.pi + 0.5, 50, 68), rng.uniform(6, 10)
    ring, ring_size, ring_wall = place(rng.uniform(1.3, 2.6), 58, 78), rng.uniform(5, 9), rng.uniform(3, 5)
    ring_muscle = 0.5 * (levels.myocardium + levels.tissue)
    bowel = _Blob(
        place(-0.9, 60, 82), (rng.uniform(9, 18), rng.uniform(7, 11)), rng.uniform(0, np.pi), _waves(rng, 0.2)
    )
    bowel_level, ring_level, vessel_level = (
        levels.lv * rng.uniform(0.6, 1.1),
        rng.uniform(0.7, 1.1),
        rng.uniform(0.8, 1.1),
    )
    fat_width = rng.uniform(4, 14)
    grow = rng.uniform(-0.3, 0.3, 5)

    def paint(canvas: _Painter, t: float) -> None:
        body = chest.distance(canvas.x, canvas.y)
        canvas.region(body, levels.fat)
        canvas.region(body + fat_width, levels.tissue)
        for lung, g in zip(lungs, grow, strict=False):
            canvas.region(np.maximum(lung.distance(canvas.x, canvas.y) + 12 * g * t, body + fat_width), levels.lung)
        canvas.region(np.maximum(liver.distance(canvas.x, canvas.y) - 25 * (t - 0.5), body + fat_width), levels.liver)
        size = ring_size * (1 + grow[3] * (t - 0.5))
        for blob, level in (
            (spine, 0.6 * levels.fat),
            (bowel, bowel_level),
            (_Blob(vessel, (vessel_size + 1.5,) * 2), levels.tissue * 0.5),
            (_Blob(vessel, (vessel_size,) * 2), vessel_level * levels.lv),
            (_Blob(ring, (size + ring_wall,) * 2), ring_muscle),
            (_Blob(ring, (size,) * 2), ring_level * levels.lv),
        ):
            canvas.region(np.maximum(blob.distance(canvas.x, canvas.y), body + 2), level)

    return paint


def _slice(rng: np.random.Generator, heart: _Heart, levels: _Levels, canvas: _Painter, t: float) -> NDArray[np.uint8]:
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
        place = _toward(heart.center, rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.75) * heart.radius)
        muscle = _Blob(place, (rng.uniform(1.5, 3.2),) * 2).distance(canvas.x, canvas.y)
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
    levels = _Levels.draw(rng)
    surroundings = _surroundings(rng, heart, levels)
    shift = rng.uniform(0, 2.0)

    scene, label = np.zeros((nx, ny, nz)), np.zeros((nx, ny, nz), np.uint8)
    for k, t in enumerate(np.linspace(rng.uniform(-0.06, 0.1), rng.uniform(0.88, 1.06), nz)):
        dx, dy = np.clip(rng.normal(0, shift, 2), -4, 4)  # breath-holds differ from slice to slice
        x, y = np.meshgrid(grid[0] - dx, grid[1] - dy, indexing="ij")
        canvas = _Painter(x, y, level=0.02, edge=0.6 * pixel)
        surroundings(canvas, float(t))
        label[..., k] = _slice(rng, heart, levels, canvas, float(t))
        scene[..., k] = canvas.canvas
    return PhantomCase(_acquire(rng, scene), label, spacing)
