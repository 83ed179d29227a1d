"""Hardback books with drawn covers."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tabletop_objects.geometry import box_uv, rounded_box
from tabletop_objects.textures import atlas, canvas, lettering, mix, painted
from tabletop_objects.things import Material, Part, Thing, srgb


def book(name: str, cover: str, ink: str, title: tuple[str, str], size: tuple[float, float, float]) -> Thing:
    """Give a closed hardback lying on its back: spine towards -y, the top of the cover towards +x.

    Args:
        size: width (along y), height (along x) and thickness in metres.
    """
    width, height, thick = size
    board = 0.003
    top = rounded_box((height, width, board), 0.0012, 6)
    spine = rounded_box((height, 0.005, thick), 0.0022, 6).moved((0, -width / 2, thick / 2))
    pages = box_uv((height - 0.008, width - 0.006, thick - 2 * board)).moved((0, 0, thick / 2))
    lines = painted(256, 8, lambda _u, v: mix(srgb("#f1ead6"), srgb("#cfc4a6"), 0.5 + 0.5 * np.sin(v * 300)))
    front = _cover(cover, ink, title, width / height)
    blank = Image.new("RGB", (64, 64), cover)
    label, draw = canvas(768, max(64, int(768 * thick / height)), cover)
    lettering(draw, " ".join(title), (384, label.height / 2), 0.62 * label.height, ink)
    cloth = Material(srgb(cover), 0.6)
    return Thing(
        name,
        (
            Part(
                top.moved((0, 0, thick - board / 2)),
                Material(atlas([blank] * 4 + [front, blank], 512), 0.45, clearcoat=0.2),
            ),
            Part(top.moved((0, 0, board / 2)), cloth),
            Part(spine, Material(atlas([blank] * 3 + [label, blank, blank], 512), 0.45, clearcoat=0.2)),
            Part(pages, Material(lines, 0.9, flat=True)),
        ),
    )


def _cover(cover: str, ink: str, title: tuple[str, str], aspect: float) -> Image.Image:
    """Draw a front cover: title, a landscape, an author; turned so that its top lies towards +x."""
    image, draw = canvas(int(1024 * aspect), 1024, cover)
    w = image.width
    lettering(draw, title[0], (w / 2, 120), 165, ink)
    lettering(draw, title[1], (w / 2, 290), 165, ink)
    draw.rectangle((70, 400, w - 70, 850), fill="#f3dfb0")
    draw.ellipse((w * 0.58, 440, w * 0.58 + 130, 570), fill="#e8703a")
    for k, tone in enumerate(("#86a69d", "#4f7d6b", "#2b4a44")):
        x = np.linspace(70, w - 70, 60)
        y = 600 + 75 * k + (60 - 12 * k) * np.sin(x / (75 + 30 * k) + 2.1 * k)
        draw.polygon([(70, 850), *zip(x.tolist(), y.tolist(), strict=True), (w - 70, 850)], fill=tone)
    lettering(draw, "Ada Author", (w / 2, 930), 92, ink)
    return image.rotate(-90, expand=True)
