"""Where the photos are taken from: a drone that goes to and fro over the town and looks obliquely down."""

from __future__ import annotations

import numpy as np
from tabletop_render.cameras import View, look_at

from town.plan import CELL_M

STEP_M = 5.0
"""From one photo to the next, and from one lane to the next: every place is seen from about twenty."""
FOV = 60.0
"""Horizontal field of view, degrees."""
HEIGHT_M, PITCH = (9.0, 11.0), (40.0, 47.0)


def lanes(photos: int) -> int:
    """Give the number of lanes, and of photos in each, of the square that so many photos cover."""
    return int(np.ceil(np.sqrt(photos)))


def cells_across(photos: int) -> int:
    """Give how many cells along each side so many photos cover."""
    return int(np.ceil(lanes(photos) * STEP_M / CELL_M))


def view(index: int, photos: int, size: tuple[int, int], seed: int) -> View:
    """Give the camera of one photo; it depends on nothing but these numbers.

    Args:
        index: number of the photo.
        photos: how many there are in all.
        size: width and height, pixels.
        seed: of the drone's sway.
    """
    across = lanes(photos)
    lane, place = divmod(index, across)
    along = place if lane % 2 == 0 else across - 1 - place
    rng = np.random.default_rng((seed, 1, index))
    heading = np.radians(90.0 * ((along + 2 * lane + lane // 2) % 4) + rng.uniform(-25, 25))
    pitch = np.radians(rng.uniform(*PITCH))
    eye = np.array([(along + 0.5) * STEP_M, (lane + 0.5) * STEP_M, rng.uniform(*HEIGHT_M)])
    eye[:2] += rng.uniform(-0.8, 0.8, 2)
    ahead = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), -np.sin(pitch)])
    focal = size[0] / (2 * np.tan(np.radians(FOV) / 2))
    return View(look_at(eye, eye + ahead, np.radians(rng.uniform(-3, 3))), focal, *size)
