"""A small scene made here: three coloured balls on a table, seen from a ring of cameras, with exact truth."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from langfield.capture.types import Camera
from langfield.raster import rasterize
from langfield.raster.types import Gaussians

BALLS = {"red ball": (0.9, 0.1, 0.1), "green ball": (0.1, 0.8, 0.15), "blue ball": (0.15, 0.2, 0.9)}
TABLE = (0.75, 0.7, 0.6)
WIDTH, HEIGHT = 96, 72
OPENCV_TO_OPENGL = np.diag([1.0, -1, -1, 1])


def ball_centres() -> np.ndarray:
    """Centres of the balls on a ring of radius 0.7."""
    angles = 2 * np.pi * np.arange(3) / 3
    return np.stack([0.7 * np.cos(angles), 0.7 * np.sin(angles), np.full(3, 0.3)], axis=1)


def tiny_gaussians(seed: int = 0) -> tuple[Gaussians, np.ndarray]:
    """Give the scene's Gaussians and the thing each belongs to (0 to 2 balls, 3 table)."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(3, 250, 3))
    surface = 0.3 * directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    table = np.concatenate([rng.uniform(-1.6, 1.6, size=(900, 2)), np.zeros((900, 1))], axis=1)
    means = np.concatenate([*(ball_centres()[:, None] + surface), table])
    thing = np.repeat([0, 1, 2, 3], [250, 250, 250, 900])
    colours = np.array([*BALLS.values(), TABLE])[thing] + rng.normal(scale=0.03, size=(len(means), 3))
    scales = np.where(thing == 3, 0.07, 0.05)[:, None].repeat(3, axis=1)
    return Gaussians(
        torch.tensor(means).float(),
        torch.tensor([1.0, 0, 0, 0]).repeat(len(means), 1),
        torch.tensor(np.log(scales)).float(),
        torch.full((len(means),), 3.0),
        torch.tensor((colours - 0.5) / 0.28209479177387814).float()[:, None],
    ), thing


def ring_camera(angle: float, width: int = WIDTH, height: int = HEIGHT) -> Camera:
    """Give a camera on a ring of radius 3, looking at the table's middle."""
    eye = np.array([3 * math.cos(angle), 3 * math.sin(angle), 2.0])
    forward = np.array([0, 0, 0.15]) - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    pose[:3, 3] = eye
    focal = 1.1 * width
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, torch.tensor(pose))


def write_tiny_scene(folder: Path, n_views: int = 6) -> Path:
    """Write images, transforms.json, start points and labels of the tiny scene, and give its folder."""
    gaussians, thing = tiny_gaussians()
    frames = []
    for i in range(n_views):
        camera, name = ring_camera(2 * math.pi * i / n_views), f"images/view_{i:02d}.png"
        picture, masks = draw(gaussians, thing, camera)
        (folder / "images").mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(folder / name)
        frames.append(
            {"file_path": name, "transform_matrix": (camera.T_world_camera.numpy() @ OPENCV_TO_OPENGL).tolist()}
        )
        write_labels(folder / "label" / f"view_{i:02d}.json", f"view_{i:02d}.png", masks)
    K = ring_camera(0).K
    intrinsics = {"fl_x": float(K[0, 0]), "fl_y": float(K[1, 1]), "cx": float(K[0, 2]), "cy": float(K[1, 2])}
    meta: dict[str, Any] = {"w": WIDTH, "h": HEIGHT, **intrinsics, "ply_file_path": "points.ply", "frames": frames}
    (folder / "transforms.json").write_text(json.dumps(meta))
    write_points(folder / "points.ply", gaussians, thing)
    return folder


def draw(gaussians: Gaussians, thing: np.ndarray, camera: Camera) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Give the picture (uint8) and the mask of each ball."""
    one_hot = torch.nn.functional.one_hot(torch.tensor(thing), 4).float()
    view = rasterize(gaussians, camera, one_hot)
    assert view.colour is not None
    assert view.channels is not None
    picture = view.colour  # over black, as the rasterizer draws: nothing has to be learnt around the table
    masks = view.channels.numpy()[..., :3] > 0.5
    return (picture.clamp(0, 1).numpy() * 255).round().astype(np.uint8), {
        name: masks[..., i] for i, name in enumerate(BALLS)
    }


def write_labels(path: Path, picture: str, masks: dict[str, np.ndarray]) -> None:
    """Write masks as polygons in the LERF-OVS layout."""
    import cv2

    objects = []
    for name, mask in masks.items():
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if outlines and mask.sum() > 20:
            outline = max(outlines, key=cv2.contourArea)[:, 0].astype(float)
            objects.append({"category": name, "segmentation": outline.tolist()})
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"info": {"name": picture, "width": WIDTH, "height": HEIGHT}, "objects": objects}))


def write_points(path: Path, gaussians: Gaussians, thing: np.ndarray) -> None:
    """Write the centres as start points (an ASCII PLY)."""
    colours = (np.array([*BALLS.values(), TABLE])[thing] * 255).astype(int)
    rows = [
        " ".join([*(f"{v:.4f}" for v in p), *map(str, c)])
        for p, c in zip(gaussians.means.tolist(), colours, strict=True)
    ]
    header = ["ply", "format ascii 1.0", f"element vertex {len(rows)}"]
    header += [f"property float {axis}" for axis in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    path.write_text("\n".join([*header, "end_header", *rows]) + "\n")


class ColourEncoder:
    """An encoder for tests, no weights: pictures and colour words land near each other in 512 dimensions.

    A picture's vector follows the mean colour of what is not black; a text's the colours it names.
    """

    name = "tests.tiny:ColourEncoder"
    dim = 512
    provenance: dict[str, Any] = {"name": name, "what": "colours, for tests"}  # noqa: RUF012

    def __init__(self) -> None:
        self.basis = torch.randn(3, 512, generator=torch.Generator().manual_seed(7))
        self.rest = torch.randn(512, generator=torch.Generator().manual_seed(8))

    def encode_images(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """Give one unit vector per picture."""
        return torch.stack([self._unit(im[im.sum(axis=-1) > 30].reshape(-1, 3)) for im in images])

    def _unit(self, pixels: np.ndarray) -> torch.Tensor:
        mean = pixels.mean(axis=0) if len(pixels) else np.full(3, 128.0)
        colour = torch.tensor(mean - mean.mean()).float() / 128
        return torch.nn.functional.normalize(colour @ self.basis + 0.15 * self.rest, dim=0)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Give one unit vector per text."""
        words = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
        named = [[np.array(v) for w, v in words.items() if w in text] or [np.full(3, 128.0)] for text in texts]
        return torch.stack([self._unit(np.stack(colours)) for colours in named])
