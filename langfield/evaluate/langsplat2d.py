"""LangSplat's 2D protocol: where the relevancy peaks, and how well its mask covers the thing.

As published (arXiv 2312.16084, Section 4; eval/evaluate_iou_loc.py). Localisation: every level after a 30 × 30 mean
filter, the level whose filtered map is highest, its highest pixel inside any of the label's boxes (edges included).
Segmentation: half raw, half filtered; the level where that is highest; stretched, cut at 0.4, smoothed; IoU with all
of the label's polygons. Ours: labels find their frame by name, not by position; among equal pixels the innermost of the
plateau is taken, where the published code counts a hit if any of those that rounding left equal lies in a box.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

from langfield.evaluate.labels import Query, draw_mask
from langfield.query.image import cut_mask, find_peak, mean_filter

PROTOCOL = "LangSplat 2D"
VERSION = 1


@dataclass(frozen=True)
class Score:
    """One query's result."""

    query: Query
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
