"""Captures to files that other tools read: transforms.json and a PLY of points."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from langfield import artefacts
from langfield.capture.transforms import OPENGL_TO_OPENCV
from langfield.capture.types import Camera, Capture, Points
from langfield.errors import FormatError

_PLY_HEADER = "ply\nformat binary_little_endian 1.0\nelement vertex {}\n{}{}end_header\n"
_XYZ = "".join(f"property float {name}\n" for name in "xyz")
_RGB = "".join(f"property uchar {name}\n" for name in ("red", "green", "blue"))


def write_ply_points(path: Path, points: Points) -> None:
    """Write points as a binary PLY.

    Raises:
        StorageError: writing failed.
    """
    rows = np.empty(len(points.xyz), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    rows["xyz"], rows["rgb"] = points.xyz.numpy(), points.rgb.numpy()
    artefacts.write_bytes(path, _PLY_HEADER.format(len(rows), _XYZ, _RGB).encode() + rows.tobytes())


def write_transforms(path: Path, capture: Capture, points_file: str | None = None) -> None:
    """Write a capture whose pictures lie below the file's folder as nerfstudio's transforms.json.

    Args:
        path: where to write; picture paths become relative to its folder.
        capture: the world and its unit stay as they are.
        points_file: name of a PLY in the same folder.

    Raises:
        FormatError: a lens has terms that transforms.json cannot say.
        StorageError: writing failed.
    """
    meta: dict[str, Any] = {"camera_model": "OPENCV"}
    if points_file is not None:
        meta["ply_file_path"] = points_file
    if capture.unit != "unknown":
        meta["unit"] = capture.unit
    meta["frames"] = [
        {
            "file_path": frame.path.relative_to(path.parent).as_posix(),
            **_intrinsics(frame.camera, frame.path),
            "transform_matrix": (frame.camera.T_world_camera.double() @ OPENGL_TO_OPENCV).tolist(),
        }
        for frame in capture.frames
    ]
    models = {frame["camera_model"] for frame in meta["frames"]}
    meta["camera_model"] = "OPENCV_FISHEYE" if "OPENCV_FISHEYE" in models else "OPENCV"
    artefacts.write_json(path, meta)


def _intrinsics(camera: Camera, where: Path) -> dict[str, Any]:
    """Give a camera in transforms.json's words."""
    K = camera.K.double()
    values: dict[str, Any] = {
        "camera_model": "OPENCV", "w": camera.width, "h": camera.height, "fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]),
        "cx": float(K[0, 2]), "cy": float(K[1, 2]),
    }  # fmt: skip
    if camera.time_s is not None:
        values["time"] = camera.time_s
    if camera.distortion is None:
        return values
    fisheye = camera.distortion.model == "fisheye"
    names = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2", "k3")
    if any(camera.distortion.coefficients[len(names) :]):
        raise FormatError("lens distortion has terms that transforms.json cannot hold", where)
    values |= dict(zip(names, camera.distortion.coefficients, strict=False))
    return values | {"camera_model": "OPENCV_FISHEYE" if fisheye else "OPENCV"}
