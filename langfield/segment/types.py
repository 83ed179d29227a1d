"""What segmentation takes and gives: settings, three id maps per frame, one row per segment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float32, Int16, Int32, UInt8

LEVELS = ("subpart", "part", "whole")
MAX_SEGMENTS = np.iinfo(np.int16).max


@dataclass(frozen=True)
class SegmentSettings:
    """How masks are made; the defaults are LangSplat's, but for a 16 x 16 grid and no crops of the picture."""

    points_per_side: int = 16
    """Point prompts along each side of the picture; LangSplat uses 32."""
    pred_iou_thresh: float = 0.7
    """Masks whose IoU the model itself predicts to be no higher are dropped."""
    stability_thresh: float = 0.85
    """Masks whose area changes more when the logit threshold moves by one are dropped."""
    box_nms_iou: float = 0.7
    """First thinning: of two masks of a level whose boxes overlap more, the one with the better predicted IoU stays."""
    mask_nms: bool = True
    """Whether the second thinning, by mask overlap within a level, is done."""
    nms_iou: float = 0.8
    """Second thinning: of two masks that overlap more, the better one stays; score = stability x predicted IoU."""
    nms_score: float = 0.7
    """Second thinning: masks with no higher score are dropped."""
    inner_thresh: float = 0.5
    """Second thinning: a mask that lies inside another of its level with 1 - (product of the two shared fractions)
    above 1 - this is dropped."""
    min_area_px: int = 100
    """Islands and holes smaller than this are removed from masks, and masks smaller than this are dropped."""
    decoder_batch: int = 1
    """Points decoded together by one thread; small, so that the image tokens stay in the cache."""
    skip_confident: bool = True
    """Go from coarse to fine over the grid and leave out points inside masks that are already certain."""
    skip_score: float = 0.9
    """A mask is certain for `skip_confident` where predicted IoU and stability both reach this."""


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
    """Predicted IoU times stability, clipped to 0..1."""


@dataclass(frozen=True)
class LevelMasks:
    """The masks of one level before they are painted into an id map."""

    masks: Bool[np.ndarray, "M H W"]
    scores: Float32[np.ndarray, " M"]
    """Predicted IoU times stability, 0 to 1."""


class Segmenter(Protocol):
    """A picture to segments at three levels."""

    name: str
    """Spec string that makes it again, such as "mobile-sam"."""
    provenance: dict[str, Any]
    """Model, SHA-256 of its weights, settings: stored with what is made of its masks."""

    def segment(self, image: UInt8[np.ndarray, "H W 3"]) -> Segments:
        """Find the segments of an RGB picture."""
        ...
