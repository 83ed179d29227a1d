"""Frames of a made room corner: textured, with depth, seen from a camera that moves sideways."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch

from langfield.capture.rgbd import RgbdFrame
from langfield.capture.types import Camera

WIDTH, HEIGHT = 80, 60


def texture(width: int = WIDTH, height: int = HEIGHT, seed: int = 0) -> np.ndarray:
    """Give a picture with detail at several scales."""
    rng, total = np.random.default_rng(seed), np.zeros((height, width, 3))
    for cell in (2, 5, 12):
        coarse = rng.uniform(-1, 1, (height // cell + 2, width // cell + 2, 3)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return (110 + 30 * total).clip(0, 255).astype(np.uint8)


def frame(index: int = 0, depth: float | np.ndarray | None = 1.5, size: tuple[int, int] = (WIDTH, HEIGHT)) -> RgbdFrame:
    """Give frame `index` at 30 a second; depth is one number, a map, or none."""
    width, height = size
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64)
    T[0, 3] = 0.01 * index
    image = np.roll(texture(width, height), -index, axis=1)
    z = None if depth is None else np.full((height, width), depth, np.float32) if np.isscalar(depth) else depth
    camera = Camera(K, width, height, T, None, index / 30)
    return RgbdFrame(index, index / 30, image, z, camera, True, f"{index:04d}.png")  # type: ignore[arg-type]


def smeared(one: RgbdFrame, width_px: int = 9) -> RgbdFrame:
    """Give a frame blurred along its rows."""
    return replace(one, image=cv2.blur(one.image, (width_px, 1)))
