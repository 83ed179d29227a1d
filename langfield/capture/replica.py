"""Replica's layout, as NICE-SLAM renders it.

results/frame000000.jpg, results/depth000000.png, traj.txt and, for all scenes, ../cam_params.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from langfield.artefacts import read_json
from langfield.capture import checks
from langfield.capture.rgbd import MAX_FRAMES, Recorded, Shot, SourceSettings, recorded
from langfield.capture.types import Camera
from langfield.errors import FormatError

FRAMES_PER_S = 30.0
"""The layout has no clock; this one is made up."""
MAX_TRAJECTORY_BYTES = 512 * 2**20


def find(path: Path) -> Path | None:
    """Give `path` where it holds a Replica sequence."""
    return path if (path / "results").is_dir() and (path / "traj.txt").is_file() else None


def read(folder: Path, settings: SourceSettings) -> Recorded:
    """Read a sequence's poses and lens; frame k has the pose in line k.

    Args:
        folder: what `find` gave; cam_params.json lies in it or beside it.
        settings: see `SourceSettings`.

    Raises:
        FormatError: poses or lens are missing or damaged, or there are more pictures than poses.
    """
    camera, scale = _camera(folder)
    poses = _poses(folder / "traj.txt")
    pictures = sorted((folder / "results").glob("frame*.jpg"))
    shots = []
    for picture in pictures:
        number = picture.stem.removeprefix("frame")
        if not (number.isascii() and number.isdigit()) or int(number[:9]) >= len(poses):
            raise FormatError(f"no line of traj.txt belongs to this picture ({len(poses)} lines)", picture)
        checks.inside(folder, f"results/{picture.name}", False, picture)
        depth = picture.with_name(f"depth{number}.png")
        pose = checks.pose(poses[int(number)], f"{folder / 'traj.txt'}, line {int(number) + 1}").numpy()
        shots.append(Shot(int(number) / FRAMES_PER_S, picture, depth if depth.is_file() else None, pose))
    return recorded(folder.resolve().name, shots, camera, scale, settings)


def _poses(file: Path) -> Float[torch.Tensor, "F 4 4"]:
    """Give camera to world for every line, OpenCV camera axes."""
    if file.stat().st_size > MAX_TRAJECTORY_BYTES:
        raise FormatError(f"trajectory is larger than {MAX_TRAJECTORY_BYTES >> 20} MiB", file)
    try:
        rows = [line.split() for line in file.read_text(encoding="ascii").splitlines() if line.strip()]
        bad = next((i for i, row in enumerate(rows) if len(row) != 16), None)
        if bad is not None or len(rows) > MAX_FRAMES:
            raise FormatError("line does not hold 16 numbers", f"{file}, line {(bad or 0) + 1}")
        return torch.from_numpy(np.array(rows, dtype=np.float64).reshape(-1, 4, 4))
    except (OSError, ValueError) as error:
        raise FormatError("trajectory is not rows of 16 numbers", file) from error


def _camera(folder: Path) -> tuple[Camera, float]:
    """Read cam_params.json, where the first pixel's centre is 0."""
    file = next((f for f in (folder / "cam_params.json", folder.parent / "cam_params.json") if f.is_file()), None)
    if file is None:
        raise FormatError("cam_params.json is missing", folder, "put it beside the sequence or its scenes")
    data: Any = read_json(file, 2**20)
    data = data.get("camera") if isinstance(data, dict) else None
    if not isinstance(data, dict):
        raise FormatError("cam_params.json has no object 'camera'", file)
    fx, fy, cx, cy, scale = (checks.number(data.get(k), k, file) for k in ("fx", "fy", "cx", "cy", "scale"))
    width, height = (checks.side(data.get(k), k, file) for k in ("w", "h"))
    if scale <= 0:
        raise FormatError("depth scale is not positive", file)
    K = checks.intrinsics(fx, fy, cx + 0.5, cy + 0.5, file)
    return Camera(K, width, height, torch.eye(4, dtype=torch.float64)), scale
