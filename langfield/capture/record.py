"""Frames to a folder in TUM's layout, from which `open_source` gives them back."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import write_bytes, write_json
from langfield.capture.rgbd import FrameSource, RgbdFrame, known_depth
from langfield.capture.types import Camera
from langfield.errors import FormatError
from langfield.progress import track

DEPTH_SCALE = 5000
"""Units of depth in a metre: rounding is at most 0.1 mm, the furthest depth 13.1 m."""


def record(source: FrameSource, out: Path) -> Path:
    """Write a stream's frames, lossless, and its lists, poses and camera; depth beyond 13.1 m becomes unknown.

    Frames keep their names where these are plain ones, with the suffix .png; labels made for them still fit by stem.

    Args:
        source: all of one camera; frames without depth or pose are listed without.
        out: folder to write into; files of the same names are replaced.

    Raises:
        FormatError: there are no frames, two of a name, or not all of one camera.
        StorageError: writing failed.
    """
    lists: dict[str, list[str]] = {"rgb": ["# time in seconds, file"], "depth": ["# time in seconds, file"]}
    poses, names, camera = ["# time tx ty tz qx qy qz qw: camera to world, OpenCV axes"], set(), None
    for frame in track(source, "frames", source.count):
        name = f"{Path(frame.name).stem}.png"
        if name in names or (camera is not None and not _same(camera, frame.camera)):
            raise FormatError("two frames of a name, or of different cameras", frame.name)
        names.add(name)
        camera = frame.camera
        _write(out, name, frame)
        lists["rgb"].append(f"{frame.time_s:.6f} rgb/{name}")
        if frame.depth_m is not None:
            lists["depth"].append(f"{frame.time_s:.6f} depth/{name}")
        if frame.has_pose:
            poses.append(pose_line(frame.time_s, frame.camera.T_world_camera))
    if camera is None:
        raise FormatError("the stream has no frames", source.name)
    for folder, rows in lists.items():
        write_bytes(out / f"{folder}.txt", "\n".join([*rows, ""]).encode())
    if len(poses) > 1:
        write_bytes(out / "groundtruth.txt", "\n".join([*poses, ""]).encode())
    write_json(out / "camera.json", _lens(camera))
    return out


def pose_line(time_s: float, T_world_camera: Float[Tensor, "4 4"]) -> str:
    """Give a row of groundtruth.txt: time, place and quaternion (qx qy qz qw)."""
    from scipy.spatial.transform import Rotation

    T = T_world_camera.detach().cpu().double().numpy()
    numbers = [*T[:3, 3], *Rotation.from_matrix(T[:3, :3]).as_quat()]
    return f"{time_s:.6f} " + " ".join(f"{x:.9f}" for x in numbers)


def _write(out: Path, name: str, frame: RgbdFrame) -> None:
    """Write one frame's picture and depth."""
    _png(out / "rgb" / name, frame.image[..., ::-1])
    if frame.depth_m is not None:
        units = np.round(known_depth(frame.depth_m) * DEPTH_SCALE)
        _png(out / "depth" / name, np.where(units <= 65535, units, 0).astype(np.uint16))


def _png(path: Path, array: np.ndarray) -> None:
    data = cv2.imencode(".png", np.ascontiguousarray(array), [cv2.IMWRITE_PNG_COMPRESSION, 3])[1]
    write_bytes(path, data.tobytes())


def _same(a: Camera, b: Camera) -> bool:
    """Say whether two cameras differ in nothing but pose and time."""
    return (a.width, a.height, a.distortion) == (b.width, b.height, b.distortion) and torch.equal(a.K, b.K)


def _lens(camera: Camera) -> dict[str, object]:
    """Give camera.json."""
    if camera.distortion is not None and camera.distortion.model != "opencv":
        raise FormatError("a fisheye camera cannot be recorded", camera.distortion.model, "undistort the frames first")
    K = camera.K.double()
    fx, fy, cx, cy = (float(v) for v in (K[0, 0], K[1, 1], K[0, 2], K[1, 2]))
    lens = list(camera.distortion.coefficients) if camera.distortion is not None else []
    size = {"width": camera.width, "height": camera.height, "depth_scale": DEPTH_SCALE}
    return {"fx": fx, "fy": fy, "cx": cx, "cy": cy, **size, "distortion": lens}
