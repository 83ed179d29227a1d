"""Depth at single pixels from points whose place in the world is known."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float

from langfield.capture import read_capture
from langfield.capture.points import read_ply_points
from langfield.capture.types import Camera
from langfield.errors import FormatError

NEAREST = 1e-3
HIDDEN = 0.1
"""A point that lies farther than its neighbours in the picture by more than this share is taken to be hidden."""
CROWD = 6.0
"""Points that a neighbourhood holds on average."""
MAX_REACH_PX = 24
FAR = np.float32(1e30)


def read_world_points(path: Path) -> Float[np.ndarray, "P 3"]:
    """Read points: of a PLY, or those of a posed capture (COLMAP's, or beside transforms.json).

    Args:
        path: the file, or the capture's folder.

    Raises:
        FormatError: it is damaged, or holds no point.
    """
    points = read_ply_points(path) if path.suffix.lower() == ".ply" else read_capture(path).points
    if not len(points.xyz):
        raise FormatError("no points there", path, "give a PLY, or a folder with COLMAP's or a named point file")
    return points.xyz.double().numpy()


def seen_depth(points: Float[np.ndarray, "P 3"], camera: Camera) -> Float[np.ndarray, "H W"]:
    """Give the depth of points a camera sees, at their pixels: float32 along z, world units, 0 elsewhere.

    Of points at one pixel the nearest counts. Points do not hide one another unless they fall on one pixel, so one is
    left out as well that lies clearly behind others around it: there are about six in reach.

    Args:
        points: world units.
        camera: without distortion.
    """
    T = np.linalg.inv(camera.T_world_camera.double().cpu().numpy())
    local = points @ T[:3, :3].T + T[:3, 3]
    local = local[local[:, 2] > NEAREST]
    K, z = camera.K.double().cpu().numpy(), local[:, 2]
    pixel = np.floor(local[:, :2] / z[:, None] * [K[0, 0], K[1, 1]] + K[:2, 2])
    inside = ((pixel >= 0) & (pixel < [camera.width, camera.height])).all(1)
    nearest = np.full((camera.height, camera.width), np.inf, np.float32)
    column, row = pixel[inside].astype(np.int64).T
    np.minimum.at(nearest, (row, column), z[inside].astype(np.float32))
    known = np.isfinite(nearest)
    around = cv2.erode(np.where(known, nearest, FAR), _window(known))
    return np.where(known & (nearest < (1 + HIDDEN) * around), nearest, np.float32(0))


def _window(known: np.ndarray) -> np.ndarray:
    """Give a square that holds so many pixels that `CROWD` of them have a point, on average."""
    side = (CROWD * known.size / max(int(known.sum()), 1)) ** 0.5
    reach = int(min(max(side / 2, 1), MAX_REACH_PX))
    return np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
