"""Tiny recorded streams in TUM's and Replica's layouts, from arrays."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from tests.capture.captures import ring_pose, texture

WIDTH, HEIGHT = 32, 24
LENS = {"fx": 30.0, "fy": 31.0, "cx": 16.5, "cy": 12.0, "width": WIDTH, "height": HEIGHT, "depth_scale": 4000.0}


def depth_of(index: int) -> np.ndarray:
    """Give depth in metres that fits a sixteenth of a millimetre, with an unknown corner."""
    depth = 1 + np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) / 4000 + index / 4
    depth[:4, :5] = 0
    return depth


def tum_line(time_s: float, T: np.ndarray) -> str:
    """Give one row of groundtruth.txt."""
    numbers = [*T[:3, 3], *Rotation.from_matrix(T[:3, :3]).as_quat()]
    return f"{time_s:.6f} " + " ".join(f"{v:.9f}" for v in numbers)


def write_tum(root: Path, count: int = 4, late_s: float = 0.004, lens: dict | None = None, poses: bool = True) -> Path:
    """Write `count` frames at 10 Hz, depth `late_s` after each picture, poses at the pictures' times."""
    for folder in ("rgb", "depth"):
        (root / folder).mkdir(parents=True)
    rgb, depth, truth = (["# a comment", "# another"] for _ in range(3))
    for i in range(count):
        time_s = 100 + i / 10
        Image.fromarray(texture(WIDTH, HEIGHT, i)).save(root / f"rgb/{i:03d}.png")
        Image.fromarray(np.round(depth_of(i) * 4000).astype(np.uint16)).save(root / f"depth/{i:03d}.png")
        rgb.append(f"{time_s:.6f} rgb/{i:03d}.png")
        depth.append(f"{time_s + late_s:.6f} depth/{i:03d}.png")
        truth.append(tum_line(time_s, ring_pose(i)))
    (root / "rgb.txt").write_text("\n".join(rgb) + "\n")
    (root / "depth.txt").write_text("\n".join(depth) + "\n")
    if poses:
        (root / "groundtruth.txt").write_text("\n".join(truth) + "\n")
    (root / "camera.json").write_text(json.dumps(LENS if lens is None else lens))
    return root


def write_replica(root: Path, count: int = 3) -> Path:
    """Write `count` frames of a scene; cam_params.json lies beside it."""
    (root / "results").mkdir(parents=True)
    for i in range(count):
        Image.fromarray(texture(WIDTH, HEIGHT, i)).save(root / f"results/frame{i:06d}.jpg", quality=98)
        depth = np.round(depth_of(i) * 6553.5).astype(np.uint16)
        Image.fromarray(depth).save(root / f"results/depth{i:06d}.png")
    rows = [" ".join(f"{v:.9e}" for v in ring_pose(i).ravel()) for i in range(count)]
    (root / "traj.txt").write_text("\n".join(rows) + "\n")
    camera = {"w": WIDTH, "h": HEIGHT, "fx": 30.0, "fy": 31.0, "cx": 15.5, "cy": 11.5, "scale": 6553.5}
    (root.parent / "cam_params.json").write_text(json.dumps({"camera": camera}))
    return root
