"""Where the page looks from: which way is up, the views of a run, and moving to one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import viser
import viser.transforms as vtf
from jaxtyping import Float

from langfield.capture.types import Camera, Frame
from langfield.raster.types import Gaussians

ALONG_MEAN = 0.02
"""Weight of the mean up vector against the views' horizontal axes: it only decides what those leave open."""
LEVEL_DEG = 10.0
"""A view rolled less than this is shown with the world's up, so that turning it stays level."""


@dataclass(frozen=True)
class Pose:
    """A place to look from."""

    position: Float[np.ndarray, " 3"]
    look_at: Float[np.ndarray, " 3"]
    """World point in the middle of the view, at the distance of what is seen there."""
    up: Float[np.ndarray, " 3"]
    fov_rad: float
    """Vertical."""


def world_up(frames: Sequence[Frame]) -> Float[np.ndarray, " 3"]:
    """Give the direction most views call up, unit length.

    People hold cameras level: up is what all horizontal axes are perpendicular to; the mean of the views' up vectors
    gives the sign, and decides alone where all views look the same way. Without views, COLMAP's habit: y down.
    """
    if not frames:
        return np.array([0.0, -1.0, 0.0])
    poses = torch.stack([f.camera.T_world_camera for f in frames]).double().numpy()
    right, mean_up = poses[:, :3, 0], -poses[:, :3, 1].mean(axis=0)
    if np.linalg.norm(mean_up) < 1e-6:
        return np.array([0.0, 0.0, 1.0])
    up = np.linalg.solve(right.T @ right / len(right) + ALONG_MEAN * np.eye(3), mean_up)
    return up / np.linalg.norm(up)


def vertical_fov(camera: Camera) -> float:
    """Give the vertical field of view, radians."""
    return float(2 * np.arctan(camera.height / (2 * float(camera.K[1, 1]))))


def view_pose(camera: Camera, up: Float[np.ndarray, " 3"], distance: float) -> Pose:
    """Give the pose of a camera.

    Args:
        camera: the view.
        up: the world's up, unit length.
        distance: how far the middle of what it sees is, world units.
    """
    T = camera.T_world_camera.double().numpy()
    own_up, ahead = -T[:3, 1], T[:3, 2]
    level = up - (up @ ahead) * ahead
    length = float(np.linalg.norm(level))
    is_level = length > 0.2 and float(level @ own_up) / length > np.cos(np.radians(LEVEL_DEG))
    return Pose(T[:3, 3], T[:3, 3] + distance * ahead, up if is_level else own_up, vertical_fov(camera))


def distance_seen(camera: Camera, gaussians: Gaussians) -> float:
    """Give the median distance of the Gaussians whose centre a camera has in its picture, world units."""
    x, y, z = in_camera(camera, gaussians.means.detach().float().cpu().numpy())
    inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    return float(np.median(z[inside])) if inside.any() else 1.0


def in_camera(camera: Camera, points: Float[np.ndarray, "N 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give column and row in pixels and depth in world units of world points; only depths above 0 have a place."""
    T = torch.linalg.inv(camera.T_world_camera.double()).numpy()
    local = points @ T[:3, :3].T + T[:3, 3]
    K, z = camera.K.double().numpy(), local[:, 2]
    safe = np.where(z > 1e-9, z, 1e-9)
    return K[0, 0] * local[:, 0] / safe + K[0, 2], K[1, 1] * local[:, 1] / safe + K[1, 2], z


def default_pose(gaussians: Gaussians, up: Float[np.ndarray, " 3"]) -> Pose:
    """Give a look at the whole scene for a field without views."""
    means = gaussians.means.detach().float().cpu().numpy()
    low, high = np.quantile(means, (0.05, 0.95), axis=0) if len(means) else (-np.ones(3), np.ones(3))
    middle, size = (low + high) / 2, max(float(np.linalg.norm(high - low)), 1e-6)
    side = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    return Pose(middle + 1.2 * size * side / np.linalg.norm(side) + 0.4 * size * up, middle, up, np.radians(50.0))


def set_initial(server: viser.ViserServer, pose: Pose) -> None:
    """Let every new page start from a pose; the clipping planes go with its distance."""
    start, distance = server.initial_camera, float(np.linalg.norm(pose.look_at - pose.position))
    start.position, start.look_at, start.up, start.fov = pose.position, pose.look_at, pose.up, pose.fov_rad
    start.near, start.far = distance * 1e-3, distance * 1e3


def move(client: viser.ClientHandle, pose: Pose) -> None:
    """Move one page's camera to a pose."""
    with client.atomic():
        client.camera.up_direction = pose.up
        client.camera.position = pose.position
        client.camera.look_at = pose.look_at
        client.camera.fov = pose.fov_rad


class Frustums:
    """The views drawn as wire frames; made when first shown."""

    def __init__(self, server: viser.ViserServer, frames: Sequence[Frame], size: float) -> None:
        self._server, self._frames, self._size = server, frames, size
        self._handles: list[viser.CameraFrustumHandle] = []

    def show(self, visible: bool) -> None:
        """Show or hide all of them."""
        if visible and not self._handles:
            self._handles = [self._add(i, frame.camera) for i, frame in enumerate(self._frames)]
        for handle in self._handles:
            handle.visible = visible

    def _add(self, index: int, camera: Camera) -> viser.CameraFrustumHandle:
        T = camera.T_world_camera.double().numpy()
        return self._server.scene.add_camera_frustum(
            f"/views/{index}", vertical_fov(camera), camera.width / camera.height, scale=self._size,
            thickness=1.5, thickness_units="screen", color=(230, 90, 40),
            wxyz=vtf.SO3.from_matrix(T[:3, :3]).wxyz, position=T[:3, 3],
        )  # fmt: skip
