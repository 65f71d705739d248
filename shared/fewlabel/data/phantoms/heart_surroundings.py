"""The organs around a drawn heart, and distractors that resemble it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fewlabel.data.phantoms.slice_drawing import Blob, Painter, disk, draw_waves, toward

Range = tuple[float, float]

# Lengths in millimeters, angles in radians from the direction of the chest's front, brightness from 0 to 1.
FRONT_SPREAD = 0.6  # between the chest's front and the direction of the right ventricle, standard deviation
DIRECTION_SPREAD = 0.25  # of each organ, standard deviation
CHEST_DISTANCE = (0.0, 25.0)  # from the heart, as all distances
CHEST_WIDTH = (75.0, 120.0)  # half axis, as all lengths and widths
CHEST_DEPTH = (65.0, 95.0)
CHEST_WAVES = 0.06  # part of the radius
ORGAN_WAVES = 0.12
BOWEL_WAVES = 0.2
LUNG_DIRECTIONS = (1.9, -1.4)
LUNG_DISTANCE = (65.0, 90.0)
LUNG_LENGTH = (28.0, 48.0)
LUNG_WIDTH = (22.0, 38.0)
LUNG_TAPER = 12.0  # times the growth, from base to apex
LIVER_DIRECTION = 0.8
LIVER_DISTANCE = (60.0, 90.0)
LIVER_LENGTH = (25.0, 45.0)
LIVER_WIDTH = (20.0, 32.0)
LIVER_RISE = 25.0  # from base to apex
SPINE_DISTANCE = (70.0, 90.0)
SPINE_RADIUS = (10.0, 15.0)
SPINE_TO_FAT = 0.6  # brightness, as the other ratios
VESSEL_TURN = 0.5  # from the back
VESSEL_DISTANCE = (50.0, 68.0)
VESSEL_RADIUS = (6.0, 10.0)
VESSEL_WALL = 1.5
VESSEL_WALL_TO_TISSUE = 0.5
VESSEL_BRIGHTNESS = (0.8, 1.1)  # times the left ventricle's, as the two below
RING_DIRECTIONS = (1.3, 2.6)
RING_DISTANCE = (58.0, 78.0)
RING_RADIUS = (5.0, 9.0)
RING_WALL = (3.0, 5.0)
RING_BRIGHTNESS = (0.7, 1.1)
BOWEL_DIRECTION = -0.9
BOWEL_DISTANCE = (60.0, 82.0)
BOWEL_LENGTH = (9.0, 18.0)
BOWEL_WIDTH = (7.0, 11.0)
BOWEL_BRIGHTNESS = (0.6, 1.1)
FAT_WIDTH = (4.0, 14.0)
SKIN = 2.0  # inside the chest's outline, to which nothing else reaches
GROWTH = 0.3  # largest change of size from base to apex


@dataclass(frozen=True)
class TissueLevels:
    """Brightness of the tissues, 0 to 1, before gamma, bias and noise."""

    lv: float
    rv: float
    myocardium: float
    tissue: float
    fat: float
    lung: float
    liver: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> TissueLevels:
        """Draw the brightness of one case's tissues."""
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


class Surroundings:
    """Chest, lungs, liver and spine, and distractors: a bright vessel, and a ring without a right ventricle.

    Everything is drawn once per case.

    Args:
        rng: the source of randomness.
        heart: the heart's center in millimeters.
        angle: direction of the right ventricle in radians.
        levels: brightness of the tissues.
    """

    def __init__(
        self, rng: np.random.Generator, heart: tuple[float, float], angle: float, levels: TissueLevels
    ) -> None:
        self.levels = levels
        self._rng = rng
        self._heart = heart
        self._front = angle + rng.normal(0, FRONT_SPREAD)
        chest_center = self._place(np.pi, CHEST_DISTANCE)
        chest_axes = (rng.uniform(*CHEST_WIDTH), rng.uniform(*CHEST_DEPTH))
        self.chest = Blob(chest_center, chest_axes, self._front, draw_waves(rng, CHEST_WAVES))
        self.lungs = [
            self._organ(side, LUNG_DISTANCE, LUNG_LENGTH, LUNG_WIDTH, ORGAN_WAVES) for side in LUNG_DIRECTIONS
        ]
        self.liver = self._organ(LIVER_DIRECTION, LIVER_DISTANCE, LIVER_LENGTH, LIVER_WIDTH, ORGAN_WAVES)
        self.spine = disk(self._place(np.pi, SPINE_DISTANCE), rng.uniform(*SPINE_RADIUS))
        # as bright as the ventricles
        self.vessel = self._place(np.pi + VESSEL_TURN, VESSEL_DISTANCE)
        self.vessel_radius = rng.uniform(*VESSEL_RADIUS)
        # a cavity in muscle, which lacks only its right ventricle
        self.ring = self._place(rng.uniform(*RING_DIRECTIONS), RING_DISTANCE)
        self.ring_radius = rng.uniform(*RING_RADIUS)
        self.ring_wall = rng.uniform(*RING_WALL)
        self.bowel = self._organ(BOWEL_DIRECTION, BOWEL_DISTANCE, BOWEL_LENGTH, BOWEL_WIDTH, BOWEL_WAVES)
        self.bowel_level = levels.lv * rng.uniform(*BOWEL_BRIGHTNESS)
        self.ring_level = rng.uniform(*RING_BRIGHTNESS)
        self.vessel_level = rng.uniform(*VESSEL_BRIGHTNESS)
        self.fat_width = rng.uniform(*FAT_WIDTH)
        # three of the five are used; to draw fewer would change every phantom
        growth = rng.uniform(-GROWTH, GROWTH, 5)
        self.lung_growth = growth[:2]
        self.ring_growth = growth[3]

    def paint(self, canvas: Painter, t: float) -> None:
        """Paint all of it into the slice at depth ``t``."""
        body = self.chest.distance(canvas.x, canvas.y)
        inner = body + self.fat_width  # distance to the inner side of the fat
        canvas.region(body, self.levels.fat)
        canvas.region(inner, self.levels.tissue)
        for lung, growth in zip(self.lungs, self.lung_growth, strict=True):
            narrowed = lung.distance(canvas.x, canvas.y) + LUNG_TAPER * growth * t
            canvas.region(np.maximum(narrowed, inner), self.levels.lung)
        liver = self.liver.distance(canvas.x, canvas.y) - LIVER_RISE * (t - 0.5)
        canvas.region(np.maximum(liver, inner), self.levels.liver)
        for blob, level in self._small_parts(t):
            canvas.region(np.maximum(blob.distance(canvas.x, canvas.y), body + SKIN), level)

    def _small_parts(self, t: float) -> list[tuple[Blob, float]]:
        """Disks and ellipses inside the chest with their brightness, in the order of painting."""
        levels = self.levels
        ring_radius = self.ring_radius * (1 + self.ring_growth * (t - 0.5))
        return [
            (self.spine, SPINE_TO_FAT * levels.fat),
            (self.bowel, self.bowel_level),
            (disk(self.vessel, self.vessel_radius + VESSEL_WALL), levels.tissue * VESSEL_WALL_TO_TISSUE),
            (disk(self.vessel, self.vessel_radius), self.vessel_level * levels.lv),
            (disk(self.ring, ring_radius + self.ring_wall), 0.5 * (levels.myocardium + levels.tissue)),
            (disk(self.ring, ring_radius), self.ring_level * levels.lv),
        ]

    def _place(self, direction: float, distance: Range) -> tuple[float, float]:
        """Draw a point in about this direction from the heart."""
        angle = self._front + direction + self._rng.normal(0, DIRECTION_SPREAD)
        return toward(self._heart, angle, self._rng.uniform(*distance))

    def _organ(
        self,
        direction: float,
        distance: Range,
        length: Range,
        width: Range,
        waves: float,
    ) -> Blob:
        """Draw an ellipse of any orientation."""
        center = self._place(direction, distance)
        axes = (self._rng.uniform(*length), self._rng.uniform(*width))
        angle = self._rng.uniform(0, np.pi)
        return Blob(center, axes, angle, draw_waves(self._rng, waves))
