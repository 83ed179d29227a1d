"""Lenses: rays through pixels and back, and the pinhole camera that replaces a distorted one."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int32
from torch import Tensor

from langfield.capture.types import Camera, Distortion, Frame
from langfield.errors import FormatError

MAX_RAY_ANGLE = math.radians(65)
"""A pinhole picture that sees further than this from its axis is stretched beyond use."""
ZOOM_RANGE = (0.5, 8.0)


def coefficients(distortion: Distortion) -> np.ndarray:
    """Give OpenCV's distortion vector, float64 [4] (fisheye) or [8]."""
    length = 4 if distortion.model == "fisheye" else 8
    return np.array([*distortion.coefficients, *[0.0] * length][:length], dtype=np.float64)


def project(camera: Camera, rays: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 2"]:
    """Give the pixel where each ray of camera space (z > 0) is seen, lens distortion included."""
    rays = np.ascontiguousarray(rays, dtype=np.float64).reshape(-1, 1, 3)
    K, zero = camera.K.double().numpy(), np.zeros(3)
    if len(rays) == 0:
        return np.zeros((0, 2))
    if camera.distortion is None:
        xy = cv2.projectPoints(rays, zero, zero, K, np.zeros(4))[0]
    elif camera.distortion.model == "fisheye":
        xy = cv2.fisheye.projectPoints(rays, zero, zero, K, coefficients(camera.distortion))[0]
    else:
        xy = cv2.projectPoints(rays, zero, zero, K, coefficients(camera.distortion))[0]
    return xy.reshape(-1, 2)


def unproject(camera: Camera, xy: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 3"]:
    """Give the ray (z = 1) seen at each pixel; the inverse of `project`."""
    points = np.ascontiguousarray(xy, dtype=np.float64).reshape(-1, 1, 2)
    if len(points) == 0:
        return np.zeros((0, 3))
    K = camera.K.double().numpy()
    distortion = camera.distortion or Distortion("opencv", ())
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-10)
    undistort = cv2.fisheye.undistortPoints if distortion.model == "fisheye" else cv2.undistortPoints
    flat = undistort(points, K, coefficients(distortion), criteria=criteria).reshape(-1, 2)
    return np.concatenate([flat, np.ones((len(flat), 1))], axis=1)


def map_points_to_frame(frame: Frame, xy: Float[np.ndarray, "P 2"]) -> Float[np.ndarray, "P 2"]:
    """Carry pixel coordinates of the original picture (labels) over to the normalised frame.

    Args:
        frame: as normalised; one without `source` is its own original.
        xy: pixels of the picture at the size and orientation its camera was declared for; the
            centre of the first pixel is (0.5, 0.5).

    Returns:
        pixels of the frame; they may lie outside it where undistorting cut the picture's border off.
    """
    if frame.source is None:
        return np.array(xy, dtype=np.float64)
    R_frame, R_source = frame.camera.T_world_camera[:3, :3], frame.source.T_world_camera[:3, :3]
    turn = (R_frame.double().T @ R_source.double()).numpy()
    return project(frame.camera, unproject(frame.source, xy) @ turn.T)


def carry_ids(ids: Int32[np.ndarray, "L h w"], of: Camera, to: Camera) -> Int32[np.ndarray, "L H W"]:
    """Carry maps of row numbers from one camera at a place to another there (other size, lens or roll).

    Args:
        ids: as `of` sees them, at its size.
        of, to: cameras with the same centre that look the same way.

    Returns:
        the nearest number for each pixel of `to`, -1 where `of` does not see.
    """
    x, y = np.meshgrid(np.arange(to.width) + 0.5, np.arange(to.height) + 0.5)
    turn = (of.T_world_camera[:3, :3].double().T @ to.T_world_camera[:3, :3].double()).numpy()
    seen = project(of, unproject(to, np.stack([x.ravel(), y.ravel()], axis=1)) @ turn.T)
    column, row = np.clip(np.floor(seen.T + 1e-6), -1, max(of.width, of.height)).astype(np.int64)
    inside = (column >= 0) & (column < of.width) & (row >= 0) & (row < of.height)
    out = np.full((len(ids), to.height * to.width), -1, np.int32)
    out[:, inside] = ids[:, row[inside], column[inside]]
    return out.reshape(len(ids), to.height, to.width)


def pinhole_for(camera: Camera, where: object) -> Camera:
    """Give an undistorted camera of the same size, pose and principal point whose every pixel the lens has seen.

    Args:
        camera: with distortion; its focal lengths are scaled by one factor, as small as possible.
        where: what to name in an error.

    Raises:
        FormatError: no such camera; the coefficients cannot be those of this picture.
    """
    low, high = ZOOM_RANGE
    if not _sees_all(camera, high):
        raise FormatError("lens distortion is too strong to undo", where, "check k1 to k4, p1, p2 and the picture size")
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if _sees_all(camera, middle) else (middle, high)
    return Camera(_zoomed(camera, high), camera.width, camera.height, camera.T_world_camera, None, camera.time_s)


def undistort_maps(camera: Camera, flat: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Give where each pixel of the undistorted picture lies in the distorted one, as `cv2.remap` takes it.

    Args:
        camera: with or without distortion.
        flat: from `pinhole_for`.

    Returns:
        columns and rows, each float32 [H, W]; OpenCV's pixel centres are whole numbers.
    """
    shift = np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    K, new = camera.K.double().numpy() - shift, flat.K.double().numpy() - shift
    lens = camera.distortion or Distortion("opencv", ())
    build = cv2.fisheye.initUndistortRectifyMap if lens.model == "fisheye" else cv2.initUndistortRectifyMap
    maps = build(K, coefficients(lens), np.eye(3), new, (flat.width, flat.height), cv2.CV_32FC1)
    return maps[0], maps[1]


def _zoomed(camera: Camera, zoom: float) -> Float[Tensor, "3 3"]:
    return camera.K * torch.tensor([[zoom, 1, 1], [1, zoom, 1], [1, 1, 1]], dtype=camera.K.dtype)


def _sees_all(camera: Camera, zoom: float) -> bool:
    """Say whether all border pixels of the zoomed pinhole camera lie in the distorted picture.

    Along each line from the centre to the border, the distorted radius must grow: beyond the point
    where a polynomial folds back it describes no lens, though it may land inside the picture again.
    """
    w, h, n = camera.width, camera.height, 24
    across, down = np.linspace(0, w, n), np.linspace(0, h, n)
    ring = np.concatenate([
        np.stack([across, np.zeros(n)], 1), np.stack([across, np.full(n, h)], 1),
        np.stack([np.zeros(n), down], 1), np.stack([np.full(n, w), down], 1),
    ])  # fmt: skip
    K = _zoomed(camera, zoom).double().numpy()
    flat = (ring - K[:2, 2]) / np.array([K[0, 0], K[1, 1]])
    if np.linalg.norm(flat, axis=1).max() > math.tan(MAX_RAY_ANGLE):
        return False
    steps = np.linspace(0, 1, 33)[:, None, None]
    rays = np.concatenate([steps * flat, np.ones((33, len(flat), 1))], axis=2)
    seen = project(camera, rays.reshape(-1, 3)).reshape(33, -1, 2)
    radius = np.linalg.norm(seen - K[:2, 2], axis=2)
    grows = bool((np.diff(radius, axis=0) > 0).all())
    return grows and bool((seen[-1] >= 0).all() and (seen[-1] <= np.array([w, h])).all())
