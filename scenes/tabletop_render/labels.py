"""Labels in the LERF-OVS layout, cut out of the exact instance masks."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from tabletop_objects.geometry import Mesh, merge
from tabletop_objects.things import Thing

from tabletop_render.cameras import View

FEWEST_PIXELS = 150
LEAST_VISIBLE = 0.30
FEWEST_PIXELS_PIECE = 8


def surface_points(thing: Thing, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw points [count, 3] evenly over a thing's surface."""
    mesh = merge(*(Mesh(p.mesh.vertices, p.mesh.faces) for p in thing.parts))
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    pick = rng.choice(len(area), count, p=area / area.sum())
    r, s = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return (1 - r) * a[pick] + r * (1 - s) * b[pick] + r * s * c[pick]


def project(view: View, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give pixel coordinates [N, 2] (pixel centres at +0.5) and depths [N] in metres."""
    local = (points - view.pose[:3, 3]) @ view.pose[:3, :3]
    depth = -local[:, 2]
    x = view.width / 2 + view.focal * local[:, 0] / depth
    y = view.height / 2 - view.focal * local[:, 1] / depth
    return np.stack([x, y], 1), depth


def whole_area(view: View, points: np.ndarray) -> float:
    """Estimate how many pixels a thing would cover if nothing hid it and the picture had no border."""
    at, depth = project(view, points)
    if depth.min() <= 0.05:
        return np.inf
    cell = np.floor(at / 2).astype(int)
    cell -= cell.min(0) - 2
    grid = np.zeros((cell[:, 1].max() + 3, cell[:, 0].max() + 3), np.uint8)
    grid[cell[:, 1], cell[:, 0]] = 1
    # Border cells are only half covered on average; the opening's loss and their gain about cancel.
    return 4.0 * float(cv2.morphologyEx(grid, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8)).sum())


def pieces(mask: np.ndarray) -> list[np.ndarray]:
    """Give the outlines [K, 2] (pixel indices) of a mask's connected pieces, leaving crumbs out."""
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    kept = [o for o in outlines if cv2.contourArea(o) >= FEWEST_PIXELS_PIECE]
    return [cv2.approxPolyDP(o, 0.5, True)[:, 0] for o in kept]


def label(name: str, view: View, instance: np.ndarray, things: list[Thing], clouds: list[np.ndarray]) -> dict[str, Any]:
    """Give one frame's label file.

    Args:
        name: the picture's file name.
        instance: [H, W] ids, 1 + place in `things`.
        clouds: surface points of each thing.
    """
    objects = []
    for k, thing in enumerate(things):
        mask = instance == k + 1
        seen = int(mask.sum())
        if seen < FEWEST_PIXELS or seen / whole_area(view, clouds[k]) < LEAST_VISIBLE:
            continue
        for outline in pieces(mask):
            (x0, y0), (x1, y1) = outline.min(0), outline.max(0)
            objects.append({
                "category": thing.name, "group": k + 1, "segmentation": outline.astype(float).tolist(),
                "area": float(cv2.contourArea(outline)), "layer": 1.0,
                "bbox": [float(x0), float(y0), float(x1), float(y1)], "iscrowd": 0, "note": "",
            })  # fmt: skip
    info = {"name": name, "width": view.width, "height": view.height, "depth": 3, "note": "from exact instance masks"}
    return {"info": info, "objects": objects}
