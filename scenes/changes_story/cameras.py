"""Where the pictures are taken from: a hand-held camera that sways before the table, and a second one that stands."""

from __future__ import annotations

import numpy as np
from tabletop_render.cameras import FOV, View, look_at

from changes_story.story import STEPS

AIM = np.array([0.025, 0.02, 0.05])
SWAY_DEGREES = 38.0
SWAYS = 2.0
"""Times the camera goes left and right."""


def moving_views(width: int, height: int, seed: int) -> list[View]:
    """Give the hand-held camera at every step: two sways of 38 degrees to either side, with a tremor."""
    rng = np.random.default_rng(seed)
    tremor = _smooth(rng.normal(size=(STEPS, 4)), 3)
    views = []
    for step in range(STEPS):
        turn = 2 * np.pi * step / (STEPS - 1)
        azimuth = -90.0 + SWAY_DEGREES * np.sin(SWAYS * turn) + 0.5 * tremor[step, 0]
        elevation = 36.0 + 6.0 * np.sin(3.3 * turn + 0.6) + 0.5 * tremor[step, 1]
        distance = 0.98 + 0.05 * np.sin(2.6 * turn + 1.0)
        aim = AIM + 0.006 * np.array([tremor[step, 2], tremor[step, 3], 0.0])
        views.append(view_from(azimuth, elevation, distance, aim, (width, height)))
    return views


def second_view(width: int, height: int) -> View:
    """Give the camera that stands still, to the right of the middle and higher; no picture of it is for training."""
    return view_from(-74.0, 45.0, 1.0, AIM, (width, height))


def view_from(azimuth: float, elevation: float, distance: float, aim: np.ndarray, size: tuple[int, int]) -> View:
    """Give a camera that looks at `aim` (metres) from `distance` metres away; angles in degrees."""
    a, e = np.radians(azimuth), np.radians(elevation)
    eye = aim + distance * np.array([np.cos(a) * np.cos(e), np.sin(a) * np.cos(e), np.sin(e)])
    focal = size[0] / (2 * np.tan(np.radians(FOV) / 2))
    return View(look_at(eye, aim), focal, *size)


def _smooth(noise: np.ndarray, reach: int) -> np.ndarray:
    """Average noise [T, C] over time and bring it back to unit spread."""
    kernel = np.hanning(2 * reach + 3)[1:-1]
    flat = np.stack([np.convolve(column, kernel / kernel.sum(), "same") for column in noise.T], 1)
    return flat / flat.std(axis=0)
