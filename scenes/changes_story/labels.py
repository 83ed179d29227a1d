"""Outlines from the exact masks, in two layouts: LERF-OVS, and the COCO file that 4D LangSplat's evaluation reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tabletop_render.labels import label, pieces, surface_points
from tabletop_render.tracer import Truth

from changes_story.files import Shot
from changes_story.story import moving_things, still_things
from langfield.artefacts import write_bytes, write_json

FEWEST_PIXELS = 20


def write_lerf(out: Path, shots: list[Shot], truths: list[Truth], count: int) -> None:
    """Write labels in the LERF-OVS layout for `count` of the moving camera's frames."""
    moving = [(s, t) for s, t in zip(shots, truths, strict=True) if s.camera == "moving"]
    for i in np.linspace(4, len(moving) - 5, count).astype(int):
        shot, truth = moving[i]
        things = [*moving_things(shot.step), *still_things()]
        rng = np.random.default_rng(int(i))
        clouds = [surface_points(thing, 40000, rng) for thing in things]
        data = label(f"{shot.stem}.jpg", shot.view, truth.instance, things, clouds)
        write_json(out / "label" / f"{shot.stem}.json", data)


def write_coco(out: Path, shots: list[Shot], truths: list[Truth], names: list[str]) -> None:
    """Write annotations/CAMERA/_annotations.coco.json: every frame, one annotation per visible piece."""
    for folder, camera in (("train", "moving"), ("test", "second")):
        rows = [(s, t) for s, t in zip(shots, truths, strict=True) if s.camera == camera]
        path = out / "annotations" / folder / "_annotations.coco.json"
        write_bytes(path, compact(coco(rows, names)))


def coco(rows: list[tuple[Shot, Truth]], names: list[str]) -> dict[str, Any]:
    """Give a COCO file's data; categories are the things' names, their ids the instances'."""
    annotations: list[dict[str, Any]] = []
    for image, (_, truth) in enumerate(rows):
        for k in range(1, len(names) + 1):
            mask = truth.instance == k
            for outline in pieces(mask) if mask.sum() >= FEWEST_PIXELS else []:
                (x0, y0), (x1, y1) = outline.min(0).tolist(), outline.max(0).tolist()
                annotations.append({
                    "id": len(annotations), "image_id": image, "category_id": k, "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": float(cv2.contourArea(outline)), "segmentation": [outline.ravel().tolist()], "iscrowd": 0,
                })  # fmt: skip
    images = [
        {"id": i, "file_name": f"{s.stem}.jpg", "height": s.view.height, "width": s.view.width}
        for i, (s, _) in enumerate(rows)
    ]
    categories = [{"id": k + 1, "name": name, "supercategory": "objects"} for k, name in enumerate(names)]
    about = {"description": "outlines of exact instance masks; several pieces of a thing are several annotations"}
    return {"info": about, "categories": categories, "images": images, "annotations": annotations}


def compact(data: dict[str, Any]) -> bytes:
    """Write JSON with a line per list entry, so that the file is small and can still be read."""
    import json

    parts = []
    for key, value in data.items():
        text = json.dumps(value)
        if isinstance(value, list):
            text = "[\n" + ",\n".join(json.dumps(v, separators=(",", ":")) for v in value) + "\n]"
        parts.append(f"{json.dumps(key)}: {text}")
    return ("{" + ",\n".join(parts) + "}\n").encode()
