"""The town's files: photos, id maps, cameras, names, labels, start points."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tabletop_render.cameras import View
from tabletop_render.files import write_points

from langfield.artefacts import write_bytes, write_json
from langfield.errors import FormatError
from town.paint import ground, surface
from town.photo import Photo, Survey
from town.plan import CELL_M, Town
from town.shapes import BOX, Shapes

MILLIMETRE = 0.001
FEWEST_PX, FEWEST_PX_PIECE = 60, 8


def name(index: int) -> str:
    """Give the stem all files of a photo share."""
    return f"town_{index:05d}"


def write_photo(out: Path, index: int, photo: Photo) -> None:
    """Write id map, depth, and last the picture, by which the photo counts as done."""
    _write(out / "masks" / f"{name(index)}.png", photo.ids, ".png", [cv2.IMWRITE_PNG_COMPRESSION, 3])
    depth = np.where(np.isfinite(photo.depth), photo.depth / MILLIMETRE, 0).round().clip(0, 65535)
    _write(out / "depth" / f"{name(index)}.png", depth.astype(np.uint16), ".png", [cv2.IMWRITE_PNG_COMPRESSION, 1])
    jpeg = [cv2.IMWRITE_JPEG_QUALITY, 95]
    _write(out / "images" / f"{name(index)}.jpg", np.ascontiguousarray(photo.picture[..., ::-1]), ".jpg", jpeg)


def _write(path: Path, image: np.ndarray, suffix: str, how: list[int]) -> None:
    done, data = cv2.imencode(suffix, image, how)
    if not done:
        raise FormatError("picture could not be encoded", path)
    write_bytes(path, data.tobytes())


def write_cameras(out: Path, survey: Survey) -> None:
    """Write nerfstudio's transforms.json: OpenGL axes, world +z up, metres."""
    first = survey.view(0)
    lens = {"fl_x": first.focal, "fl_y": first.focal, "cx": first.width / 2, "cy": first.height / 2}
    frames = [_frame(i, survey.view(i)) for i in range(survey.photos)]
    head = {"camera_model": "PINHOLE", "w": first.width, "h": first.height, **lens, "unit": "metre"}
    rest = {"depth_unit_scale_factor": MILLIMETRE, "ply_file_path": "points3D.ply", "seed": survey.seed}
    write_json(out / "transforms.json", {**head, **rest, "frames": frames})


def _frame(index: int, view: View) -> dict[str, Any]:
    stem = name(index)
    files = {"file_path": f"images/{stem}.jpg", "depth_file_path": f"depth/{stem}.png"}
    return {**files, "instance_file_path": f"masks/{stem}.png", "transform_matrix": view.pose.round(9).tolist()}


def write_labels(out: Path, index: int, photo: Photo) -> None:
    """Write a photo's labels in the LERF-OVS layout, cut out of its id map; crumbs are left out."""
    objects = []
    for thing, pixels in zip(*np.unique(photo.ids[photo.ids > 0], return_counts=True), strict=True):
        for outline in _outlines(photo.ids == thing) if pixels >= FEWEST_PX else ():
            (x0, y0), (x1, y1) = outline.min(0).tolist(), outline.max(0).tolist()
            where = {"segmentation": outline.astype(float).tolist(), "bbox": [x0, y0, x1, y1]}
            objects.append({"category": photo.names[int(thing)], "group": int(thing), **where})
    info = {"name": f"{name(index)}.jpg", "width": photo.view.width, "height": photo.view.height}
    write_json(out / "label" / f"{name(index)}.json", {"info": info, "objects": objects})


def _outlines(mask: np.ndarray) -> list[np.ndarray]:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [o[:, 0] for o in found if cv2.contourArea(o) >= FEWEST_PX_PIECE]


def write_start_points(out: Path, town: Town, per_cell: int) -> None:
    """Write start points: places on what stands in each cell and on the ground, with their colours."""
    parts = list(_points(town, per_cell))
    write_points(out / "points3D.ply", *(np.concatenate([p[k] for p in parts]) for k in range(2)))


def _points(town: Town, per_cell: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    span = range(-1, town.side + 1)
    for i in span:
        for j in span:
            rng = np.random.default_rng((town.seed, 2, i + 2**20, j + 2**20))
            below = np.concatenate([rng.uniform(0, CELL_M, (per_cell // 3, 2)), np.zeros((per_cell // 3, 1))], 1)
            below[:, :2] += np.array([i, j]) * CELL_M
            yield below, _bytes(ground(below, CELL_M))
            shapes = town.cell(i, j).shapes
            if len(shapes):
                yield _on(shapes, per_cell - len(below), rng)


def _on(shapes: Shapes, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw points on the sides and tops of shapes, about evenly by area."""
    x, y, z = shapes.half.T
    area = np.stack([y * z, y * z, x * z, x * z, x * y], 1)  # sides, top
    pick = rng.choice(area.size, count, p=(area / area.sum()).ravel())
    row, side = np.divmod(pick, 5)
    local = rng.uniform(-1, 1, (count, 3))
    local[np.arange(count), [0, 0, 1, 1, 2] @ (side == np.arange(5)[:, None])] = np.where(side % 2 == 0, 1.0, -1.0)
    own = shapes[row]
    local = np.where((own.form == BOX)[:, None], local, local / np.linalg.norm(local, axis=1, keepdims=True))
    a, b, c = (local * own.half).T
    cosine, sine = own.turn.T
    position = own.centre + np.stack([cosine * a - sine * b, sine * a + cosine * b, c], 1)
    return position, _bytes(surface(own, local, position))


def _bytes(colour: np.ndarray) -> np.ndarray:
    return (colour.clip(0, 1) * 255).round().astype(np.uint8)
