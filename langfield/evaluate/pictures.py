"""A gallery of what went well and what went wrong."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from langfield.evaluate.langsplat2d import Score
from langfield.query.picture import Overlay, draw_overlay, write_picture
from langfield.segment.types import LEVELS


def draw_score(view: UInt8[np.ndarray, "H W 3"], score: Score) -> UInt8[np.ndarray, "h W 3"]:
    """Draw one query: relevancy, the mask's outline, the labelled boxes and the peak."""
    verdict = "hit" if score.hit else "miss"
    title = (
        f"{score.query.text}: {verdict}, IoU {score.iou:.2f}, peak {score.peak_score:.3f} "
        f"({LEVELS[score.level]}), {score.query.frame}"
    )
    boxes = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in score.query.boxes)
    return draw_overlay(view, Overlay(title, score.relevancy, score.mask, score.peak_px, boxes))


def write_gallery(
    folder: Path, scores: Sequence[Score], read: Callable[[str], UInt8[np.ndarray, "H W 3"]], each: int = 6
) -> list[Path]:
    """Write pictures of the best hits and the worst misses.

    Args:
        folder: where the pictures go.
        scores: one per query.
        read: gives a frame's picture by its name, RGB.
        each: how many of either kind at most.

    Returns:
        The files written: hits by falling IoU, then misses by falling peak score (the most confident errors first).
    """
    hits = sorted((s for s in scores if s.hit), key=lambda s: -s.iou)[:each]
    misses = sorted((s for s in scores if not s.hit), key=lambda s: -s.peak_score)[:each]
    written = []
    for kind, chosen in (("hit", hits), ("miss", misses)):
        for i, score in enumerate(chosen, start=1):
            path = folder / f"{kind}_{i:02d}_{_slug(score.query.text)}_{_slug(Path(score.query.frame).stem)}.png"
            write_picture(path, draw_score(read(score.query.frame), score))
            written.append(path)
    return written


def _slug(text: str) -> str:
    """Keep letters, digits, dots and dashes of a text for use in a file name."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.")[:40] or "unnamed"
