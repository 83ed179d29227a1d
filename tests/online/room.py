"""A room to walk in, drawn by casting rays at textured boxes: exact pictures, depth and poses without a rasterizer."""

from __future__ import annotations

import math

import numpy as np
import torch

from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Camera

BOXES = (  # centre, half sides, metres; y points down as in the cameras
    ((0.0, 0.0, 0.0), (2.0, 1.2, 2.0)),  # the room itself, seen from within
    ((0.0, 0.9, 0.0), (0.6, 0.3, 0.4)),
    ((0.3, 0.4, 0.1), (0.15, 0.2, 0.15)),
    ((-0.3, 0.45, -0.1), (0.12, 0.15, 0.12)),
    ((1.3, 0.7, 1.2), (0.3, 0.5, 0.3)),
    ((-1.4, 0.5, 1.0), (0.2, 0.7, 0.4)),
)


def lens(width: int, height: int) -> torch.Tensor:
    focal = 0.75 * width
    return torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)


def look_at(eye: np.ndarray, aim: np.ndarray) -> np.ndarray:
    z = (aim - eye) / np.linalg.norm(aim - eye)
    x = np.cross([0, 1.0, 0], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, :4] = np.stack([x, np.cross(z, x), z, eye], 1)
    return pose


def loop_pose(part: float, radius: float = 1.3) -> np.ndarray:
    """Give the pose after `part` of a turn round the middle of the room, with some sway."""
    angle = 2 * math.pi * part
    eye = np.array([radius * math.sin(angle), -0.2 + 0.1 * math.sin(3 * angle), -radius * math.cos(angle)])
    return look_at(eye, np.array([0.05 * math.sin(5 * angle), 0.45 + 0.05 * math.cos(4 * angle), 0.0]))


def texture(box: int, axis: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Give colours [P, 3], 0 to 1, smooth in `at` [P, 3], another pattern for each box and side."""
    out = np.zeros((len(at), 3))
    for side in range(3):
        own = axis == side
        uv = at[own][:, [k for k in range(3) if k != side]]
        rng = np.random.default_rng((box, side))
        colour = np.tile(rng.uniform(0.3, 0.7, 3), (own.sum(), 1))
        for _ in range(10):
            wave = rng.normal(0, 9.0 if box else 5.0, 2)
            colour += rng.normal(0, 0.07, 3) * np.sin(uv @ wave + rng.uniform(0, 6.28))[:, None]
        out[own] = colour
    return out.clip(0, 1)


def cast(pose: np.ndarray, K: np.ndarray, width: int, height: int, fine: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Give colour [H, W, 3], 0 to 1, averaged over fine x fine rays a pixel, and depth [H, W] at pixel centres."""
    colour = np.zeros((height, width, 3))
    offsets = (np.arange(fine) + 0.5) / fine
    for dy in offsets:
        for dx in offsets:
            colour += _shoot(pose, K, (width, height), (dx, dy))[0]
    return colour / fine**2, _shoot(pose, K, (width, height), (0.5, 0.5))[1]


def _shoot(
    pose: np.ndarray, K: np.ndarray, size: tuple[int, int], at: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    u, v = np.meshgrid(np.arange(size[0]) + at[0], np.arange(size[1]) + at[1])
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1).reshape(-1, 3)
    d, eye = rays @ pose[:3, :3].T, pose[:3, 3]
    best, which, axis = np.full(len(d), np.inf), np.zeros(len(d), int), np.zeros(len(d), int)
    for k, (centre, half) in enumerate(BOXES):
        with np.errstate(divide="ignore", invalid="ignore"):
            slabs = (np.array(centre) + np.array(half) * np.array([[-1], [1]]) - eye)[:, None] / d[None]
        near, far = slabs.min(0), slabs.max(0)
        enter, leave = near.max(1), far.min(1)
        t, side = (leave, far.argmin(1)) if k == 0 else (enter, near.argmax(1))
        hit = (t < best) & (t > 0) & (enter <= leave)
        best[hit], which[hit], axis[hit] = t[hit], k, side[hit]
    colour = np.zeros((len(d), 3))
    for k in range(len(BOXES)):
        own = which == k
        colour[own] = texture(k, axis[own], (eye + best[own, None] * d[own]))
    return colour.reshape(size[1], size[0], 3), best.reshape(size[1], size[0])


def frame(index: int, pose: np.ndarray, width: int = 96, height: int = 72, fine: int = 2) -> RgbdFrame:
    """Give what a camera at `pose` sees."""
    K = lens(width, height)
    colour, depth = cast(pose, K.numpy(), width, height, fine)
    camera = Camera(K, width, height, torch.from_numpy(pose))
    image = (colour * 255 + 0.5).astype(np.uint8)
    return RgbdFrame(index, index / 30, image, depth.astype(np.float32), camera, True, f"frame_{index:04d}.png")


def loop(count: int, width: int = 96, height: int = 72, turn: float = 1.0) -> list[RgbdFrame]:
    """Give `count` frames along `turn` of a turn."""
    return [frame(i, loop_pose(turn * i / count), width, height) for i in range(count)]
