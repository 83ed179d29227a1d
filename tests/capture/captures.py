"""Tiny captures made on the spot: pictures, poses, transforms.json and COLMAP models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

SHARED = Path(__file__).parents[2] / ".." / "shared"
OFFICE = SHARED / "scenes" / "fr3_office"
FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def texture(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Give a smooth random RGB picture, so that JPEG keeps it."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)


def ring_pose(index: int, count: int = 8) -> np.ndarray:
    """Give camera to world (OpenCV axes) on a circle of radius 3, looking at the origin."""
    angle = 2 * np.pi * index / count
    centre = np.array([3 * np.cos(angle), 3 * np.sin(angle), 0.5])
    forward = -centre / np.linalg.norm(centre)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    T[:3, 3] = centre
    return T


def transforms(n: int = 3, width: int = 64, height: int = 48) -> dict[str, Any]:
    """Give a plain transforms.json as data."""
    frames = [
        {"file_path": f"images/{i:03d}.png", "transform_matrix": (ring_pose(i) @ FLIP).tolist()} for i in range(n)
    ]
    return {"w": width, "h": height, "fl_x": 60.0, "fl_y": 61.0, "cx": 31.0, "cy": 25.0, "frames": frames}


def write_scene(root: Path, meta: dict[str, Any] | None = None, pictures: bool = True) -> Path:
    """Write `meta` (by default a plain one) and a PNG for each of its frames; give the folder."""
    meta = transforms() if meta is None else meta
    root.mkdir(parents=True, exist_ok=True)
    for i, frame in enumerate(meta["frames"]):
        path = root / frame["file_path"]
        if pictures and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            size = frame.get("w", meta.get("w", 64)), frame.get("h", meta.get("h", 48))
            Image.fromarray(texture(*size, seed=i)).save(path)
    (root / "transforms.json").write_text(json.dumps(meta))
    return root


def save_with_exif(path: Path, picture: np.ndarray, orientation: int) -> None:
    """Save a picture with an EXIF orientation."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture).save(path, exif=exif, quality=95)


def blobs(width: int, height: int, at: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    """Draw bright spots centred on sub-pixel positions (first pixel's centre at 0.5), as RGB."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    image = np.zeros((height, width))
    for px, py in at:
        image += np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2))
    return np.repeat((image.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def blob_centre(picture: np.ndarray, near: np.ndarray, reach: int = 6) -> np.ndarray:
    """Measure the centroid of the spot near a position (first pixel's centre at 0.5)."""
    column, row = (int(v) for v in near)
    part = picture[row - reach : row + reach + 1, column - reach : column + reach + 1, 0].astype(float)
    y, x = np.mgrid[row - reach : row + reach + 1, column - reach : column + reach + 1] + 0.5
    return np.array([(part * x).sum(), (part * y).sum()]) / part.sum()


def colmap_model(folder: Path, model: str = "PINHOLE", n: int = 4, binary: bool = True) -> Any:
    """Let pycolmap write a synthetic model and give its reconstruction; pictures go into `images`."""
    import pycolmap

    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 1, n
    options.num_points3D, options.camera_width, options.camera_height = 30, 64, 48
    options.camera_model_id = getattr(pycolmap.CameraModelId, model)
    camera = pycolmap.Camera.create(1, options.camera_model_id, 60.0, 64, 48)
    extra = np.linspace(0.01, 0.03, len(camera.params))
    extra[[*camera.focal_length_idxs(), *camera.principal_point_idxs()]] = 0
    options.camera_params = list(np.asarray(camera.params) + extra)
    pycolmap.set_random_seed(1)
    scene = pycolmap.synthesize_dataset(options)
    sparse = folder / "sparse" / "0"
    sparse.mkdir(parents=True)
    (scene.write_binary if binary else scene.write_text)(str(sparse))
    for i, image in enumerate(scene.images.values()):
        path = folder / "images" / image.name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(texture(64, 48, i)).save(path)
    return scene
