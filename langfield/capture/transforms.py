"""nerfstudio's transforms.json, which Polycam, Record3D and Blender captures come as."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from langfield.artefacts import read_json
from langfield.capture.checks import (
    check_frames,
    check_size,
    inside,
    intrinsics,
    names_below_common_folder,
    number,
    pose,
    side,
)  # fmt: skip
from langfield.capture.images import SUFFIXES, stored_size
from langfield.capture.points import no_points, read_ply_points
from langfield.capture.types import Camera, Capture, Distortion, Frame, Points
from langfield.errors import FormatError

FILE = "transforms.json"
MAX_FRAMES = 100_000
OPENGL_TO_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
"""Camera axes: nerfstudio's y points up and z backwards, ours down and forwards."""
_PERSPECTIVE = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")
_FISHEYE = ("OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "FISHEYE")
_BESIDE = ("points3D.ply", "sparse_pc.ply")
"""Point files that tools leave beside transforms.json without naming them in it."""


def find(path: Path) -> Path | None:
    """Give the transforms.json that `path` is or holds."""
    if path.is_file():
        return path if path.suffix == ".json" else None
    return path / FILE if (path / FILE).is_file() else None


def read(file: Path, allow_outside: bool = False, damaged: dict[str, str] | None = None) -> Capture:
    """Read a transforms.json; camera axes are turned to OpenCV's, the world stays as it is.

    Args:
        file: what `find` gave.
        allow_outside: accept pictures and points outside the file's folder.
        damaged: see `langfield.capture.read_capture`.

    Raises:
        FormatError: anything in it is missing, not finite, not rigid or outside the scene.
    """
    return build(read_meta(file), file, allow_outside, damaged)


def read_meta(file: Path) -> dict[str, Any]:
    """Read a file of transforms and check that it holds a list of frames.

    Raises:
        FormatError: it is missing, not JSON, or has no such list.
    """
    meta = read_json(file)
    entries = meta.get("frames") if isinstance(meta, dict) else None
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise FormatError(f"{file.name} has no list of frames", file)
    if len(entries) > MAX_FRAMES:
        raise FormatError(f"{len(entries)} frames exceed the limit of {MAX_FRAMES}", file)
    return meta


def build(meta: Mapping[str, Any], file: Path, allow_outside: bool, damaged: dict[str, str] | None = None) -> Capture:
    """Build a capture from what a transforms.json says.

    Args:
        meta: checked by `read_meta`; a frame's own values stand above the file's.
        file: what to name in errors; paths are relative to its folder.
        allow_outside: accept pictures and points outside that folder.
        damaged: see `langfield.capture.read_capture`.

    Raises:
        FormatError: anything in it is missing, not finite, not rigid or outside the scene.
    """
    root, entries = file.parent, meta["frames"]
    paths = [_picture(root, entry, allow_outside, f"{file}, frame {i}") for i, entry in enumerate(entries)]
    names = names_below_common_folder([text for text, _ in paths])
    places = [_places(root, entry, allow_outside, f"{file}, frame {i}") for i, entry in enumerate(entries)]
    bare = [
        Frame(name, path, _no_camera(), mask_path=mask, depth_path=depth)
        for name, (_, path), (mask, depth) in zip(names, paths, places, strict=True)
    ]
    check_frames(bare, file)
    frames = [
        replace(f, camera=_camera({**meta, **entry}, stored, f"{file}, '{f.name}'"))
        for f, entry in zip(bare, entries, strict=True)
        if (stored := stored_size(f.path, f.name, damaged)) is not None
    ]
    points, notes = _points(root, meta, allow_outside, file)
    if "applied_transform" in meta:
        notes += ("poses are used as transforms.json has them; its applied_transform is not undone",)
    unit = "metre" if meta.get("unit") in ("metre", "meter", "m") else "unknown"
    return Capture(root, check_frames(frames, file), points, "nerfstudio transforms", unit, notes)


def _no_camera() -> Camera:
    return Camera(torch.eye(3), 1, 1, torch.eye(4))


def _picture(root: Path, entry: Mapping[str, Any], allow_outside: bool, where: str) -> tuple[str, Path]:
    """Give a frame's path as written (with the suffix found on disk) and as a file."""
    text = entry.get("file_path")
    path = inside(root, text, allow_outside, where)
    if path.suffix.lower() not in SUFFIXES and not path.is_file():
        for suffix in (s for lower in SUFFIXES for s in (lower, lower.upper())):
            longer = inside(root, f"{text}{suffix}", allow_outside, where)
            if longer.is_file():
                return f"{text}{suffix}", longer
    return str(text), path


def _places(root: Path, entry: Mapping[str, Any], allow_outside: bool, where: str) -> tuple[Path | None, Path | None]:
    """Give a frame's mask and depth files, where named."""
    mask, depth = (
        inside(root, entry[key], allow_outside, where) if entry.get(key) is not None else None
        for key in ("mask_path", "depth_file_path")
    )
    return mask, depth


def _camera(values: Mapping[str, Any], stored: tuple[int, int], where: str) -> Camera:
    """Build a frame's camera from its own values over the file's, and the picture's size."""
    width = side(values["w"], "w", where) if "w" in values else stored[0]
    height = side(values["h"], "h", where) if "h" in values else stored[1]
    focal = [_focal(values, axis, pixels, where) for axis, pixels in (("x", width), ("y", height))]
    fx, fy = (one if one is not None else other for one, other in (focal, focal[::-1]))
    if fx is None or fy is None:
        raise FormatError("neither fl_x nor camera_angle_x is given", where)
    cx, cy = (number(values.get(k, half / 2), k, where) for k, half in (("cx", width), ("cy", height)))
    K = intrinsics(fx, fy, cx, cy, where)
    time_s = number(values["time"], "time", where) if values.get("time") is not None else None
    camera = Camera(K, width, height, _pose(values, where), _distortion(values, where), time_s)
    check_size(camera, stored, where)
    return camera


def _focal(values: Mapping[str, Any], axis: str, pixels: int, where: str) -> float | None:
    """Give a focal length in pixels, from fl_* or from the field of view."""
    if values.get(f"fl_{axis}") is not None:
        return number(values[f"fl_{axis}"], f"fl_{axis}", where)
    if values.get(f"camera_angle_{axis}") is None:
        return None
    angle = number(values[f"camera_angle_{axis}"], f"camera_angle_{axis}", where)
    if not 0 < angle < math.pi:
        raise FormatError(f"camera_angle_{axis} is not between 0 and pi: {angle}", where)
    return 0.5 * pixels / math.tan(0.5 * angle)


def _pose(values: Mapping[str, Any], where: str) -> torch.Tensor:
    """Give camera to world with OpenCV camera axes."""
    rows = values.get("transform_matrix")
    shaped = isinstance(rows, list) and len(rows) in (3, 4) and all(isinstance(r, list) and len(r) == 4 for r in rows)
    if not shaped or not all(isinstance(v, (int, float)) for row in rows or () for v in row):
        raise FormatError("transform_matrix is not 4 rows of 4 numbers", where)
    try:
        T = torch.tensor([[float(v) for v in row] for row in rows or ()], dtype=torch.float64)
    except OverflowError as error:
        raise FormatError("camera pose holds NaN or infinite numbers", where) from error
    if len(T) == 3:
        T = torch.cat([T, torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)])
    return pose(T, where) @ OPENGL_TO_OPENCV


def _distortion(values: Mapping[str, Any], where: str) -> Distortion | None:
    """Give the lens distortion, or None where all coefficients are zero."""
    model = values.get("camera_model", "OPENCV")
    k1, k2, k3, k4, p1, p2 = (number(values.get(k, 0.0), k, where) for k in ("k1", "k2", "k3", "k4", "p1", "p2"))
    if model in _FISHEYE or values.get("is_fisheye") is True:
        return Distortion("fisheye", (k1, k2, k3, k4))
    if model not in _PERSPECTIVE:
        raise FormatError(f"camera model {model!r:.40} is not supported", where, "undistort the pictures first")
    if k4 != 0:
        raise FormatError("k4 of a perspective camera is not supported", where, "undistort the pictures first")
    return Distortion("opencv", (k1, k2, p1, p2, k3)) if any((k1, k2, p1, p2, k3)) else None


def _points(root: Path, meta: Mapping[str, Any], allow_outside: bool, file: Path) -> tuple[Points, tuple[str, ...]]:
    """Give start points from the named PLY, or one beside the file, or none; with what to say about it."""
    if meta.get("ply_file_path") is not None:
        return read_ply_points(inside(root, meta["ply_file_path"], allow_outside, file)), ()
    for name in _BESIDE:
        if (root / name).is_file():
            return read_ply_points(inside(root, name, allow_outside, file)), (f"start points are from {name}",)
    return no_points(), ("no start points in this capture; random ones will be made",)
