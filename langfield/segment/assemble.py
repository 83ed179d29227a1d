"""Masks of three levels to one `Segments`, and back to the visible mask of a row."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Int16, Int32

from langfield.errors import FormatError
from langfield.segment.types import MAX_SEGMENTS, LevelMasks, Segments


def assemble(levels: Sequence[LevelMasks]) -> Segments:
    """Paint each level's masks into an id map, larger masks first, so that smaller ones lie on top.

    Masks that are empty are left out. Rows of a level are sorted by falling area (ties keep their order), so a higher
    row of a level is never larger than a lower one. A mask that is wholly covered keeps its row and box, but
    owns no pixel.

    Args:
        levels: one per entry of LEVELS, all of one picture size.

    Raises:
        FormatError: more masks than ids.
    """
    ordered = [_by_area(level) for level in levels]
    _check_count(sum(len(level.masks) for level in ordered))
    starts = np.cumsum([0, *(len(level.masks) for level in ordered)])
    ids = [_paint(level.masks, start) for level, start in zip(ordered, starts[:-1], strict=True)]
    rows = [np.full(len(level.masks), i, np.int16) for i, level in enumerate(ordered)]
    return Segments(
        ids=np.stack(ids),
        boxes=np.concatenate([boxes_of(level.masks) for level in ordered]),
        levels=np.concatenate(rows),
        scores=np.concatenate([level.scores.astype(np.float32) for level in ordered]),
    )


def _by_area(level: LevelMasks) -> LevelMasks:
    area = level.masks.sum(axis=(1, 2))
    order = np.argsort(-area, kind="stable")
    order = order[area[order] > 0]
    return LevelMasks(level.masks[order], level.scores[order])


def _paint(masks: Bool[np.ndarray, "M H W"], start: int) -> Int16[np.ndarray, "H W"]:
    ids = np.full(masks.shape[1:], -1, np.int16)
    for row, mask in enumerate(masks, start=int(start)):
        ids[mask] = row
    return ids


def boxes_of(masks: Bool[np.ndarray, "M H W"]) -> Int32[np.ndarray, "M 4"]:
    """Give x0 y0 x1 y1 (exclusive) of masks, none of them empty."""
    height, width = masks.shape[1:]
    columns, rows = np.any(masks, axis=1), np.any(masks, axis=2)
    left, top = np.argmax(columns, axis=1), np.argmax(rows, axis=1)
    right, bottom = width - np.argmax(np.flip(columns, 1), axis=1), height - np.argmax(np.flip(rows, 1), axis=1)
    return np.stack([left, top, right, bottom], axis=1).astype(np.int32)


def mask_of(segments: Segments, row: int) -> Bool[np.ndarray, "H W"]:
    """Give the visible mask of a row: the pixels that its level's id map leaves to it."""
    return segments.ids[int(segments.levels[row])] == row


def from_partitions(maps: Sequence[Int32[np.ndarray, "H W"]]) -> Segments:
    """Give segments for levels that each divide the whole picture.

    Args:
        maps: one per entry of LEVELS, regions numbered from 0 without gaps.

    Raises:
        FormatError: more regions than ids.
    """
    from scipy.ndimage import find_objects

    counts = [int(regions.max()) + 1 for regions in maps]
    _check_count(sum(counts))
    starts = np.cumsum([0, *counts[:-1]])
    places = [place for regions in maps for place in find_objects(regions + 1)]
    boxes = [[x.start, y.start, x.stop, y.stop] for y, x in places]
    return Segments(
        ids=np.stack([regions + start for regions, start in zip(maps, starts, strict=True)]).astype(np.int16),
        boxes=np.array(boxes, np.int32),
        levels=np.repeat(np.arange(len(maps)), counts).astype(np.int16),
        scores=np.ones(sum(counts), np.float32),
    )


def _check_count(total: int) -> None:
    if total > MAX_SEGMENTS:
        raise FormatError(f"{total} masks in one picture, at most {MAX_SEGMENTS} fit", None, "raise min_area_px")


def clean(mask: Bool[np.ndarray, "H W"], min_area_px: int) -> Bool[np.ndarray, "H W"]:
    """Fill holes and drop islands smaller than `min_area_px`; the largest island always stays (8-connected)."""
    filled = mask | _small(~mask, min_area_px, keep_largest=False)
    return filled & ~_small(filled, min_area_px, keep_largest=True)


def _small(mask: Bool[np.ndarray, "H W"], min_area_px: int, keep_largest: bool) -> Bool[np.ndarray, "H W"]:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_area_px
    small[0] = False
    if keep_largest and count > 1 and small[1:].all():
        small[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())] = False
    return np.take(small, np.asarray(labels, np.int32))
