"""Where the pictures are taken from: one turn round the table at three heights, seeded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RINGS = (
    # distance from the aim in metres, elevation in degrees, how far the aim wanders in metres
    (1.24, 26.0, 0.03),
    (1.26, 50.0, 0.03),
    (1.16, 38.0, 0.04),
    (0.88, 33.0, 0.12),
)
"""Low, high, middle and close; the frames go through them in turn."""
FOV = 55.0
"""Horizontal field of view of every frame, in degrees."""


@dataclass(frozen=True)
class View:
    """A pinhole camera without distortion, its principal point in the middle."""

    pose: np.ndarray
    """[4, 4] camera to world, OpenGL axes (x right, y up, z back), metres."""
    focal: float
    """Pixels, the same along x and y."""
    width: int
    height: int

    @property
    def fov_degrees(self) -> float:
        """Horizontal field of view."""
        return float(np.degrees(2 * np.arctan(self.width / (2 * self.focal))))


def look_at(eye: np.ndarray, target: np.ndarray, roll: float = 0.0) -> np.ndarray:
    """Give a pose [4, 4], OpenGL axes, that looks from `eye` at `target` with +z up, rolled by `roll` radians."""
    back = (eye - target) / np.linalg.norm(eye - target)
    right = np.cross([0.0, 0.0, 1.0], back)
    right /= np.linalg.norm(right)
    up = np.cross(back, right)
    c, s = np.cos(roll), np.sin(roll)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([c * right + s * up, c * up - s * right, back, eye], 1)
    return pose


def ring_views(count: int, width: int, height: int, seed: int) -> list[View]:
    """Give `count` views in order of azimuth; any third, fourth or fifth of them goes evenly round the table.

    All share one focal length, as one lens would.
    """
    rng = np.random.default_rng(seed)
    focal = width / (2 * np.tan(np.radians(FOV) / 2))
    views = []
    for i in range(count):
        distance, elevation, wander = RINGS[i % len(RINGS)]
        azimuth = np.radians(360.0 * (i + rng.uniform(-0.3, 0.3)) / count - 90.0)
        tilt = np.radians(elevation + rng.uniform(-2.5, 2.5))
        toward = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
        aim = np.array([*rng.uniform(-wander, wander, 2), 0.05 + rng.uniform(-0.02, 0.02)])
        aim[:2] += (0.18 if wander > 0.1 else 0.06) * toward[:2]  # what is near fills more of the picture
        away = np.cos(tilt) * toward + np.array([0, 0, np.sin(tilt)])
        eye = aim + distance * rng.uniform(0.96, 1.04) * away
        views.append(View(look_at(eye, aim, np.radians(rng.uniform(-2, 2))), focal, width, height))
    return views
