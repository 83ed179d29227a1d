"""Boxes around selected Gaussians, in world units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float

TRIM = (0.02, 0.98)
"""Quantiles that a box reaches to, so that a stray Gaussian does not stretch it."""


@dataclass(frozen=True)
class Box:
    """A box that stands upright: turned about the world's up only."""

    centre: Float[np.ndarray, " 3"]
    axes: Float[np.ndarray, "3 3"]
    """Rows are its own axes as unit vectors in the world; the last is up."""
    size: Float[np.ndarray, " 3"]
    """Along its axes, world units."""

    @property
    def corners(self) -> Float[np.ndarray, "8 3"]:
        """Give its eight corners, world units."""
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        return self.centre + (signs * self.size / 2) @ self.axes

    def data(self) -> dict[str, Any]:
        """Give it as JSON data."""
        return {"centre": self.centre.tolist(), "axes": self.axes.tolist(), "size": self.size.tolist()}


def axis_box(points: Float[np.ndarray, "S 3"]) -> Float[np.ndarray, "2 3"]:
    """Give the lower and upper corner along the world's axes."""
    return np.quantile(points, TRIM, axis=0)


def upright_box(points: Float[np.ndarray, "S 3"], up: Float[np.ndarray, " 3"]) -> Box:
    """Give the box of least ground area that stands upright.

    Args:
        points: at least one, world units.
        up: the world's up, unit length.
    """
    side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    side /= np.linalg.norm(side)
    ahead = np.cross(up, side)
    local = points @ np.stack([side, ahead, up]).T
    low, high = np.quantile(local, TRIM, axis=0)
    kept = local[((local >= low) & (local <= high)).all(axis=1)]
    flat = (kept if len(kept) else local)[:, :2].astype(np.float32)
    (x, y), (width, depth), degrees = cv2.minAreaRect(flat)
    turn = np.radians(degrees)
    first = np.cos(turn) * side + np.sin(turn) * ahead
    axes = np.stack([first, np.cross(up, first), up])
    centre = x * side + y * ahead + (low[2] + high[2]) / 2 * up
    return Box(centre, axes, np.array([width, depth, high[2] - low[2]]))
