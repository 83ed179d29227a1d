"""`lerf-ovs-2d`, version 1. LangSplat's 2D protocol: where the relevancy peaks, and how well its mask covers the thing.

As published (arXiv 2312.16084, Section 4; eval/evaluate_iou_loc.py). Localisation: every level after a 30 × 30 mean
filter, the level whose filtered map is highest, its highest pixel inside any of the label's boxes (edges included).
Segmentation: half raw, half filtered; the level where that is highest; stretched, cut at 0.4, smoothed; IoU with all
of the label's polygons. Ours: labels find their frame by name, not by position; among equal pixels the innermost of the
plateau is taken, where the published code counts a hit if any of those that rounding left equal lies in a box.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from langfield.evaluate.labels import OfQuery, Query, draw_mask
from langfield.evaluate.types import Look
from langfield.query.image import cut_mask, find_peak, mean_filter
from langfield.segment.types import LEVELS

METRICS = ("localisation", "mIoU")


@dataclass(frozen=True)
class Score(OfQuery):
    """One query's result."""

    hit: bool
    peak_px: tuple[int, int]
    peak_score: float
    """Filtered relevancy at the peak."""
    level: int
    """Level the peak was found at."""
    iou: float
    mask_level: int
    """Level the mask was cut from."""
    mask: Bool[np.ndarray, "H W"]
    relevancy: Float32[np.ndarray, "H W"]
    """Unfiltered, at the peak's level."""

    def values(self) -> Mapping[str, float]:
        """Give this query's share of both metrics."""
        return {"localisation": float(self.hit), "mIoU": self.iou}

    def columns(self) -> Mapping[str, Any]:
        """Give where the peak lies and at which levels."""
        return {
            "level": LEVELS[self.level],
            "mask_level": LEVELS[self.mask_level],
            "peak_score": round(self.peak_score, 4),
            "peak_x": self.peak_px[0],
            "peak_y": self.peak_px[1],
            "boxes": box_list(self.query),
        }

    def look(self) -> Look:
        """Give what a picture of it shows."""
        wanted = draw_mask(self.query.polygons, *self.mask.shape)
        return Look(self.mask, wanted, self.relevancy, self.peak_px)


def score_query(query: Query, maps: Float32[np.ndarray, "L H W"]) -> Score:
    """Score one query by LangSplat's 2D protocol.

    Args:
        query: what was asked, with its outlines in pixels of the maps.
        maps: unfiltered relevancy per level at the frame's full size, 0 to 1.
    """
    filtered = mean_filter(maps)
    peak = find_peak(filtered)
    mixed = 0.5 * (maps + filtered)
    mask_level = find_peak(mixed).level
    mask = cut_mask(maps[mask_level], filtered[mask_level])
    wanted = draw_mask(query.polygons, *maps.shape[1:])
    return Score(
        query=query,
        hit=is_in_a_box((peak.x, peak.y), query),
        peak_px=(peak.x, peak.y),
        peak_score=peak.score,
        level=peak.level,
        iou=measure_iou(mask, wanted),
        mask_level=mask_level,
        mask=mask,
        relevancy=maps[peak.level],
    )


def box_list(query: Query) -> str:
    """Give the labelled boxes as text: x0,y0,x1,y1 each, in pixels."""
    return " ".join(",".join(f"{v:g}" for v in np.round(box, 1)) for box in query.boxes)


def is_in_a_box(point_px: tuple[int, int], query: Query) -> bool:
    """Tell whether a pixel (column, row) lies in any box of a query, edges included."""
    x, y = point_px
    boxes = query.boxes
    inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
    return bool(inside.any())


def measure_iou(a: Bool[np.ndarray, "H W"], b: Bool[np.ndarray, "H W"]) -> float:
    """Give intersection over union of two masks; 0 where both are empty."""
    union = int(np.logical_or(a, b).sum())
    return int(np.logical_and(a, b).sum()) / union if union else 0.0
