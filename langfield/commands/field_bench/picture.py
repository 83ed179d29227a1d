"""The table's values as bars with their intervals over names, one panel a scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from langfield.artefacts import atomic_path
from langfield.commands.field_bench.score import RULES

WIDTH, ROW, LEFT, RIGHT, TOP = 640, 22, 130, 60, 56
INK, GRID = (40, 44, 52), (222, 226, 232)
Colour = tuple[int, int, int]
COLOURS: tuple[Colour, ...] = ((150, 156, 166), (0, 110, 170), (90, 160, 200), (60, 140, 90))
METRICS = {
    "2D localisation, LangSplat's protocol": "2D localisation, map",
    "2D mIoU, LangSplat's protocol": "2D mIoU, map",
    "3D mIoU, each as it selects": f"3D mIoU, {RULES[1]}",
}


def draw_field(found: Mapping[str, Any], path: Path) -> None:
    """Write the values of every scene as a PNG.

    Args:
        found: what `bench_field` gives.
        path: the PNG.
    """
    scenes = list(found["scenes"].items())
    height = TOP + sum(ROW * (len(scenes[0][1]["rows"]) + 1) for _ in METRICS) + 24
    image = Image.new("RGB", (WIDTH * len(scenes), height), (255, 255, 255))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for i, (name, scene) in enumerate(scenes):
        draw.text((i * WIDTH + WIDTH / 2, 16), f"{name}, {scene['queries']} queries", fill=INK, font=font, anchor="ma")
        _panel(draw, font, i * WIDTH, scene["rows"])
    with atomic_path(path) as temporary:
        image.save(temporary, format="PNG")


def _panel(draw: ImageDraw.ImageDraw, font: Any, offset: int, rows: Mapping[str, Any]) -> None:
    y = TOP
    for title, metric in METRICS.items():
        draw.text((offset + 12, y), title, fill=INK, font=font)
        y += ROW
        for (name, row), colour in zip(rows.items(), COLOURS, strict=False):
            own = f"3D mIoU, {RULES[0]}" if metric.startswith("3D") and name == "LangSplat" else metric
            _bar(draw, font, (offset, y), (name, row[own], colour))
            y += ROW


def _bar(draw: ImageDraw.ImageDraw, font: Any, at: tuple[int, int], row: tuple[str, Mapping[str, Any], Colour]) -> None:
    (offset, y), (name, value, colour) = at, row
    span = WIDTH - LEFT - RIGHT
    low, high = (offset + LEFT + span * v for v in value["over_names"])
    draw.text((offset + LEFT - 8, y + 8), name, fill=INK, font=font, anchor="rm")
    draw.rectangle([offset + LEFT, y, offset + LEFT + span, y + 16], fill=GRID)
    draw.rectangle([offset + LEFT, y, offset + LEFT + span * value["mean"], y + 16], fill=colour)
    draw.line([low, y + 8, high, y + 8], fill=INK, width=2)
    draw.text((offset + WIDTH - RIGHT + 8, y + 8), f"{value['mean']:.3f}", fill=INK, font=font, anchor="lm")
