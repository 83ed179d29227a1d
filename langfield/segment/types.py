"""What segmentation gives: three id maps per frame and one row per segment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int16, Int32

LEVELS = ("subpart", "part", "whole")


@dataclass(frozen=True)
class Segments:
    """Segments of one frame; a pixel's segment is a row number into the tables, or -1 for none."""

    ids: Int16[np.ndarray, "3 H W"]
    """Row per level (in the order of LEVELS) and pixel, -1 where no mask."""
    boxes: Int32[np.ndarray, "M 4"]
    """x0 y0 x1 y1 in pixels, x1 and y1 exclusive, of the whole mask (also where another covers it)."""
    levels: Int16[np.ndarray, " M"]
    """Index into LEVELS of each row; rows of a level are contiguous."""
    scores: Float32[np.ndarray, " M"]
    """Predicted IoU times stability, 0 to 1."""
