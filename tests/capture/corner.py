"""A synthetic corner of a room: two walls and a floor of random texture, seen by known cameras."""

from __future__ import annotations

import cv2
import numpy as np

SIZE = (400, 300)
FOCAL = 400.0
_PLANES = (((1, 0, 0), (0, 1, 0)), ((0, 1, 0), (0, 0, 1)), ((1, 0, 0), (0, 0, 1)))
_EXTENT, _TEXELS = 3.0, 500


def pose(step: float) -> np.ndarray:
    """Give camera to world (OpenCV axes) at `step` in 0..1 along an arc of 50 degrees."""
    angle = np.radians(20 + 50 * step)
    centre = np.array([0.4 + 3.2 * np.cos(angle), 0.4 + 3.2 * np.sin(angle), 1.6 + 0.3 * np.sin(7 * step)])
    forward = np.array([0.7, 0.7, 0.7]) - centre
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = np.stack([right, np.cross(forward, right), forward], axis=1), centre
    return T


def picture(step: float) -> np.ndarray:
    """Draw the corner as seen from `pose(step)`, RGB [300, 400, 3]."""
    T = np.linalg.inv(pose(step))
    K = np.array([[FOCAL, 0, SIZE[0] / 2], [0, FOCAL, SIZE[1] / 2], [0, 0, 1]])
    result = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
    for index, (a, b) in enumerate(_PLANES):
        texel = _EXTENT / _TEXELS
        plane = np.stack([np.array([*a, 0]) * texel, np.array([*b, 0]) * texel, [0, 0, 0, 1]], axis=1)
        H = K @ (T @ plane)[:3]
        drawn = cv2.warpPerspective(_texture(index), H, SIZE, flags=cv2.INTER_AREA)
        seen = cv2.warpPerspective(np.full((_TEXELS, _TEXELS), 255, np.uint8), H, SIZE, flags=cv2.INTER_NEAREST)
        result[seen > 0] = drawn[seen > 0]
    return result


def _texture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    result = np.zeros((_TEXELS, _TEXELS, 3))
    for n in (20, 60, 150):
        result += cv2.resize(rng.uniform(0, 85, (n, n, 3)), (_TEXELS, _TEXELS), interpolation=cv2.INTER_CUBIC)
    return result.clip(0, 255).astype(np.uint8)


def aligned_rmse(found: np.ndarray, true: np.ndarray) -> float:
    """Give the RMSE of camera centres [N, 3] after the best similarity transform."""
    a, b = found - found.mean(0), true - true.mean(0)
    U, S, Vt = np.linalg.svd(b.T @ a)
    D = np.diag([1, 1, np.sign(np.linalg.det(U @ Vt))])
    scale = np.trace(np.diag(S) @ D) / (a**2).sum()
    return float(np.sqrt(((scale * a @ (U @ D @ Vt).T - b) ** 2).sum(1).mean()))
