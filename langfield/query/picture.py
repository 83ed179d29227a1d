"""Pictures of answers: relevancy laid over the view, with a legend, an outline, the peak and a title."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageDraw, ImageFont

from langfield.artefacts import atomic_path

Picture = UInt8[np.ndarray, "H W 3"]
MIN_WIDTH = 480
WHITE, BLACK, PEAK = (255, 255, 255), (0, 0, 0), (255, 80, 80)


@dataclass(frozen=True)
class Overlay:
    """What is drawn over a view."""

    title: str
    relevancy: Float32[np.ndarray, "H W"]
    mask: Bool[np.ndarray, "H W"] | None = None
    """Outlined in white on black."""
    peak_px: tuple[int, int] | None = None
    boxes_px: tuple[tuple[float, float, float, float], ...] = ()
    """Outlined boxes, such as the labelled ones; x0 y0 x1 y1."""
    low: float = 0.4
    """Relevancy at the dark end of the legend."""
    high: float = 0.7
    """Relevancy at the bright end; a fixed range keeps pictures comparable."""
    strength: float = 0.65
    """Share of the colours over the view, 0 to 1."""


def colour_map(relevancy: Float32[np.ndarray, "*H W"], low: float, high: float) -> UInt8[np.ndarray, "*H W 3"]:
    """Colour values from `low` (dark blue) to `high` (yellow) in viridis, readable without telling red from green."""
    share = np.clip((relevancy - low) / max(high - low, 1e-9), 0, 1)
    steps = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_VIRIDIS)[:, 0, ::-1]  # BGR to RGB
    return steps[np.round(share * 255).astype(np.uint8)]


def draw_overlay(view: Picture, overlay: Overlay) -> Picture:
    """Draw relevancy over a view, with a title above and a legend below.

    Args:
        view: the photo or the drawn view, RGB.
        overlay: what to draw; maps are stretched to the view's size.
    """
    scale = max(1, -(-MIN_WIDTH // view.shape[1]))
    height, width = view.shape[0] * scale, view.shape[1] * scale
    rise = width / overlay.relevancy.shape[1]
    grey = cv2.resize(view, (width, height), interpolation=cv2.INTER_CUBIC)
    grey = np.repeat(cv2.cvtColor(grey, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
    heat = cv2.resize(overlay.relevancy, (width, height), interpolation=cv2.INTER_LINEAR)
    share = overlay.strength * np.clip((heat - overlay.low) / (overlay.high - overlay.low), 0.15, 1)[..., None]
    blend = grey * (1 - share) + colour_map(heat, overlay.low, overlay.high) * share
    canvas = np.ascontiguousarray(np.round(blend), dtype=np.uint8)
    if overlay.mask is not None:
        outline(canvas, overlay.mask)
    for x0, y0, x1, y1 in overlay.boxes_px:
        corner, other = (round(x0 * rise), round(y0 * rise)), (round(x1 * rise), round(y1 * rise))
        cv2.rectangle(canvas, corner, other, BLACK, 3)
        cv2.rectangle(canvas, corner, other, WHITE, 1, cv2.LINE_4)
    if overlay.peak_px is not None:
        at = round((overlay.peak_px[0] + 0.5) * rise), round((overlay.peak_px[1] + 0.5) * rise)
        cv2.drawMarker(canvas, at, BLACK, cv2.MARKER_CROSS, 22, 5)
        cv2.drawMarker(canvas, at, PEAK, cv2.MARKER_CROSS, 20, 2)
    return np.concatenate([title_strip(overlay.title, width), canvas, _legend(overlay, width)])


def outline(canvas: Picture, mask: Bool[np.ndarray, "H W"]) -> None:
    """Draw a mask's edges into a picture, which may be larger, in white on black."""
    size = canvas.shape[1], canvas.shape[0]
    large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    edges, _ = cv2.findContours(large, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, edges, -1, BLACK, 4)
    cv2.drawContours(canvas, edges, -1, WHITE, 2)


def title_strip(text: str, width: int) -> Picture:
    """Draw a title of at most three lines, white on black."""
    font = ImageFont.load_default(size=18)
    lines = _wrap(text, font, width - 16)
    strip = Image.new("RGB", (width, 10 + 24 * len(lines)), BLACK)
    draw = ImageDraw.Draw(strip)
    for i, line in enumerate(lines):
        draw.text((8, 5 + 24 * i), line, fill=WHITE, font=font)
    return np.asarray(strip)


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """Break a title into at most three lines; what does not fit ends in dots."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    kept = [line for line in lines if line][:3] or [""]
    if len([line for line in lines if line]) > 3:
        kept[-1] += " …"
    while font.getlength(kept[-1]) > width and len(kept[-1]) > 2:
        kept[-1] = kept[-1][:-2].rstrip() + "…"
    return kept


def _legend(overlay: Overlay, width: int) -> Picture:
    """Draw the colour bar with five numbers."""
    strip = Image.new("RGB", (width, 46), BLACK)
    values = np.linspace(overlay.low, overlay.high, width - 100, dtype=np.float32)
    bar = np.repeat(colour_map(values, overlay.low, overlay.high)[None], 14, axis=0)
    strip.paste(Image.fromarray(bar), (84, 6))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size=13)
    draw.text((8, 5), "relevancy", fill=WHITE, font=font)
    for share in (0, 0.25, 0.5, 0.75, 1):
        label = f"{overlay.low + share * (overlay.high - overlay.low):.2f}" + "+" * (share == 1)  # and all above
        x = 84 + share * (width - 101)
        draw.line([(x, 18), (x, 23)], fill=WHITE)
        draw.text((min(x - font.getlength(label) / 2, width - font.getlength(label) - 2), 25), label, WHITE, font)
    return np.asarray(strip)


def write_picture(path: Path, picture: Picture) -> None:
    """Write a picture as PNG, atomically, whatever the suffix of `path`.

    Raises:
        StorageError: the disk is full or read-only.
    """
    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
