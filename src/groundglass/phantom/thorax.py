"""The outer form of the chest: skin, fat, muscle, the inside of the rib cage, the lung tops and the diaphragm.

Body millimetres: x to the patient's right, y to the front, z to the head. z = 0 is about the lowest lung recess and
z = 275 the lung tops; y = 0 lies midway between back and breastbone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from groundglass.phantom.shapes import Keyed, angles, offset, superellipse

Points = NDArray[np.float64]
Plane = NDArray[np.float32]

# z, half width, front, back: outline of the skin
SKIN = Keyed(
    [
        (-260, 172, 112, 112),
        (-120, 166, 112, 114),
        (0, 166, 116, 117),
        (60, 169, 122, 119),
        (128, 172, 119, 119),
        (168, 174, 111, 119),
        (188, 178, 105, 119),
        (208, 184, 98, 118),
        (228, 194, 89, 114),
        (248, 203, 77, 108),
        (268, 206, 64, 106),
        (288, 196, 58, 107),
        (320, 170, 56, 104),
    ]
)
# z, half width, front, back: inside of the rib cage
CAVITY = Keyed(
    [
        (-260, 143, 84, 70),
        (-60, 143, 88, 84),
        (0, 141, 93, 89),
        (60, 139, 98, 94),
        (88, 137, 96, 95),
        (128, 134, 92, 95),
        (168, 128, 84, 93),
        (188, 123, 78, 90),
        (208, 116, 70, 84),
        (228, 105, 58, 77),
        (248, 90, 40, 67),
        (262, 74, 24, 58),
        (276, 54, 8, 48),
        (320, 40, -4, 40),
    ]
)
# z, y of the middle of the vertebral body
SPINE_Y = Keyed(
    [
        (-260, -46),
        (-60, -52),
        (0, -57),
        (60, -57),
        (128, -55),
        (168, -51),
        (208, -49),
        (228, -42),
        (248, -31),
        (268, -22),
        (290, -13),
        (320, -6),
    ]
)
THETA = angles(144)


@dataclass(frozen=True, slots=True)
class Build:
    """How one synthetic patient differs from the next.

    Attributes:
        right_dome: height of the right half of the diaphragm, millimetres.
        left_dome: height of the left half, millimetres.
        fat: thickness of the fat under the skin, millimetres.
        heart: size of the heart relative to the average.
        ripple: phases of small undulations, radians.
    """

    right_dome: float
    left_dome: float
    fat: float
    heart: float
    ripple: tuple[float, float, float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Build:
        """A build drawn at random."""
        phases = rng.uniform(0, 2 * np.pi, 4)
        return cls(
            right_dome=98.0 + rng.uniform(-6, 6),
            left_dome=84.0 + rng.uniform(-6, 6),
            fat=13.0 + rng.uniform(-3, 5),
            heart=1.0 + rng.uniform(-0.06, 0.06),
            ripple=(float(phases[0]), float(phases[1]), float(phases[2]), float(phases[3])),
        )


def skin_outline(z: float, build: Build) -> Points:
    """Outline (144, 2) of the body at height z, with the furrow of the back and the flat of the breastbone."""
    half_width, front, back = SKIN(z)
    points = superellipse(THETA, half_width, front, back, (2.35, 2.7))
    middle = np.exp(-((points[:, 0] / 26) ** 2))
    chest = np.exp(-(((z - 195) / 55) ** 2))
    pectoral = 9 * chest * np.exp(-(((np.abs(points[:, 0]) - 78) / 45) ** 2))
    front_side = points[:, 1] > 0
    points[:, 1] += np.where(front_side, pectoral - 7 * chest * middle, 7 * middle)
    neck = np.clip((z - 262) / 30, 0, 1)
    points[:, 1] += np.where(front_side, neck * 26 * np.exp(-((points[:, 0] / 52) ** 2)), 0)
    swing = build.ripple
    points *= 1 + 0.012 * np.sin(2 * THETA + swing[0])[:, None] + 0.006 * np.sin(3 * THETA + swing[1])[:, None]
    return points


def fat_inset(z: float, build: Build) -> NDArray[np.float64]:
    """Thickness (144,) of the fat under the skin: thin at the back, thick at the flanks and below the breast."""
    sine = np.sin(THETA)
    flank = 1.0 + 0.45 * np.exp(-(((z - 10) / 70) ** 2))
    thickness = build.fat * flank * (0.75 + 0.35 * np.abs(np.cos(THETA)) + 0.22 * sine)
    return np.asarray(thickness * (1 + 0.12 * np.sin(5 * THETA + build.ripple[2])))


def cavity_outline(z: float, build: Build) -> Points:
    """Outline (144, 2) of the inside of the rib cage at height z; the right side is a little wider."""
    half_width, front, back = CAVITY(z)
    points = superellipse(THETA, half_width, front, back, (2.25, 2.45))
    points[:, 0] *= np.where(points[:, 0] > 0, 1.02, 0.98)
    # The intercostal spaces bulge a little between the ribs, which descend towards the front.
    height = z + 0.55 * points[:, 1]
    return offset(points, 1.1 * np.sin(2 * np.pi * height / 26 + build.ripple[3]))


@dataclass(frozen=True, slots=True, eq=False)
class LungSurfaces:
    """Heights of the diaphragm and of the lung tops above every point of the axial plane, (ny, nx) millimetres."""

    diaphragm: Plane
    top: Plane
    fissure: Plane

    @classmethod
    def over(cls, x: NDArray[np.float32], y: NDArray[np.float32], build: Build) -> LungSurfaces:
        """The surfaces above a grid of positions x (nx,), y (ny,)."""
        across, along = np.meshgrid(x.astype(np.float64), y.astype(np.float64))
        ripple = 1.6 * np.sin(across / 19 + build.ripple[0]) * np.sin(along / 24 + build.ripple[1])
        right = _dome(across - 68, along - 8, build.right_dome)
        left = _dome(-across - 70, along - 2, build.left_dome)
        side = np.clip(across / 30 + 0.5, 0, 1)
        diaphragm = right * side + left * (1 - side) + ripple
        top = np.maximum(_cap(across - 52, along + 27, 273.0), _cap(-across - 50, along + 29, 277.0))
        slope = np.where(across > 0, 0.95, 1.05)
        bend = 10 * np.sin(along / 40 + build.ripple[2]) + 0.0014 * (np.abs(across) - 70) ** 2
        fissure = 128 - slope * (along + 2) + bend
        return cls(diaphragm.astype(np.float32), top.astype(np.float32), fissure.astype(np.float32))


def _dome(across: NDArray[np.float64], along: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Height of one half of the diaphragm; `across` grows from the dome's middle to the flank, `along` to the front."""
    lateral, medial = np.maximum(across, 0) / 66, np.maximum(-across, 0) / 70
    front, back = np.maximum(along - 8, 0) / 80, np.maximum(8 - along, 0) / 104
    return top - 62 * lateral**2.7 - 24 * medial**2 - 42 * front**2.3 - 96 * back**2.0


def _cap(across: NDArray[np.float64], along: NDArray[np.float64], top: float) -> NDArray[np.float64]:
    """Height of one lung top: rounded to the sides and the back, sloping down to the front under the first rib."""
    inside = 1 - np.abs(across / 70) ** 2.2 - (np.maximum(-along, 0) / 64) ** 2.2
    slope = 0.46 * (np.sqrt(np.maximum(along, 0) ** 2 + 100) - 10)
    return np.asarray(top - 75 + 75 * np.sqrt(np.maximum(inside, 0)) - slope)
