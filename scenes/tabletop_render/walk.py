"""How a person carries the camera once round the middle of the loop's room: smooth, with a hand's tremble, closed."""

from __future__ import annotations

import numpy as np

from tabletop_render.cameras import View, look_at

FOV = 60.0
"""Horizontal field of view, degrees."""
HEIGHT = 0.44
"""Of the eye above the table, metres."""
REACH = 1.48
"""How far from the room's middle lies what is looked at, metres."""
SWAY_M, SWAY_RAD = 0.006, 0.006
"""Root mean square of the hand's tremble, for each axis."""


def sway(turn: np.ndarray, rng: np.random.Generator, size: float) -> np.ndarray:
    """Give smooth periodic noise with root mean square `size`: 4 to 30 swings a turn, slower ones larger."""
    k = np.arange(4, 31)[:, None]
    amplitude = rng.normal(size=k.shape) * k**-1.5
    wave = (amplitude * np.cos(2 * np.pi * k * turn + rng.uniform(0, 2 * np.pi, k.shape))).sum(0)
    return wave * size / np.sqrt((amplitude**2).sum() / 2)


def walk(count: int, width: int, height: int, seed: int) -> list[View]:
    """Give `count` views once round; the one after the last would be the first again.

    The walker looks outwards at what stands along the walls, sometimes a little ahead, sometimes back, and lower
    where things stand low.
    """
    rng = np.random.default_rng(seed)
    focal = width / (2 * np.tan(np.radians(FOV) / 2))
    turn = np.arange(count) / count
    phi = 2 * np.pi * turn
    radius = 0.72 - 0.10 * np.cos(phi) + 0.04 * np.sin(3 * phi + 1) + sway(turn, rng, SWAY_M)
    z = HEIGHT + 0.05 * np.sin(2 * phi + 0.6) + sway(turn, rng, SWAY_M)
    at = phi + sway(turn, rng, SWAY_M) / 0.72
    gaze = phi + 0.07 * np.sin(3 * phi) + sway(turn, rng, SWAY_RAD)
    aim = 0.10 - 0.16 * np.exp(-((np.angle(np.exp(1j * (phi + np.pi / 2))) / 0.7) ** 2)) + sway(turn, rng, SWAY_RAD)
    roll = sway(turn, rng, SWAY_RAD)
    views = []
    for i in range(count):
        eye = np.array([radius[i] * np.cos(at[i]), radius[i] * np.sin(at[i]), z[i]])
        target = np.array([REACH * np.cos(gaze[i]), REACH * np.sin(gaze[i]), aim[i]])
        views.append(View(look_at(eye, target, roll[i]), focal, width, height))
    return views
