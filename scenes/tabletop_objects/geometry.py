"""Meshes as plain arrays: lathes, sweeps, rounded boxes, superballs, and placing them. Lengths in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

TURN = 2.0 * np.pi


@dataclass(frozen=True)
class Mesh:
    """Triangles with optional texture coordinates or colours at their vertices."""

    vertices: np.ndarray
    """[V, 3] float64, metres."""
    faces: np.ndarray
    """[F, 3] int64, counter-clockwise seen from outside."""
    uv: np.ndarray | None = None
    """[V, 2] in the unit square, u to the right and v up."""
    colour: np.ndarray | None = None
    """[V, 3] sRGB in 0..1."""

    def moved(self, offset: tuple[float, float, float]) -> Mesh:
        """Shift by `offset`, metres."""
        return replace(self, vertices=self.vertices + np.asarray(offset))

    def scaled(self, factor: float | tuple[float, float, float]) -> Mesh:
        """Scale about the origin; the factors must be positive."""
        return replace(self, vertices=self.vertices * np.asarray(factor))

    def turned(self, axis: str, degrees: float) -> Mesh:
        """Turn about a coordinate axis ("x", "y" or "z") through the origin."""
        return replace(self, vertices=self.vertices @ rotation(axis, degrees).T)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Give the rotation matrix [3, 3] about a coordinate axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return matrix


def merge(*meshes: Mesh) -> Mesh:
    """Put meshes of one kind (all with or without uv and colour) into one."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    uv = None if meshes[0].uv is None else np.concatenate([m.uv for m in meshes])
    colour = None if meshes[0].colour is None else np.concatenate([m.colour for m in meshes])
    faces = np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)])
    return Mesh(np.concatenate([m.vertices for m in meshes]), faces, uv, colour)


def grid_faces(rows: int, columns: int) -> np.ndarray:
    """Give the triangles [F, 3] of a rows x columns grid of vertices stored row by row."""
    a = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    b, c, d = a + 1, a + columns + 1, a + columns
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])


def smooth_profile(points: list[tuple[float, float]], count: int = 60) -> np.ndarray:
    """Lead a centripetal Catmull-Rom curve through (radius, height) points; radii stay >= 0."""
    p = np.asarray(points, float)
    p = np.concatenate([[2 * p[0] - p[1]], p, [2 * p[-1] - p[-2]]])
    knots = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1) ** 0.5 + 1e-9)])
    out = []
    per = max(2, count // (len(points) - 1))
    for i in range(1, len(p) - 2):
        t = np.linspace(knots[i], knots[i + 1], per, endpoint=False)
        out.append(_catmull(p[i - 1 : i + 3], knots[i - 1 : i + 3], t))
    curve = np.concatenate([*out, p[-2:-1]])
    return np.stack([np.maximum(curve[:, 0], 0.0), curve[:, 1]], 1) if p.shape[1] == 2 else curve


def _catmull(p: np.ndarray, k: np.ndarray, t: np.ndarray) -> np.ndarray:
    def mix(a: np.ndarray, b: np.ndarray, lo: float, hi: float) -> np.ndarray:
        w = ((t - lo) / (hi - lo))[:, None]
        return a * (1 - w) + b * w

    a1, a2, a3 = (mix(p[i], p[i + 1], k[i], k[i + 1]) for i in range(3))
    return mix(mix(a1, a2, k[0], k[2]), mix(a2, a3, k[1], k[3]), k[1], k[2])


def lathe(profile: np.ndarray | list[tuple[float, float]], segments: int = 96) -> Mesh:
    """Turn a profile of (radius, height) about +z, from the bottom up (outside to the right of the path).

    The result is closed when the profile starts and ends on the axis. u runs round, v along the profile.
    """
    p = np.asarray(profile, float)
    angle = np.linspace(0.0, TURN, segments + 1)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    circle[-1] = circle[0]
    xy = p[:, None, :1] * circle[None]
    z = np.repeat(p[:, None, 1:], segments + 1, 1)
    along = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(p, axis=0), axis=1))])
    u, v = np.meshgrid(angle / TURN, along / along[-1])
    faces = drop_slivers(np.concatenate([xy, z], 2).reshape(-1, 3), grid_faces(len(p), segments + 1))
    return Mesh(np.concatenate([xy, z], 2).reshape(-1, 3), faces, np.stack([u.ravel(), v.ravel()], 1))


def drop_slivers(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Leave out triangles without area, such as those at a pole."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    return faces[np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-14]


def tube(path: np.ndarray, radii: np.ndarray | float, sides: int = 20, squash: float = 1.0) -> Mesh:
    """Sweep a circle along a path [K, 3] and close both ends with a cap.

    Args:
        radii: [K] or one number, metres.
        squash: the cross-section's extent along the frame's second axis, relative to the first.
    """
    path = np.asarray(path, float)
    radii = np.broadcast_to(np.asarray(radii, float), len(path))
    first, second = _frames(path)
    angle = np.linspace(0.0, TURN, sides, endpoint=False)
    ring = np.cos(angle)[None, :, None] * first[:, None] + squash * np.sin(angle)[None, :, None] * second[:, None]
    body = path[:, None] + radii[:, None, None] * ring
    body = np.concatenate([body, body[:, :1]], 1)
    ends = np.repeat(path[[0, -1]][:, None], sides + 1, 1)
    rows = np.concatenate([ends[:1], body, ends[1:]])
    vertices = rows.reshape(-1, 3)
    along = np.linspace(0.0, 1.0, len(path))
    u, v = np.meshgrid(np.linspace(0, 1, sides + 1), np.concatenate([[0.0], along, [1.0]]))
    faces = drop_slivers(vertices, grid_faces(len(rows), sides + 1))
    return Mesh(vertices, faces, np.stack([u.ravel(), v.ravel()], 1))


def _frames(path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Carry a frame along a path without twist; gives two unit normals [K, 3] each."""
    tangent = np.gradient(path, axis=0)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    start = np.eye(3)[np.argmin(np.abs(tangent[0]))]
    first = np.empty_like(path)
    for i, t in enumerate(tangent):
        start = start - (start @ t) * t
        start = start / np.linalg.norm(start)
        first[i] = start
    return first, np.cross(tangent, first)


def cube_sphere(n: int = 16, gather: bool = False) -> Mesh:
    """Give the faces of the cube [-1, 1]^3 as six n x n grids; each face's uv is one cell of a 3 x 2 atlas.

    The cells, from the bottom left: +x, -x, +y in the lower row; -y, +z, -z in the upper one.

    Args:
        gather: draw the grid lines towards the edges, where a rounding needs vertices to bend.
    """
    s = np.linspace(-1, 1, n + 1)
    s = np.sign(s) * (1 - (1 - np.abs(s)) ** 2) if gather else s
    b, a = (g.ravel() for g in np.meshgrid(s, s, indexing="ij"))
    one = np.ones_like(a)
    sides = [(one, a, b), (-one, -a, b), (-a, one, b), (a, -one, b), (a, b, one), (a, -b, -one)]
    meshes = []
    for k, side in enumerate(sides):
        cell = np.stack([(k % 3 + (a + 1) / 2) / 3, (k // 3 + (b + 1) / 2) / 2], 1)
        meshes.append(Mesh(np.stack(side, 1), grid_faces(n + 1, n + 1), cell))
    return merge(*meshes)


def rounded_box(size: tuple[float, float, float], radius: float, n: int = 16) -> Mesh:
    """Give a box with rounded edges, centred at the origin; uv as in `cube_sphere`."""
    mesh = cube_sphere(n, gather=True)
    half = np.asarray(size) / 2
    core = np.clip(mesh.vertices * half, -(half - radius), half - radius)
    out = mesh.vertices * half - core
    length = np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12)
    return Mesh(core + radius * out / length, mesh.faces, mesh.uv)


def sphere(radius: float = 1.0, rows: int = 96, columns: int = 192) -> Mesh:
    """Give a sphere with u = longitude and v = latitude, both over the unit interval."""
    t = np.linspace(-np.pi / 2, np.pi / 2, rows + 1)
    profile = radius * np.stack([np.maximum(np.cos(t), 0.0), np.sin(t)], 1)
    profile[[0, -1], 0] = 0.0
    return lathe(profile, columns)


def box_uv(size: tuple[float, float, float]) -> Mesh:
    """Give a sharp box, centred at the origin, with the 3 x 2 atlas of `cube_sphere`."""
    return cube_sphere(1).scaled(tuple(s / 2 for s in size))


def edge_counts(mesh: Mesh, decimals: int = 9) -> np.ndarray:
    """Count the faces on each undirected edge after welding vertices at equal places; closed means all even."""
    _, weld = np.unique(np.round(mesh.vertices, decimals), axis=0, return_inverse=True)
    f = weld.ravel()[mesh.faces]
    edges = np.sort(np.concatenate([f[:, [0, 1]], f[:, [1, 2]], f[:, [2, 0]]]), axis=1)
    edges = edges[edges[:, 0] != edges[:, 1]]
    return np.unique(edges, axis=0, return_counts=True)[1]


def volume(mesh: Mesh) -> float:
    """Give the signed volume in cubic metres; positive where faces look outwards."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)
