"""Depth at some pixels to depth of a surface: as smooth as it can be, except where the picture has edges.

Inverse depth of a plane is linear in the picture, so that is what is spread: the solution of a membrane pinned at the
known pixels, whose stiffness between neighbours falls with their difference in colour (Levin et al. 2004 spread
colours so).
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, UInt8
from scipy import sparse
from scipy.sparse.linalg import spsolve

SIDE_PX = 160
"""Longer side of the grid that is solved on."""
EDGE = 0.04
"""Difference of colour, 0 to 1, that softens the membrane to 1/e."""
SOFT = 0.01
"""Stiffness that is left across the strongest edge."""
PIN = 10.0
"""Stiffness with which a known pixel holds the membrane."""
REACH = 0.2
"""Pixels farther from every known one than this share of the picture's width stay unknown."""


def spread_depth(depth: Float[np.ndarray, "H W"], image: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "H W"]:
    """Give depth wherever a known one is not far: float32 along z, world units, 0 where unknown.

    Known pixels keep what they have.

    Args:
        depth: world units, 0 where unknown.
        image: the picture that it belongs to.
    """
    height, width = depth.shape
    known = depth > 0
    if not known.any():
        return np.zeros_like(depth, dtype=np.float32)
    share = min(1.0, SIDE_PX / max(height, width))
    size = (max(1, round(width * share)), max(1, round(height * share)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    q = cv2.resize(_solved(*_gathered(depth, size), small), (width, height), interpolation=cv2.INTER_LINEAR)
    far = cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, 5) > REACH * width
    found = np.where(far, 0, 1 / np.maximum(q, 1e-9)).astype(np.float32)
    return np.where(known, depth, found).astype(np.float32)


def _gathered(
    depth: Float[np.ndarray, "H W"], size: tuple[int, int]
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "h w"]]:
    """Give mean inverse depth of the known pixels of each cell of a coarser grid, and how many those are."""
    row, column = np.nonzero(depth > 0)
    cell = (row * size[1] // depth.shape[0]) * size[0] + column * size[0] // depth.shape[1]
    many = np.bincount(cell, minlength=size[0] * size[1]).astype(float)
    total = np.bincount(cell, 1 / depth[row, column].astype(float), minlength=len(many))
    mean = np.divide(total, many, out=np.zeros_like(total), where=many > 0)
    return mean.reshape(size[::-1]), many.reshape(size[::-1])


def _solved(
    q: Float[np.ndarray, "h w"], many: Float[np.ndarray, "h w"], image: UInt8[np.ndarray, "h w 3"]
) -> Float[np.ndarray, "h w"]:
    """Give the inverse depth of the membrane."""
    number = np.arange(q.size).reshape(q.shape)
    colour = image.astype(float) / 255
    a = np.concatenate([number[:, :-1].ravel(), number[:-1].ravel()])
    b = np.concatenate([number[:, 1:].ravel(), number[1:].ravel()])
    flat = colour.reshape(-1, 3)
    stiff = SOFT + np.exp(-np.abs(flat[a] - flat[b]).max(1) / EDGE)
    pinned = PIN * np.minimum(many.ravel(), 1)
    diagonal = pinned + np.bincount(a, stiff, q.size) + np.bincount(b, stiff, q.size) + 1e-9
    entries = np.concatenate([diagonal, -stiff, -stiff])
    places = (np.concatenate([number.ravel(), a, b]), np.concatenate([number.ravel(), b, a]))
    system = sparse.csc_matrix((entries, places), shape=(q.size, q.size))
    return np.asarray(spsolve(system, pinned * q.ravel())).reshape(q.shape)
