"""The scene's files: pictures, depth, masks, transforms.json, start points, names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from langfield.artefacts import atomic_path, write_bytes
from langfield.errors import FormatError
from tabletop_render.cameras import View

MILLIMETRE = 0.001


def frame_name(index: int) -> str:
    """Give the stem all files of a frame share."""
    return f"frame_{index:03d}"


def write_png(path: Path, image: np.ndarray) -> None:
    """Write a picture [H, W(, 3)] of uint8 or uint16, as small as PNG gets."""
    colour = image[..., ::-1] if image.ndim == 3 else image
    done, data = cv2.imencode(".png", colour, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    if not done:
        raise FormatError("picture could not be encoded", path)
    write_bytes(path, data.tobytes())


def write_mask(path: Path, instance: np.ndarray) -> None:
    """Write ids as a palette picture: pixel values are the ids, colours are only for the eye."""
    colours = np.random.default_rng(1).integers(60, 256, (256, 3), dtype=np.uint8)
    colours[0] = 0
    image = Image.fromarray(instance.astype(np.uint8), mode="P")
    image.putpalette(colours.ravel().tolist())
    with atomic_path(path) as temporary:
        image.save(temporary, optimize=True)


def write_depth(path: Path, depth: np.ndarray) -> None:
    """Write depth along the optical axis as 16-bit millimetres."""
    write_png(path, np.round(depth / MILLIMETRE).clip(0, 65535).astype(np.uint16))


def write_points(path: Path, xyz: np.ndarray, rgb: np.ndarray) -> None:
    """Write start points (metres, uint8 sRGB) as binary PLY."""
    table = np.empty(len(xyz), dtype=[("p", "<f4", 3), ("c", "u1", 3)])
    table["p"], table["c"] = xyz, rgb
    head = ["ply", "format binary_little_endian 1.0", f"element vertex {len(xyz)}"]
    head += [f"property float {n}" for n in "xyz"] + [f"property uchar {n}" for n in ("red", "green", "blue")]
    write_bytes(path, "\n".join([*head, "end_header", ""]).encode() + table.tobytes())


def transforms(views: list[View], seed: int) -> dict[str, Any]:
    """Give nerfstudio's transforms.json: OpenGL camera axes, world +z up, metres."""
    v = views[0]
    frames = [
        {
            "file_path": f"images/{frame_name(i)}.png",
            "depth_file_path": f"depth/{frame_name(i)}.png",
            "instance_file_path": f"masks/{frame_name(i)}.png",
            "transform_matrix": view.pose.round(9).tolist(),
        }
        for i, view in enumerate(views)
    ]
    return {
        "camera_model": "PINHOLE",
        "w": v.width,
        "h": v.height,
        "fl_x": v.focal,
        "fl_y": v.focal,
        "cx": v.width / 2,
        "cy": v.height / 2,
        "k1": 0.0,
        "k2": 0.0,
        "p1": 0.0,
        "p2": 0.0,
        "unit": "metre",
        "depth_unit_scale_factor": MILLIMETRE,
        "ply_file_path": "points3D.ply",
        "seed": seed,
        "note": "camera to world, OpenGL axes, world +z up; frames[::3] are twelve views evenly round the table",
        "frames": frames,
    }
