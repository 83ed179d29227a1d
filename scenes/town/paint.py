"""What surfaces look like: colours with patterns that follow from place alone, lit by one sun and the sky."""

from __future__ import annotations

import numpy as np

from town.shapes import Hits, Shapes

PLAIN, WINDOWS, STRIPES, SPECKLES = range(4)
SUN = np.array([0.48, 0.3, 0.825])
ROAD_M, PAVEMENT_M = 3.0, 3.8
"""In each cell, what lies nearer to its west or south side than these is road, then pavement."""
ASPHALT, PAVING, GRASS = np.array([[0.30, 0.30, 0.33], [0.62, 0.60, 0.56], [0.36, 0.50, 0.24]])
LINE, SKY = np.array([[0.9, 0.9, 0.85], [0.6, 0.8, 0.95]])


def paint(shapes: Shapes, hits: Hits, cell_m: float) -> np.ndarray:
    """Give the picture, uint8 sRGB [H, W, 3]."""
    on = hits.shape >= 0
    colour = np.empty(hits.position.shape)
    colour[on] = surface(shapes[hits.shape[on]], hits.local[on], hits.position[on])
    colour[~on] = ground(hits.position[~on], cell_m)
    light = 0.55 + 0.55 * (hits.normal @ SUN).clip(0)
    colour = np.where(np.isfinite(hits.depth)[..., None], colour * light[..., None], SKY)
    return (colour.clip(0, 1) * 255).round().astype(np.uint8)


def surface(shapes: Shapes, local: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Give the colour [M, 3] of points on shapes (a row each), before light."""
    colour = shapes.colour * (1 + 0.10 * grain(position, 0.5) + 0.08 * grain(position, 0.17))[:, None]
    along = local * shapes.half
    up_the_wall = (np.abs(local[:, 2]) < 0.999) & (shapes.pattern == WINDOWS)
    across = np.where(np.abs(local[:, 0]) > 0.999, along[:, 1], along[:, 0])
    pane = (np.abs(across % 1.4 - 0.7) < 0.35) & (np.abs((along[:, 2] + shapes.half[:, 2]) % 1.6 - 0.95) < 0.4)
    colour[up_the_wall & pane] = (0.16, 0.22, 0.30)
    bright = (np.floor(along[:, 0] / 0.5 + 1000) % 2 == 0) & (shapes.pattern == STRIPES)
    colour[bright] = 0.35 * colour[bright] + 0.6
    spot = (grain(position, 0.3) > 0.45) & (shapes.pattern == SPECKLES)
    colour[spot] *= 0.7
    return colour


def ground(position: np.ndarray, cell_m: float) -> np.ndarray:
    """Give the colour [M, 3] of places on the ground, before light."""
    inside = position[:, :2] % cell_m
    side = inside.min(1)
    kind = np.where(side < ROAD_M, 0, np.where(side < PAVEMENT_M, 1, 2))
    colour = np.stack([ASPHALT, PAVING, GRASS])[kind]
    along = np.where(inside[:, 0] < inside[:, 1], position[:, 1], position[:, 0])
    crossing = inside.max(1) < ROAD_M
    line = (np.abs(side - ROAD_M / 2) < 0.12) & (along % 2.0 < 1.1) & ~crossing
    colour = np.where(line[:, None], LINE, colour)
    coarse, fine = grain(position, 1.7), grain(position, 0.4)
    return colour * (1 + 0.14 * coarse + 0.12 * fine)[:, None]


def grain(position: np.ndarray, size_m: float) -> np.ndarray:
    """Give a number from -1 to 1 [M] for the little cube of space that each place lies in."""
    cube = np.floor(position / size_m + 0.123).astype(np.int64)
    mixed = (cube[:, 0] * 73856093) ^ (cube[:, 1] * 19349663) ^ (cube[:, 2] * 83492791)
    mixed = (mixed ^ (mixed >> 13)) * 1274126177
    return ((mixed ^ (mixed >> 16)) & 0xFFFF) / 32767.5 - 1
