"""A picture of the segments of a frame, for people."""

from __future__ import annotations

from colorsys import hsv_to_rgb

import cv2
import numpy as np
from jaxtyping import Int16, UInt8

from langfield.segment.types import LEVELS, Segments

GOLDEN_ANGLE = 0.618033988749895
COLOUR_SHARE = 0.6
SATURATION = 0.82
EDGE = (255, 255, 255)
DIM = 0.35


def draw_segments(image: UInt8[np.ndarray, "H W 3"], segments: Segments) -> UInt8[np.ndarray, "h w 3"]:
    """Draw the three levels side by side, each segment in a colour that depends on its row alone.

    Args:
        image: RGB picture the segments belong to.
        segments: of the same height and width.

    Returns:
        RGB picture, H pixels high and 3 W wide, with a caption in each panel; pixels without a segment are dimmed.
    """
    panels = []
    for level, name in enumerate(LEVELS):
        count = int((segments.levels == level).sum())
        panel = _panel(image, segments.ids[level])
        panels.append(_caption(panel, f"{name}: {count}"))
    return np.concatenate(panels, axis=1)


def colours(count: int) -> UInt8[np.ndarray, "count 3"]:
    """Give distinct stable RGB colours: hues a golden angle apart, three steps of brightness."""
    hsv = [(row * GOLDEN_ANGLE % 1.0, SATURATION, 1.0 - 0.18 * (row % 3)) for row in range(count)]
    # Not OpenCV's conversion: it rounds differently at different places of a long array.
    return np.round(255 * np.array([hsv_to_rgb(*c) for c in hsv]).reshape(-1, 3)).astype(np.uint8)


def _panel(image: UInt8[np.ndarray, "H W 3"], ids: Int16[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    table = np.concatenate([colours(int(ids.max()) + 1), np.zeros((1, 3), np.uint8)])  # row -1 is the last
    mixed = (1 - COLOUR_SHARE) * image + COLOUR_SHARE * table[ids]
    panel = np.where((ids < 0)[..., None], DIM * image, mixed).astype(np.uint8)
    edge = np.zeros(ids.shape, bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    panel[edge] = EDGE
    return panel


def _caption(panel: UInt8[np.ndarray, "H W 3"], text: str) -> UInt8[np.ndarray, "H W 3"]:
    scale = max(panel.shape[0] / 480, 0.4) * 0.6
    panel = np.ascontiguousarray(panel)
    place = (6, round(24 * scale) + 6)
    for colour, thick in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(panel, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)
    return panel
