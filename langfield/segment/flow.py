"""How pixels move between two pictures, and how far masks of one cover masks of the other (OpenCV's DIS flow)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int16, Int64, UInt8

SLACK_PX = 1.5
"""A pixel that does not come back to within this, or a tenth of its way, was covered or uncovered."""


@dataclass(frozen=True)
class Moved:
    """Where the pixels of one picture are in another."""

    x: Int64[np.ndarray, "h w"]
    y: Int64[np.ndarray, "h w"]
    """Nearest pixel, inside the picture."""
    sure: Bool[np.ndarray, "h w"]
    """The pixel lies inside the other picture, and its way back ends where it began."""


def move(here: UInt8[np.ndarray, "h w"], there: UInt8[np.ndarray, "h w"]) -> Moved:
    """Give where each pixel of a gray picture is in another of the same size."""
    finder = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flat = np.zeros((*here.shape, 2), np.float32)
    way = np.asarray(finder.calc(here, there, flat.copy()))
    back = np.asarray(finder.calc(there, here, flat.copy()))
    height, width = here.shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = x + way[..., 0], y + way[..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    to_x, to_y = (np.rint(v).clip(0, size - 1).astype(np.int64) for v, size in ((x, width), (y, height)))
    missed = np.linalg.norm(way + back[to_y, to_x], axis=2)
    return Moved(to_x, to_y, inside & (missed <= np.maximum(SLACK_PX, 0.1 * np.linalg.norm(way, axis=2))))


def shared_pixels(
    here: Int16[np.ndarray, "L P"], there: Int16[np.ndarray, "L P"], sizes: tuple[int, int]
) -> Int64[np.ndarray, "A B"]:
    """Count pixels that lie in a segment of one id map and in a segment of the other, over all pairs of levels.

    Args:
        here: segments of pixels, -1 where none; those of a level are no other level's.
        there: the same of the places these pixels are matched with.
        sizes: number A and B of segments.
    """
    a, b = sizes
    counts = np.zeros(a * b, np.int64)
    for one in here:
        for other in there:
            both = (one >= 0) & (other >= 0)
            counts += np.bincount(one[both].astype(np.int64) * b + other[both], minlength=a * b)
    return counts.reshape(a, b)


def pixels_of(ids: Int16[np.ndarray, "L P"], size: int) -> Int64[np.ndarray, " M"]:
    """Count the pixels of each segment."""
    return sum((np.bincount(level[level >= 0], minlength=size) for level in ids), np.zeros(size, np.int64))


def overlap_moved(
    here: Int16[np.ndarray, "L h w"], there: Int16[np.ndarray, "L h w"], moved: Moved, sizes: tuple[int, int]
) -> Float[np.ndarray, "A B"]:
    """Give the intersection over union of segments of two pictures, over the pixels whose way is sure."""
    sure = moved.sure
    a, b = here[:, sure], there[:, moved.y[sure], moved.x[sure]]
    shared = shared_pixels(a, b, sizes)
    union = pixels_of(a, sizes[0])[:, None] + pixels_of(b, sizes[1]) - shared
    return shared / np.maximum(union, 1)
