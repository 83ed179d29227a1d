"""The curves of `langfield bench raster` as a picture, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from langfield.artefacts import atomic_path

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 640, 460, 76, 50, 44, 56
INK, GRID, FORWARD, BACKWARD = (40, 44, 52), (222, 226, 232), (0, 110, 170), (200, 90, 20)


class _Panel:
    """One diagram with logarithmic axes over whole powers of ten."""

    def __init__(self, x_offset: int, title: str, x_label: str) -> None:
        self.x_offset, self.title, self.x_label = x_offset, title, x_label

    def spans(self, xs: Sequence[float], ys: Sequence[float]) -> None:
        """Choose the axes' ranges."""
        self.x = math.floor(math.log10(min(xs)) + 1e-9), math.ceil(math.log10(max(xs)) - 1e-9)
        self.y = math.floor(math.log10(min(ys))), math.ceil(math.log10(max(ys)))

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Give the pixel of a point."""
        u = (math.log10(x) - self.x[0]) / max(1, self.x[1] - self.x[0])
        v = (math.log10(y) - self.y[0]) / max(1, self.y[1] - self.y[0])
        return self.x_offset + LEFT + u * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - v * (HEIGHT - TOP - BOTTOM)

    def axes(self, draw: ImageDraw.ImageDraw, font: Any) -> None:
        """Draw grid, numbers and titles."""
        for power in range(self.x[0], self.x[1] + 1):
            x, low = self.place(10.0**power, 10.0 ** self.y[0])
            draw.line([x, low, x, TOP], fill=GRID)
            draw.text((x, low + 6), f"{10**power:,}", fill=INK, font=font, anchor="ma")
        for power in range(self.y[0], self.y[1] + 1):
            left, y = self.place(10.0 ** self.x[0], 10.0**power)
            draw.line([left, y, self.x_offset + WIDTH - RIGHT, y], fill=GRID)
            draw.text((left - 6, y), f"{10.0**power:g} ms", fill=INK, font=font, anchor="rm")
        middle = self.x_offset + (LEFT + WIDTH - RIGHT) / 2
        draw.text((middle, HEIGHT - 14), self.x_label, fill=INK, font=font, anchor="md")
        draw.text((middle, 16), self.title, fill=INK, font=font, anchor="ma")

    def curve(self, draw: ImageDraw.ImageDraw, points: list[tuple[float, float]], colour: tuple[int, int, int]) -> None:
        """Draw a line with a dot at each point."""
        spots = [self.place(x, y) for x, y in points]
        draw.line(spots, fill=colour, width=2)
        for x, y in spots:
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)


def draw_curves(found: dict[str, Any], path: Path) -> None:
    """Write the curves along pairs and along channels as a PNG.

    Args:
        found: what `langfield bench raster` measured, with `along_gaussians` and `along_channels`.
        path: of the picture.

    Raises:
        StorageError: it cannot be written.
    """
    image = Image.new("RGB", (2 * WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    panels = (
        ("along_gaussians", "pairs", "Gaussians: 640x480, colour and depth", "(Gaussian, tile) pairs"),
        (
            "along_channels",
            "channels",
            "Channels: 320x240, 10,000 Gaussians",
            "channels beside colour, depth and alpha",
        ),
    )
    for place, (key, x, title, label) in enumerate(panels):
        rows, panel = found[key]["rows"], _Panel(place * WIDTH, title, label)
        panel.spans([r[x] for r in rows], [r[k] for r in rows for k in ("forward_ms", "backward_ms")])
        panel.axes(draw, font)
        for name, colour, at in (("forward_ms", FORWARD, 0), ("backward_ms", BACKWARD, 20)):
            panel.curve(draw, [(r[x], r[name]) for r in rows], colour)
            corner = (place * WIDTH + LEFT + 12, TOP + 8 + at)
            draw.text(corner, name.removesuffix("_ms"), fill=colour, font=font)
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")
