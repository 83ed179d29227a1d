"""Boxes and ellipsoids as tables, and which of them each ray of a camera meets first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

NEAR_M = 0.1
BOX, ELLIPSOID = 0, 1
CORNERS = np.array([(x, y, z) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)


@dataclass(frozen=True)
class Shapes:
    """P boxes and ellipsoids, metres, +z up."""

    form: np.ndarray
    """[P] BOX or ELLIPSOID."""
    centre: np.ndarray
    """[P, 3]."""
    half: np.ndarray
    """[P, 3] half sides or half axes."""
    turn: np.ndarray
    """[P, 2] cosine and sine of the turn round +z."""
    colour: np.ndarray
    """[P, 3] sRGB, 0 to 1."""
    pattern: np.ndarray
    """[P] number of its pattern (`town.paint`)."""
    thing: np.ndarray
    """[P] id of the thing it is a part of, from 1; 0 for the ground."""

    def __len__(self) -> int:
        return len(self.form)

    def __getitem__(self, rows: np.ndarray) -> Shapes:
        return Shapes(*(getattr(self, f.name)[rows] for f in fields(self)))


def joined(tables: Sequence[Shapes]) -> Shapes:
    """Put tables one below the other."""
    return Shapes(*(np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(Shapes)))


@dataclass(frozen=True)
class Hits:
    """What the H x W rays of a picture meet first."""

    shape: np.ndarray
    """[H, W] row of the table; -1 for the ground or nothing."""
    depth: np.ndarray
    """[H, W] along the optical axis, metres; infinite where there is nothing."""
    position: np.ndarray
    """[H, W, 3]."""
    local: np.ndarray
    """[H, W, 3] in the shape's own axes, as shares of its half sides; the position itself on the ground."""
    normal: np.ndarray
    """[H, W, 3] unit."""


def rays(pose: np.ndarray, focal: float, size: tuple[int, int]) -> np.ndarray:
    """Give the rays [H, W, 3] through pixel centres, world axes, one metre along the optical axis each."""
    width, height = size
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (height / 2 - np.arange(height) - 0.5) / focal
    local = np.stack(np.broadcast_arrays(x, y[:, None], -1.0), -1)
    return local @ pose[:3, :3].T


def cast(shapes: Shapes, pose: np.ndarray, focal: float, size: tuple[int, int]) -> Hits:
    """Find what every pixel's centre shows, exactly; the ground is z = 0.

    Every shape is tried on the pixels of its box on the screen, all in one go.

    Args:
        shapes: all that may be seen.
        pose: [4, 4] camera to world, OpenGL axes.
        focal: pixels.
        size: width and height, pixels.
    """
    width, height = size
    directions, eye = rays(pose, focal, size).reshape(-1, 3), pose[:3, 3]
    with np.errstate(divide="ignore"):
        depth = np.where(directions[:, 2] < 0, -eye[2] / directions[:, 2], np.inf)
    first = np.full(width * height, -1)
    shape, pixel = _candidates(shapes, pose, focal, size)
    found = _meet(shapes, shape, eye, directions[pixel])
    hit = found < depth[pixel]
    shape, pixel, found = shape[hit], pixel[hit], found[hit]
    order = np.argsort(-found, kind="stable")  # the nearest is written last and stays
    depth[pixel[order]], first[pixel[order]] = found[order], shape[order]
    position = eye + np.where(np.isfinite(depth), depth, 0.0)[:, None] * directions
    local, normal = _surface(shapes, first, position)
    picture = (height, width)
    return Hits(
        first.reshape(picture), depth.reshape(picture), position.reshape(*picture, 3), local.reshape(*picture, 3),
        normal.reshape(*picture, 3),
    )  # fmt: skip


def _candidates(shapes: Shapes, pose: np.ndarray, focal: float, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Give pairs of shape and pixel, for every pixel in a shape's box on the screen."""
    if not len(shapes):
        return np.zeros(0, int), np.zeros(0, int)
    corners = shapes.centre[:, None] + _turned(CORNERS * shapes.half[:, None], shapes.turn[:, None])
    seen = (corners - pose[:3, 3]) @ pose[:3, :3]
    ahead = -seen[..., 2]
    at = seen[..., :2] * [1, -1] * focal / np.maximum(ahead, NEAR_M)[..., None] + np.array(size) / 2
    crossing = (ahead.min(1) < NEAR_M)[:, None]  # partly behind the camera: may be anywhere
    low = np.where(crossing, 0, np.ceil(at.min(1) - 0.5).clip(0, size)).astype(int)
    high = np.where(crossing, size, np.floor(at.max(1) + 0.5).clip(0, size)).astype(int)
    sides = (high - low).clip(0) * (ahead.max(1) > NEAR_M)[:, None]
    many = sides[:, 0] * sides[:, 1]
    shape = np.repeat(np.arange(len(many)), many)
    place = np.arange(len(shape)) - np.repeat(np.cumsum(many) - many, many)
    row, column = np.divmod(place, np.maximum(sides[shape, 0], 1))
    return shape, (low[shape, 1] + row) * size[0] + low[shape, 0] + column


def _turned(points: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Turn points round +z by cosine and sine."""
    c, s, (x, y, z) = turn[..., 0], turn[..., 1], np.moveaxis(points, -1, 0)
    return np.stack([c * x - s * y, s * x + c * y, z], -1)


def _back(points: np.ndarray, turn: np.ndarray) -> np.ndarray:
    return _turned(points, turn * [1, -1])


def _meet(shapes: Shapes, shape: np.ndarray, eye: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Give how far along each ray its shape begins; infinite where it is missed."""
    start = (_back(eye - shapes.centre, shapes.turn) / shapes.half).T
    c, s = shapes.turn.T
    a, b, h = (1 / shapes.half).T
    (x, y, z), own = np.ascontiguousarray(directions.T), [row[shape] for row in (c * a, s * a, -s * b, c * b, h)]
    along = np.stack([own[0] * x + own[1] * y, own[2] * x + own[3] * y, own[4] * z])  # axes first: sums are over few
    found = np.empty(len(shape))
    box = shapes.form[shape] == BOX
    found[box] = _meet_box(start[:, shape[box]], along[:, box])
    found[~box] = _meet_ball(start[:, shape[~box]], along[:, ~box])
    return found


def _meet_box(start: np.ndarray, along: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        per = 1 / along
        one, other = (-1 - start) * per, (1 - start) * per
    enters, leaves = np.fmin(one, other).max(0), np.fmax(one, other).min(0)
    return np.where((enters <= leaves) & (enters > NEAR_M), enters, np.inf)


def _meet_ball(start: np.ndarray, along: np.ndarray) -> np.ndarray:
    a, b, c = (along**2).sum(0), (start * along).sum(0), (start**2).sum(0) - 1
    inside = b * b - a * c
    enters = (-b - np.sqrt(inside.clip(0))) / a
    return np.where((inside > 0) & (enters > NEAR_M), enters, np.inf)


def _surface(shapes: Shapes, first: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give local coordinates and normals of what was met."""
    local, normal = position.copy(), np.tile([0.0, 0.0, 1.0], (len(first), 1))
    on = first >= 0
    own = shapes[first[on]]
    inside = _back(position[on] - own.centre, own.turn) / own.half
    local[on] = inside
    axis = np.abs(inside).argmax(1)
    flat = np.zeros_like(inside)
    flat[np.arange(len(axis)), axis] = np.sign(inside[np.arange(len(axis)), axis])
    round_ = inside / own.half
    round_ /= np.linalg.norm(round_, axis=1, keepdims=True).clip(1e-12)
    normal[on] = _turned(np.where((own.form == BOX)[:, None], flat, round_), own.turn)
    return local, normal
