"""Three small pictures of one query: the photo with the label, the relevancy, the answer against the label."""

from __future__ import annotations

import io

import cv2
import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from langfield.evaluate.types import Look
from langfield.query.picture import colour_map

Picture = UInt8[np.ndarray, "H W 3"]
WIDTH = 360
BOTH, TOO_MUCH, MISSED = (0, 158, 115), (213, 94, 0), (86, 180, 233)
"""Okabe and Ito's green, vermilion and sky blue, told apart by every kind of colour vision."""
WHITE, BLACK = (255, 255, 255), (0, 0, 0)
RELEVANCY_RANGE = (0.4, 0.7)
"""One range for all pictures, so that they can be compared."""


def draw_three(photo: Picture, look: Look) -> tuple[Picture, Picture, Picture]:
    """Draw a query's result at 360 pixels of width.

    Args:
        photo: the frame, RGB; maps are stretched to its shape.
        look: answer, label and relevancy.
    """
    size = WIDTH, max(1, round(WIDTH * photo.shape[0] / photo.shape[1]))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    answer, truth = _fit(look.answer, size), _fit(look.truth, size)
    heat = cv2.resize(np.asarray(look.relevancy, np.float32), size, interpolation=cv2.INTER_AREA)
    labelled = _outlined(small, truth)
    share = 0.75 * np.clip((heat - RELEVANCY_RANGE[0]) / (RELEVANCY_RANGE[1] - RELEVANCY_RANGE[0]), 0.2, 1)[..., None]
    relevant = np.round(_grey(small) * (1 - share) + colour_map(heat, *RELEVANCY_RANGE) * share).astype(np.uint8)
    if look.peak_px is not None:
        rise = WIDTH / look.relevancy.shape[1]
        at = round((look.peak_px[0] + 0.5) * rise), round((look.peak_px[1] + 0.5) * rise)
        cv2.drawMarker(relevant, at, BLACK, cv2.MARKER_CROSS, 15, 4)
        cv2.drawMarker(relevant, at, WHITE, cv2.MARKER_CROSS, 13, 2)
    return labelled, relevant, _compared(small, answer, truth)


def _compared(photo: Picture, answer: Bool[np.ndarray, "H W"], truth: Bool[np.ndarray, "H W"]) -> Picture:
    """Paint what both have, what is too much and what was missed."""
    out = _grey(photo) * 0.55
    for mask, colour in ((answer & truth, BOTH), (answer & ~truth, TOO_MUCH), (truth & ~answer, MISSED)):
        out[mask] = out[mask] * 0.3 + np.array(colour) * 0.7
    return _outlined(np.round(out).astype(np.uint8), truth)


def _outlined(picture: Picture, mask: Bool[np.ndarray, "H W"]) -> Picture:
    canvas = np.ascontiguousarray(picture)
    edges, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, edges, -1, BLACK, 3)
    cv2.drawContours(canvas, edges, -1, WHITE, 1)
    return canvas


def _fit(mask: Bool[np.ndarray, "H W"], size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    return cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 127


def _grey(picture: Picture) -> np.ndarray:
    return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2).astype(np.float64)


def as_jpeg(picture: Picture) -> bytes:
    """Give a picture as JPEG bytes."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, format="JPEG", quality=82)
    return out.getvalue()
