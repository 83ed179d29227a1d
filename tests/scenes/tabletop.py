"""Reads the committed scene with plain libraries, so that its tests depend on no room."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2] / "scenes" / "tabletop"


@dataclass(frozen=True)
class Shot:
    """One frame: pose [4, 4] (OpenGL), depth [H, W] in metres, instance ids [H, W], picture's path."""

    pose: np.ndarray
    depth: np.ndarray
    instance: np.ndarray
    picture: Path


@cache
def settings() -> dict:
    """Give transforms.json."""
    return json.loads((ROOT / "transforms.json").read_text())


@cache
def names() -> dict[int, str]:
    """Give the instances' names."""
    return {int(k): v for k, v in json.loads((ROOT / "names.json").read_text()).items()}


@cache
def shots() -> tuple[Shot, ...]:
    """Give all frames."""
    unit = settings()["depth_unit_scale_factor"]
    return tuple(
        Shot(
            np.asarray(frame["transform_matrix"]),
            np.asarray(Image.open(ROOT / frame["depth_file_path"])).astype(float) * unit,
            np.asarray(Image.open(ROOT / frame["instance_file_path"])),
            ROOT / frame["file_path"],
        )
        for frame in settings()["frames"]
    )


def lift(shot: Shot) -> np.ndarray:
    """Give the world point [H, W, 3] behind each pixel's centre."""
    s = settings()
    rows, columns = np.mgrid[: s["h"], : s["w"]] + 0.5
    local = np.stack([(columns - s["cx"]) / s["fl_x"], -(rows - s["cy"]) / s["fl_y"], -np.ones_like(rows)], -1)
    return (local * shot.depth[..., None]) @ shot.pose[:3, :3].T + shot.pose[:3, 3]


def project(shot: Shot, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give pixel coordinates [N, 2] and depths [N] of world points."""
    s = settings()
    local = (points - shot.pose[:3, 3]) @ shot.pose[:3, :3]
    depth = -local[:, 2]
    at = np.stack([s["cx"] + s["fl_x"] * local[:, 0] / depth, s["cy"] - s["fl_y"] * local[:, 1] / depth], 1)
    return at, depth
