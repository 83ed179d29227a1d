"""The layout of Nerfies and HyperNeRF: dataset.json, metadata.json, scene.json, camera/ID.json, rgb/2x/ID.png."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import read_json
from langfield.capture.checks import MAX_SIDE_PX, check_frames, inside, intrinsics, number, pose
from langfield.capture.images import check_picture
from langfield.capture.points import make_points, no_points
from langfield.capture.types import Camera, Capture, Distortion, Frame, Points
from langfield.errors import FormatError
from langfield.npy import read_npy

FILE = "dataset.json"
FACTORS = (1, 2, 4, 8, 16)
"""How much smaller than the camera's the pictures in rgb/1x, rgb/2x, ... are."""
TIMES = ("warp_id", "time_id", "appearance_id")
"""What says when a picture was taken, in order of preference."""
MAX_FRAMES = 100_000
MAX_SIZE_CHANGE_PX = 2.0


def find(path: Path) -> Path | None:
    """Give the folder that holds dataset.json and metadata.json."""
    return path if (path / FILE).is_file() and (path / "metadata.json").is_file() else None


def read(folder: Path, allow_outside: bool = False) -> Capture:
    """Read a Nerfies or HyperNeRF capture, pictures at the largest size that is there; the world stays as it is.

    Times are the pictures' warp ids over the largest of all, 0 to 1.

    Args:
        folder: what `find` gave.
        allow_outside: accept pictures outside the folder.

    Raises:
        FormatError: a file or picture is missing, a camera cannot be used, an id is no file name or has no time.
    """
    dataset = read_json(folder / FILE)
    ids, held = (_ids(dataset, key, folder / FILE) for key in ("ids", "val_ids"))
    times = _times(read_json(folder / "metadata.json"), ids, folder / "metadata.json")
    factor = next((f for f in FACTORS if (folder / "rgb" / f"{f}x").is_dir()), None)
    if factor is None:
        raise FormatError("there are no pictures in rgb/1x, rgb/2x, ...", folder)
    held_out = set(held)
    frames = []
    for name in ids:
        path = inside(folder, f"rgb/{factor}x/{name}.png", allow_outside, folder / FILE)
        split = ("test" if name in held_out else "train") if held_out else None
        file = inside(folder, f"camera/{name}.json", allow_outside, folder / FILE)
        frames.append(Frame(f"{name}.png", path, _camera(file, path, factor, times[name]), split=split))
    points, notes = _points(folder)
    return Capture(folder, check_frames(frames, folder / FILE), points, "nerfies", "unknown", notes)


def _ids(dataset: Any, key: str, where: Path) -> list[str]:
    """Give a list of picture ids, each of which is a plain file name."""
    ids = dataset.get(key, []) if isinstance(dataset, dict) else None
    if not isinstance(ids, list) or len(ids) > MAX_FRAMES:
        raise FormatError(f"{FILE} has no list of {key}", where)
    for name in ids:
        if not isinstance(name, str) or not 0 < len(name) < 200 or "/" in name or "\0" in name or name in (".", ".."):
            raise FormatError(f"{name!r:.80} is not the id of a picture", where)
    return ids


def _times(metadata: Any, ids: list[str], where: Path) -> dict[str, float]:
    """Give each picture's time, 0 to 1."""
    raw: dict[str, float] = {}
    for name in ids:
        entry = metadata.get(name) if isinstance(metadata, dict) else None
        entry = entry if isinstance(entry, dict) else {}
        key = next((k for k in TIMES if entry.get(k) is not None), None)
        if key is None:
            raise FormatError(f"metadata.json has no {TIMES[0]} for '{name:.120}'", where)
        raw[name] = number(entry[key], key, where)
    if any(value < 0 for value in raw.values()):
        raise FormatError(f"a {TIMES[0]} is negative", where)
    last = max(raw.values(), default=0.0)
    return {name: value / last if last > 0 else 0.0 for name, value in raw.items()}


def _camera(file: Path, picture: Path, factor: int, time: float) -> Camera:
    """Give the camera of a picture that is `factor` times smaller than its camera file says."""
    data = read_json(file)
    if not isinstance(data, dict):
        raise FormatError("camera file holds no JSON object", file)
    fx = number(data.get("focal_length"), "focal_length", file)
    if number(data.get("skew", 0.0), "skew", file) != 0:
        raise FormatError("a camera with skew is not supported", file)
    fy = fx * number(data.get("pixel_aspect_ratio", 1.0), "pixel_aspect_ratio", file)
    cx, cy = _numbers(data, "principal_point", 2, file)
    width, height = _numbers(data, "image_size", 2, file)
    stored = check_picture(picture)
    change = [abs(s * factor - full) for s, full in zip(stored, (width, height), strict=True)]
    if max(change) > MAX_SIZE_CHANGE_PX * factor or not 1 <= min(width, height) <= max(width, height) <= MAX_SIDE_PX:
        raise FormatError(f"picture is {stored[0]}x{stored[1]}, not 1/{factor} of {width:g}x{height:g}", picture)
    K = intrinsics(fx, fy, cx, cy, file) * torch.tensor([[stored[0] / width], [stored[1] / height], [1.0]]).double()
    return Camera(K, *stored, _pose(data, file), _distortion(data, file), time)


def _pose(data: Mapping[str, Any], file: Path) -> Float[Tensor, "4 4"]:
    """Give camera to world; the file holds the rotation the other way round, and OpenCV axes."""
    rows = data.get("orientation")
    if not isinstance(rows, list) or len(rows) != 3 or not all(isinstance(r, list) and len(r) == 3 for r in rows):
        raise FormatError("orientation is not 3 rows of 3 numbers", file)
    R = torch.tensor([[number(v, "orientation", file) for v in row] for row in rows], dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = R.T
    T[:3, 3] = torch.tensor(_numbers(data, "position", 3, file), dtype=torch.float64)
    return pose(T, file)


def _distortion(data: Mapping[str, Any], file: Path) -> Distortion | None:
    k1, k2, k3 = _numbers(data, "radial_distortion", 3, file, (0.0, 0.0, 0.0))
    p1, p2 = _numbers(data, "tangential_distortion", 2, file, (0.0, 0.0))
    return Distortion("opencv", (k1, k2, p1, p2, k3)) if any((k1, k2, p1, p2, k3)) else None


def _numbers(
    data: Mapping[str, Any], key: str, many: int, file: Path, without: tuple[float, ...] | None = None
) -> tuple[float, ...]:
    """Give a list of numbers, or what stands for a missing one."""
    values = data.get(key)
    if values is None and without is not None:
        return without
    if not isinstance(values, list) or len(values) != many:
        raise FormatError(f"{key} is not {many} numbers", file)
    return tuple(number(v, key, file) for v in values)


def _points(folder: Path) -> tuple[Points, tuple[str, ...]]:
    """Give the start points of points.npy, where it is there."""
    path = folder / "points.npy"
    if not path.is_file():
        return no_points(), ("no start points in this capture; random ones will be made",)
    xyz = read_npy(path)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise FormatError(f"points have the shape {list(xyz.shape)}, not [P, 3]", path)
    return make_points(xyz.astype(np.float64), None, path), ("start points are from points.npy, without colours",)
