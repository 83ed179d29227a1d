"""Neu3D's layout: poses_bounds.npy and camNN.mp4, or the frames of each in camNN/images.

Cameras and videos go together in the order of their names. Frames of videos are written once to camNN/images, at half
size, which is where 4DGS and 4D LangSplat keep them too. The first camera is held out, as in the paper (Li et al.
2022).
"""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import write_bytes
from langfield.capture.checks import check_frames, inside, intrinsics, pose
from langfield.capture.images import SUFFIXES, check_picture
from langfield.capture.points import no_points
from langfield.capture.transforms import OPENGL_TO_OPENCV
from langfield.capture.types import Camera, Capture, Frame
from langfield.capture.video import decode_frames, frame_size
from langfield.errors import FormatError, StorageError
from langfield.npy import read_npy
from langfield.progress import track

FILE = "poses_bounds.npy"
MAX_CAMERAS = 1_000
MAX_FRAMES = 100_000
VIDEO_SHRINK = 2
MAX_SIZE_CHANGE = 0.01


def find(path: Path) -> Path | None:
    """Give the folder that holds poses_bounds.npy and a camera's video or frames."""
    return path if (path / FILE).is_file() and _cameras(path) else None


def read(folder: Path, allow_outside: bool = False) -> Capture:
    """Read a Neu3D capture; times run from 0 to 1 over each camera's frames.

    Args:
        folder: what `find` gave.
        allow_outside: accept videos and frames outside the folder.

    Raises:
        FormatError: cameras and videos differ in number, a pose is not rigid, a video or picture cannot be read.
        StorageError: a video's frames cannot be written.
    """
    poses, sizes = _poses(folder / FILE)
    names = _cameras(folder)
    if len(names) != len(poses):
        raise FormatError(f"{len(poses)} poses for {len(names)} videos or folders of frames", folder)
    frames = []
    for name, T, size in zip(names, poses, sizes, strict=True):
        split = "test" if name == names[0] else "train"
        pictures = _pictures(folder, name, allow_outside)
        for index, path in enumerate(pictures):
            camera = _camera(T, size, path, index / max(1, len(pictures) - 1))
            frames.append(Frame(f"{name}/{path.name}", path, camera, split=split))
    if len(frames) > MAX_FRAMES:
        raise FormatError(f"{len(frames)} frames exceed the limit of {MAX_FRAMES}", folder)
    notes = (f"camera {names[0]} is held out", "no start points in this capture; random ones will be made")
    return Capture(folder, check_frames(frames, folder / FILE), no_points(), "llff", "unknown", notes)


def _cameras(folder: Path) -> list[str]:
    """Give the names of cameras that have a video or frames, in order."""
    videos = {p.stem for p in folder.glob("cam*.mp4")}
    found = sorted(videos | {p.parent.name for p in folder.glob("cam*/images") if p.is_dir()})
    return found[: MAX_CAMERAS + 1]


def _poses(file: Path) -> tuple[list[Float[Tensor, "4 4"]], list[tuple[float, float, float]]]:
    """Give camera to world (OpenCV axes) and height, width, focal length in pixels of every camera."""
    rows = read_npy(file).astype(np.float64)
    if rows.ndim != 2 or rows.shape[1] != 17 or not 1 <= len(rows) <= MAX_CAMERAS:
        raise FormatError(f"poses of shape {list(rows.shape)}, not [cameras, 17]", file)
    table = torch.from_numpy(rows[:, :15].reshape(-1, 3, 5))
    poses = []
    for i, matrix in enumerate(table):
        T = torch.eye(4, dtype=torch.float64)
        # Columns are down, right, backwards; ours in OpenGL terms right, up, backwards.
        T[:3] = torch.stack([matrix[:, 1], -matrix[:, 0], matrix[:, 2], matrix[:, 3]], dim=1)
        poses.append(pose(T, f"{file}, camera {i}") @ OPENGL_TO_OPENCV)
    sizes = [(float(h), float(w), float(f)) for h, w, f in table[:, :, 4].tolist()]
    return poses, sizes


def _camera(T: Float[Tensor, "4 4"], size: tuple[float, float, float], path: Path, time: float) -> Camera:
    """Give a frame's camera, its focal length scaled to the picture's size."""
    height, width, focal = size
    stored = check_picture(path)
    if not (0 < height < 1e6 and 0 < width < 1e6):
        raise FormatError(f"a camera's picture size is {width}x{height}", path)
    scale = stored[0] / width
    if abs(stored[1] / height / scale - 1) > MAX_SIZE_CHANGE:
        raise FormatError(f"picture is {stored[0]}x{stored[1]}, of another shape than {width:g}x{height:g}", path)
    K = intrinsics(focal * scale, focal * scale, stored[0] / 2, stored[1] / 2, path)
    return Camera(K, *stored, T, None, time)


def _pictures(folder: Path, name: str, allow_outside: bool) -> list[Path]:
    """Give a camera's frames in order; those of a video are written first, all or none."""
    home = folder / name / "images"
    if not home.is_dir():
        _extract(inside(folder, f"{name}.mp4", allow_outside, folder), home)
    found = sorted(p for p in home.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found or len(found) > MAX_FRAMES:
        raise FormatError(f"{len(found)} frames of camera {name}", home, "remove the folder to extract them again")
    return [inside(folder, f"{name}/images/{p.name}", allow_outside, folder) for p in found]


def _extract(video: Path, home: Path) -> None:
    """Write every frame of a video at half size; the folder appears when all are there."""
    width, height = (max(2, side // VIDEO_SHRINK) for side in frame_size(video))
    begun = home.with_name(".images.begun")
    try:
        shutil.rmtree(begun, ignore_errors=True)
        for index, frame in enumerate(track(decode_frames(video, (width, height), "bgr24"), video.stem)):
            data = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            write_bytes(begun / f"{index:04d}.jpg", data.tobytes())
        begun.rename(home)
    except OSError as error:
        raise StorageError(f"frames of a video could not be written: {error}", home) from error
