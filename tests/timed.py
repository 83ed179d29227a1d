"""Tiny captures with time in the layouts of D-NeRF, Nerfies and Neu3D."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT, FOCAL = 24, 16, 20.0
GL = np.diag([1.0, -1.0, -1.0, 1.0])


def pose_at(index: int) -> np.ndarray:
    """Give camera to world [4, 4], OpenCV axes: on a circle, looking at the origin."""
    angle = 0.4 * index
    centre = np.array([3 * np.cos(angle), 3 * np.sin(angle), 0.5])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = centre
    return T


def picture(path: Path, index: int, shrink: int = 1) -> None:
    """Write a picture of one colour, which tells its index."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (WIDTH // shrink, HEIGHT // shrink), (10 * index, 60, 200)).save(path)


def write_dnerf(root: Path, counts: dict[str, int]) -> Path:
    """Write splits of so many frames each; times go evenly from 0 to 1 in each."""
    start = 0
    for split, count in counts.items():
        frames = []
        for i in range(count):
            picture(root / split / f"r_{i:03d}.png", start + i)
            matrix = (pose_at(start + i) @ GL).tolist()
            frames.append({"file_path": f"./{split}/r_{i:03d}", "time": i / (count - 1), "transform_matrix": matrix})
        start += count
        data = {"camera_angle_x": 2 * np.arctan(WIDTH / 2 / FOCAL), "frames": frames}
        (root / f"transforms_{split}.json").write_text(json.dumps(data))
    return root


def nerfies_camera(index: int) -> dict[str, Any]:
    """Give a camera file's data, for pictures of full size."""
    T = pose_at(index)
    return {
        "orientation": T[:3, :3].T.tolist(), "position": T[:3, 3].tolist(), "focal_length": FOCAL,
        "principal_point": [WIDTH / 2 - 1, HEIGHT / 2 + 1], "skew": 0.0, "pixel_aspect_ratio": 1.1,
        "radial_distortion": [0.01, 0.0, 0.0], "tangential_distortion": [0.0, 0.002], "image_size": [WIDTH, HEIGHT],
    }  # fmt: skip


def write_nerfies(root: Path, count: int = 4, held: tuple[int, ...] = (1,), factor: int = 2) -> Path:
    """Write so many pictures at 1/factor size; picture k has warp id 2k."""
    ids = [f"{i + 1:06d}" for i in range(count)]
    (root / "camera").mkdir(parents=True)
    for i, name in enumerate(ids):
        picture(root / "rgb" / f"{factor}x" / f"{name}.png", i, factor)
        (root / "camera" / f"{name}.json").write_text(json.dumps(nerfies_camera(i)))
    train = [name for i, name in enumerate(ids) if i not in held]
    dataset = {"count": count, "ids": ids, "train_ids": train, "val_ids": [ids[i] for i in held]}
    (root / "dataset.json").write_text(json.dumps(dataset))
    times = {name: {"warp_id": 2 * i, "appearance_id": i, "camera_id": 0} for i, name in enumerate(ids)}
    (root / "metadata.json").write_text(json.dumps(times))
    (root / "scene.json").write_text(json.dumps({"scale": 0.5, "center": [0.0, 0.0, 0.0], "near": 0.1, "far": 5.0}))
    np.save(root / "points.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    return root


def poses_bounds(count: int) -> np.ndarray:
    """Give rows of LLFF: rotation as down, right, back; position; height, width, focal length; near, far."""
    rows = []
    for i in range(count):
        right, down, forward, centre = pose_at(i)[:3].T
        matrix = np.stack([down, right, -forward, centre, np.array([HEIGHT, WIDTH, FOCAL])], 1)
        rows.append([*matrix.ravel(), 0.1, 9.0])
    return np.array(rows)


def write_neu3d(root: Path, cameras: int = 3, steps: int = 3, shrink: int = 2) -> Path:
    """Write frames of so many cameras, already taken out of their videos."""
    for c in range(cameras):
        for t in range(steps):
            picture(root / f"cam{c:02d}" / "images" / f"{t:04d}.png", 4 * c + t, shrink)
    np.save(root / "poses_bounds.npy", poses_bounds(cameras))
    return root
