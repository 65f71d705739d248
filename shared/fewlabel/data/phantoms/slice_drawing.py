"""Shapes on the pixels of a slice, and a canvas on which they are painted with soft edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float64]  # one value per pixel of a slice; distances are in millimeters, negative inside


@dataclass(frozen=True)
class Blob:
    """An ellipse with a wavy outline: center and half axes in millimeters, angle in radians."""

    center: tuple[float, float]
    axes: tuple[float, float]
    angle: float = 0.0
    waves: tuple[tuple[float, float], ...] = ()  # amplitude and phase of the harmonics 2, 3, ...

    def distance(self, x: Field, y: Field) -> Field:
        """Distance to the outline, exact for circles and close to it for ellipses."""
        dx = x - self.center[0]
        dy = y - self.center[1]
        u = (np.cos(self.angle) * dx + np.sin(self.angle) * dy) / self.axes[0]
        v = (-np.sin(self.angle) * dx + np.cos(self.angle) * dy) / self.axes[1]
        radius = np.hypot(u, v)
        theta = np.arctan2(v, u)
        outline = np.ones_like(radius)
        for order, (amplitude, phase) in enumerate(self.waves, start=2):
            outline += amplitude * np.cos(order * theta + phase)
        distance: Field = (radius - outline) * np.sqrt(self.axes[0] * self.axes[1])
        return distance


def draw_waves(rng: np.random.Generator, amplitude: float) -> tuple[tuple[float, float], ...]:
    """Draw amplitude and phase of a :class:`Blob`'s waves; the amplitudes are parts of the radius."""
    return tuple((rng.uniform(0, amplitude / order), rng.uniform(0, 2 * np.pi)) for order in (1, 2, 3))


def toward(center: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """Return the point at a length in millimeters and an angle in radians from the center."""
    return center[0] + length * np.cos(angle), center[1] + length * np.sin(angle)


def disk(center: tuple[float, float], radius: float) -> Blob:
    """Return a circle with a radius in millimeters."""
    return Blob(center, (radius, radius))


class Painter:
    """Paints soft-edged regions over each other, as partial volumes are seen."""

    def __init__(self, x: Field, y: Field, level: float, edge: float) -> None:
        self.x = x
        self.y = y
        self.edge = edge
        self.canvas = np.full_like(x, level)

    def region(self, distance: Field, level: float | Field) -> None:
        """Fill the inside of ``distance`` with ``level``."""
        inside = 0.5 * (1 - np.tanh(distance / self.edge))
        self.canvas += inside * (level - self.canvas)
