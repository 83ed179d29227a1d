"""A scene as a picture with its masks and boxes: signed distances in plain numpy, soft edges, about 0.3 ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Int8, UInt8

from langfield.suite.toy.scenes import SIDE_PX, Scene, Thing
from langfield.suite.toy.words import COLOURS

Grid = Float[np.ndarray, "h w"]
STRIPE_PX, DOT_PX = 4.0, 5.0
DARKER = 0.45  # of the colour, what stripes and dots are drawn in


@dataclass(frozen=True)
class Drawn:
    """A scene as pixels."""

    picture: UInt8[np.ndarray, "64 64 3"]
    ids: Int8[np.ndarray, "64 64"]
    """Index of the thing that a pixel shows, -1 for the floor."""


def draw(scene: Scene) -> Drawn:
    """Draw a scene."""
    picture = floor(scene.seed)
    ids = np.full((SIDE_PX, SIDE_PX), -1, np.int8)
    for index, thing in enumerate(scene.things):
        reach = thing.radius + 2
        rows = slice(max(0, int(thing.y - reach)), int(thing.y + reach) + 1)
        columns = slice(max(0, int(thing.x - reach)), int(thing.x + reach) + 1)
        part = picture[rows, columns]
        y = np.arange(rows.start, rows.start + part.shape[0], dtype=np.float32)[:, None] + 0.5 - thing.y
        x = np.arange(columns.start, columns.start + part.shape[1], dtype=np.float32)[None, :] + 0.5 - thing.x
        distance = SHAPES[thing.shape](x, y, thing.radius)
        cover = np.clip(0.5 - distance, 0, 1)[..., None]
        part += cover * (_paint(thing, x, y) - part)
        ids[rows, columns][distance < 0] = index
    return Drawn(np.rint(picture).astype(np.uint8), ids)


def boxes(drawn: Drawn, count: int) -> Int[np.ndarray, "count 4"]:
    """Give the box of every thing: left, top, right, bottom in pixels, the last two exclusive."""
    found = np.zeros((count, 4), np.int64)
    for index in range(count):
        y, x = np.nonzero(drawn.ids == index)
        found[index] = x.min(), y.min(), x.max() + 1, y.max() + 1
    return found


def floor(seed: int) -> Float[np.ndarray, "64 64 3"]:
    """Give a floor: a dull colour, a slope of light and some noise, none of which any caption mentions."""
    rng = np.random.default_rng([seed, 2])
    base = 128 + 40 * (2 * rng.random(3) - 1)
    slope = 24 * (2 * rng.random(2) - 1)
    along = np.linspace(-1, 1, SIDE_PX, dtype=np.float32)
    light = slope[0] * along[:, None] + slope[1] * along[None, :]
    noise = rng.standard_normal((SIDE_PX, SIDE_PX), np.float32) * 5
    return (base.astype(np.float32) + (light + noise).astype(np.float32)[..., None]).clip(0, 255)


def _paint(thing: Thing, x: Grid, y: Grid) -> Float[np.ndarray, "h w 3"] | Float[np.ndarray, " 3"]:
    colour = np.asarray(COLOURS[thing.colour], np.float32)
    if thing.texture == "plain":
        return colour
    if thing.texture == "striped":
        dark = np.mod(x + y, 2 * STRIPE_PX) < STRIPE_PX
    else:
        u, v = np.mod(x, DOT_PX) - DOT_PX / 2, np.mod(y, DOT_PX) - DOT_PX / 2
        dark = u * u + v * v < (0.33 * DOT_PX) ** 2
    second = colour * DARKER if colour.max() > 60 else colour + 120  # black gets grey
    return np.where(dark[..., None], second, colour)


def _square(x: Grid, y: Grid, r: float) -> Grid:
    return np.maximum(abs(x), abs(y)) - 0.85 * r


def _circle(x: Grid, y: Grid, r: float) -> Grid:
    return np.hypot(x, y) - r


def _triangle(x: Grid, y: Grid, r: float) -> Grid:
    return np.maximum(y - 0.75 * r, abs(x) * 0.89 - (y + r) * 0.45)


def _cross(x: Grid, y: Grid, r: float) -> Grid:
    arm = 0.34 * r
    return np.minimum(np.maximum(abs(x) - arm, abs(y) - r), np.maximum(abs(y) - arm, abs(x) - r))


def _ring(x: Grid, y: Grid, r: float) -> Grid:
    return abs(np.hypot(x, y) - 0.75 * r) - 0.25 * r


def _diamond(x: Grid, y: Grid, r: float) -> Grid:
    return (abs(x) * 1.5 + abs(y) - r) * 0.7


def _star(x: Grid, y: Grid, r: float) -> Grid:
    angle = np.arctan2(x, -y)
    return np.hypot(x, y) - r * (0.68 + 0.32 * np.cos(5 * angle))


def _bar(x: Grid, y: Grid, r: float) -> Grid:
    return np.maximum(abs(x) - r, abs(y) - 0.35 * r)


def _heart(x: Grid, y: Grid, r: float) -> Grid:
    lobes = np.hypot(abs(x) - 0.45 * r, y + 0.3 * r) - 0.52 * r
    point = np.maximum((abs(x) + y) * 0.71 - 0.67 * r, -0.3 * r - y)
    return np.minimum(lobes, point)


def _moon(x: Grid, y: Grid, r: float) -> Grid:
    return np.maximum(np.hypot(x, y) - r, 0.8 * r - np.hypot(x - 0.55 * r, y))


SHAPES: dict[str, Callable[[Grid, Grid, float], Grid]] = {
    "square": _square, "circle": _circle, "triangle": _triangle, "cross": _cross, "ring": _ring,
    "diamond": _diamond, "star": _star, "bar": _bar, "heart": _heart, "moon": _moon,
}  # fmt: skip
