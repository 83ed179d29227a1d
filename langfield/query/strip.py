"""A strip of times: the scene at a few moments with the thing outlined, and a band of when something is so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from langfield.capture.types import Camera
from langfield.field.at_time import at_time
from langfield.field.types import Field
from langfield.query.event import Event, active_at, where
from langfield.query.picture import WHITE, outline, title_strip
from langfield.raster import RasterOptions, rasterize

Picture = UInt8[np.ndarray, "H W 3"]
MOMENTS = 6
TILE_PX = 200
BACK, OFF, LINE = (16, 16, 16), (64, 64, 64), (120, 120, 120)
BAND_PX, EDGE_PX = 16, 96
ACTIVE, TRUE = (230, 159, 0), (86, 180, 233)


@dataclass(frozen=True)
class Band:
    """One row below the moments."""

    name: str
    active: Bool[np.ndarray, " T"]
    colour: tuple[int, int, int] = ACTIVE


def draw_strip(field: Field, views: Mapping[str, Camera], event: Event, truth: Band | None = None) -> Picture:
    """Draw an answer over time.

    Args:
        field: the one that was asked.
        views: camera per view name, with times.
        event: the answer.
        truth: a second band, over the event's times.
    """
    shown = moments(event, views)
    tiles = [tile(field, camera, event) for camera in shown]
    bands = [Band("answer", event.when.active), *([truth] if truth else [])]
    width = sum(t.shape[1] for t in tiles) if tiles else MOMENTS * TILE_PX
    about = f'"{event.question}": {event.verdict} ({event.when.score:.2f})'
    rows = [title_strip(about, width)]
    if tiles:
        rows.append(np.concatenate(tiles, axis=1))
    return np.concatenate([*rows, draw_bands(event.times_s, bands, width, [c.time_s or 0.0 for c in shown])])


def moments(event: Event, views: Mapping[str, Camera], most: int = MOMENTS) -> list[Camera]:
    """Give cameras of a few times: the middle of every stretch that is or is not so, longest first, then between."""
    timed = sorted((c for c in views.values() if c.time_s is not None), key=lambda c: c.time_s or 0.0)
    if not timed:
        return []
    on = active_at(event, [c.time_s or 0.0 for c in timed])
    edges = [0, *(np.flatnonzero(np.diff(on.astype(np.int8))) + 1).tolist(), len(timed)]
    spans = sorted(pairwise(edges), key=lambda s: s[0] - s[1])[:most]
    chosen = {(a + b - 1) // 2 for a, b in spans}
    for extra in np.rint(np.linspace(0, len(timed) - 1, most)).astype(int).tolist():
        if len(chosen) < most:
            chosen.add(extra)
    return [timed[i] for i in sorted(chosen)]


def tile(field: Field, camera: Camera, event: Event) -> Picture:
    """Draw the scene at a camera's time; the thing is outlined where the event is so then."""
    share = TILE_PX / camera.width
    small = camera.resized(TILE_PX, max(1, round(camera.height * share)))
    drawn = cast(Tensor, rasterize(at_time(field, camera.time_s).gaussians, small, options=RasterOptions()).colour)
    canvas = np.ascontiguousarray((drawn.detach().clamp(0, 1) * 255).round().byte().cpu().numpy())
    if event.is_active(camera.time_s or 0.0):
        outline(canvas, next(iter(where(field, event.thing, {"": small}, None))).sight.mask)
    cv2.putText(canvas, f"{camera.time_s or 0.0:.2f} s", (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, WHITE, 1, cv2.LINE_AA)
    return canvas


def draw_bands(
    times_s: Float[np.ndarray, " T"], bands: Sequence[Band], width: int, marks_s: Sequence[float] = ()
) -> Picture:
    """Draw rows of when things are so, one below the other, over a scale of seconds.

    Args:
        times_s: rising.
        bands: over these times.
        width: pixels.
        marks_s: times that are marked by a line.
    """
    height = 6 + len(bands) * (BAND_PX + 4) + 18
    strip = Image.new("RGB", (width, height), BACK)
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(size=12)
    first, last = float(times_s[0]), float(times_s[-1])
    scale = (width - EDGE_PX - 12) / max(last - first, 1e-9)
    ends = np.concatenate([[first], (times_s[1:] + times_s[:-1]) / 2, [last]])
    for row, band in enumerate(bands):
        y = 6 + row * (BAND_PX + 4)
        draw.text((6, y), band.name, WHITE, font)
        for on, a, b in zip(band.active, ends[:-1], ends[1:], strict=True):
            x0, x1 = EDGE_PX + (a - first) * scale, EDGE_PX + (b - first) * scale
            draw.rectangle((x0, y, max(x1 - 0.01, x0), y + BAND_PX), fill=band.colour if on else OFF)
    for mark in marks_s:
        x = EDGE_PX + (mark - first) * scale
        draw.line([(x, 2), (x, height - 18)], fill=LINE)
    for at in (first, (first + last) / 2, last):
        label = f"{at:.2f} s"
        x = EDGE_PX + (at - first) * scale - font.getlength(label) / 2
        draw.text((min(x, width - font.getlength(label) - 2), height - 16), label, WHITE, font)
    return np.asarray(strip)
