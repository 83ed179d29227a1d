"""Masked crops as LangSplat makes them, and one embedding per segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float16, Int, UInt8

from langfield.errors import FormatError
from langfield.segment.types import Segments
from langfield.suite.types import ImageEncoder

CROP_PX = 224
CHUNK = 16


def masked_crop(
    image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"], box: Int[np.ndarray, " 4"], size_px: int = CROP_PX
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut one segment out: background black, bounding box, padded to a square, resized (LangSplat, preprocess.py).

    Args:
        image: RGB.
        mask: pixels of the segment.
        box: x0 y0 x1 y1 in pixels, x1 and y1 exclusive.
        size_px: side of the result.

    Raises:
        FormatError: the box is empty or leaves the picture.
    """
    x0, y0, x1, y1 = (int(v) for v in box)
    height, width = mask.shape
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height) or image.shape[:2] != mask.shape:
        raise FormatError(f"box {x0} {y0} {x1} {y1} does not fit a picture of {image.shape} and mask {mask.shape}")
    cut = image[y0:y1, x0:x1] * mask[y0:y1, x0:x1, None]
    side = max(cut.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return np.asarray(cv2.resize(square, (size_px, size_px)))


def masked_crops(
    image: UInt8[np.ndarray, "H W 3"], masks: Iterable[np.ndarray], boxes: Int[np.ndarray, "M 4"]
) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Cut out one crop per mask; `masks` may be a stack [M, H, W] or anything that yields bool [H, W]."""
    return [masked_crop(image, mask, box) for mask, box in zip(masks, boxes, strict=True)]


def segment_masks(segments: Segments) -> Iterator[Bool[np.ndarray, "H W"]]:
    """Yield the visible pixels of each row of a frame's segments, in the order of the rows."""
    for index, level in enumerate(segments.levels):
        yield segments.ids[level] == index


def embed_segments(
    image: UInt8[np.ndarray, "H W 3"], segments: Segments, encoder: ImageEncoder
) -> Float16[np.ndarray, "M D"]:
    """Give one unit vector per segment of a frame; crops that are equal at several levels are encoded once.

    Args:
        image: RGB frame the segments belong to.
        segments: rows and id maps.
        encoder: image tower.

    Raises:
        FormatError: the id maps are of another size than the picture.
    """
    if segments.ids.shape[1:] != image.shape[:2]:
        raise FormatError(f"segments of size {segments.ids.shape[1:]} do not fit a picture of {image.shape[:2]}")
    vectors = np.zeros((len(segments.levels), encoder.dim), np.float16)
    crops = masked_crops(image, segment_masks(segments), segments.boxes)
    first: dict[bytes, int] = {}
    owner = [first.setdefault(crop.tobytes(), i) for i, crop in enumerate(crops)]
    fresh = sorted(set(owner))
    for chunk in _chunks(fresh):
        vectors[chunk] = encoder.encode_images([crops[i] for i in chunk]).cpu().numpy().astype(np.float16)
    return vectors[owner]


def _chunks(rows: Sequence[int]) -> Iterable[Sequence[int]]:
    return [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
