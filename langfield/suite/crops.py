"""Crops of segments, masked as LangSplat makes them or with what surrounds them, and one embedding per segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float16, Int, UInt8

from langfield.errors import FormatError
from langfield.segment.types import Segments
from langfield.suite.types import ImageEncoder

CROP_PX = 224
CHUNK = 128
"""Crops handed to the encoder at once; it makes batches of them, several side by side."""


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
    return _padded(cut, size_px)


def masked_crops(
    image: UInt8[np.ndarray, "H W 3"], masks: Iterable[np.ndarray], boxes: Int[np.ndarray, "M 4"]
) -> list[UInt8[np.ndarray, "S S 3"]]:
    """Cut out one crop per mask; `masks` may be a stack [M, H, W] or anything that yields bool [H, W]."""
    return [masked_crop(image, mask, box) for mask, box in zip(masks, boxes, strict=True)]


def context_crop(
    image: UInt8[np.ndarray, "H W 3"], box: Int[np.ndarray, " 4"], grow: float, size_px: int = CROP_PX
) -> UInt8[np.ndarray, "S S 3"]:
    """Cut a segment out with what surrounds it: its box grown about its middle, padded to a square, resized.

    Args:
        image: RGB.
        box: x0 y0 x1 y1 in pixels, x1 and y1 exclusive.
        grow: sides of the grown box in sides of the box, 1 or more; it ends where the picture does.
        size_px: side of the result.

    Raises:
        FormatError: the box is empty or leaves the picture.
    """
    x0, y0, x1, y1 = (int(v) for v in box)
    height, width = image.shape[:2]
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise FormatError(f"box {x0} {y0} {x1} {y1} does not fit a picture of {image.shape}")
    across, down = (x1 - x0) * (grow - 1) / 2, (y1 - y0) * (grow - 1) / 2
    x0, x1 = max(0, round(x0 - across)), min(width, round(x1 + across))
    y0, y1 = max(0, round(y0 - down)), min(height, round(y1 + down))
    return _padded(image[y0:y1, x0:x1], size_px)


def _padded(cut: UInt8[np.ndarray, "h w 3"], size_px: int) -> UInt8[np.ndarray, "S S 3"]:
    """Centre a cut on a black square and resize it."""
    side = max(cut.shape[:2])
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - cut.shape[0]) // 2, (side - cut.shape[1]) // 2
    square[top : top + cut.shape[0], left : left + cut.shape[1]] = cut
    return np.asarray(cv2.resize(square, (size_px, size_px)))


def segment_masks(segments: Segments) -> Iterator[Bool[np.ndarray, "H W"]]:
    """Yield the visible pixels of each row of a frame's segments, in the order of the rows."""
    for index, level in enumerate(segments.levels):
        yield segments.ids[level] == index


def embed_segments(
    image: UInt8[np.ndarray, "H W 3"], segments: Segments, encoder: ImageEncoder, context: float | None = None
) -> Float16[np.ndarray, "M D"]:
    """Give one unit vector per segment of a frame; crops that are equal are encoded once.

    Args:
        image: RGB frame the segments belong to.
        segments: rows and id maps.
        encoder: image tower.
        context: None for masked crops, else how far context crops reach (`context_crop`).

    Raises:
        FormatError: the id maps are of another size than the picture.
    """
    if segments.ids.shape[1:] != image.shape[:2]:
        raise FormatError(f"segments of size {segments.ids.shape[1:]} do not fit a picture of {image.shape[:2]}")
    if context is None:
        crops = masked_crops(image, segment_masks(segments), segments.boxes)
    else:
        crops = [context_crop(image, box, context) for box in segments.boxes]
    vectors = np.zeros((len(crops), encoder.dim), np.float16)
    first: dict[bytes, int] = {}
    owner = [first.setdefault(crop.tobytes(), i) for i, crop in enumerate(crops)]
    for chunk in _chunks(sorted(set(owner))):
        vectors[chunk] = encoder.encode_images([crops[i] for i in chunk]).cpu().numpy().astype(np.float16)
    return vectors[owner]


def mean_vectors(parts: Sequence[Float16[np.ndarray, "M D"]]) -> Float16[np.ndarray, "M D"]:
    """Give the unit vectors that lie between those of several crops of the same segments."""
    total = np.sum([part.astype(np.float32) for part in parts], axis=0)
    return (total / np.linalg.norm(total, axis=1, keepdims=True).clip(1e-12)).astype(np.float16)


def _chunks(rows: Sequence[int]) -> Iterable[Sequence[int]]:
    return [rows[i : i + CHUNK] for i in range(0, len(rows), CHUNK)]
