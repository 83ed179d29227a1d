"""Soft shapes from signed distances: blended balls and capsules, and the surface net that meshes them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tabletop_objects.geometry import Mesh

Field = Callable[[np.ndarray], np.ndarray]
"""Takes points [..., 3], gives distances [...], negative inside; metres."""


def ball(centre: tuple[float, float, float], radii: float | tuple[float, float, float]) -> Field:
    """Give a ball or (approximately measured) ellipsoid."""
    c, r = np.asarray(centre, float), np.broadcast_to(np.asarray(radii, float), 3)
    return lambda p: (np.linalg.norm((p - c) / r, axis=-1) - 1.0) * r.min()


def capsule(a: tuple[float, float, float], b: tuple[float, float, float], radius: float) -> Field:
    """Give a capsule from a to b."""
    start, along = np.asarray(a, float), np.asarray(b, float) - np.asarray(a, float)

    def distance(p: np.ndarray) -> np.ndarray:
        t = np.clip((p - start) @ along / (along @ along), 0.0, 1.0)
        return np.linalg.norm(p - start - t[..., None] * along, axis=-1) - radius

    return distance


def blend(width: float, *fields: Field) -> Field:
    """Unite fields, rounding the seams over `width` metres (polynomial smooth minimum)."""

    def distance(p: np.ndarray) -> np.ndarray:
        d = fields[0](p)
        for field in fields[1:]:
            e = field(p)
            h = np.clip(0.5 + 0.5 * (e - d) / width, 0.0, 1.0)
            d = e * (1 - h) + d * h - width * h * (1 - h)
        return d

    return distance


def surface(field: Field, low: tuple[float, float, float], high: tuple[float, float, float], step: float) -> Mesh:
    """Mesh the zero level of a field inside a box by a surface net (one vertex in each crossed cell).

    The box must contain the shape with a margin; the mesh is then closed.
    """
    axes = [np.arange(a, b + step, step) for a, b in zip(low, high, strict=True)]
    value = field(np.stack(np.meshgrid(*axes, indexing="ij"), -1))
    inside = value < 0
    cell, vertices = _cell_vertices(value, inside)
    faces = np.concatenate([_quads(inside, cell, axis) for axis in range(3)])
    return Mesh(np.asarray(low) + step * vertices, faces)


def _cell_vertices(value: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give each crossed cell's number (or -1) and its vertex, the mean of the edge crossings, in grid units."""
    shape = tuple(s - 1 for s in value.shape)
    total, count = np.zeros((*shape, 3)), np.zeros(shape)
    base = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).astype(float)
    for axis in range(3):
        for j in (0, 1):
            for k in (0, 1):
                a = np.zeros(3, int)
                a[(axis + 1) % 3], a[(axis + 2) % 3] = j, k
                b = a.copy()
                b[axis] = 1
                va, vb = _corner(value, a, shape), _corner(value, b, shape)
                crossed = _corner(inside, a, shape) != _corner(inside, b, shape)
                t = np.where(crossed, va / np.where(crossed, va - vb, 1.0), 0.0)
                place = base + a + t[..., None] * (b - a)
                total += np.where(crossed[..., None], place, 0.0)
                count += crossed
    used = count > 0
    number = np.full(shape, -1)
    number[used] = np.arange(used.sum())
    return number, total[used] / count[used][:, None]


def _corner(a: np.ndarray, offset: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    return a[tuple(slice(o, o + n) for o, n in zip(offset, shape, strict=True))]


def _quads(inside: np.ndarray, cell: np.ndarray, axis: int) -> np.ndarray:
    """Give the triangles across grid edges along `axis` that the surface crosses."""
    j, k = (axis + 1) % 3, (axis + 2) % 3
    low = np.take(inside, range(inside.shape[axis] - 1), axis)
    high = np.take(inside, range(1, inside.shape[axis]), axis)
    at = np.argwhere(low != high)
    at = at[(at[:, j] > 0) & (at[:, k] > 0) & (at[:, j] < cell.shape[j]) & (at[:, k] < cell.shape[k])]
    out = low[tuple(at.T)]
    corners = []
    for dj, dk in ((0, 0), (1, 0), (1, 1), (0, 1)):
        c = at.copy()
        c[:, j] -= dj
        c[:, k] -= dk
        corners.append(cell[tuple(c.T)])
    a, b, c, d = corners
    front = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
    return np.where(np.concatenate([out, out])[:, None], front, front[:, ::-1])
