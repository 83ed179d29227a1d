"""Which way is up, and where a view looks from."""

import dataclasses

import numpy as np
import torch

from langfield.viewer.cameras import default_pose, distance_seen, in_camera, vertical_fov, view_pose, world_up
from tests.viewer.scene import balls, orbit


def rotated(frames, R: torch.Tensor):
    """The same frames in a turned world."""
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = R
    cameras = [dataclasses.replace(f.camera, T_world_camera=T @ f.camera.T_world_camera) for f in frames]
    return [dataclasses.replace(f, camera=c) for f, c in zip(frames, cameras, strict=True)]


def test_up_is_found_in_any_world():
    R = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64))[0]
    R = R * torch.linalg.det(R)
    np.testing.assert_allclose(world_up(rotated(orbit(), R)), R.numpy()[:, 2], atol=1e-6)


def test_up_from_half_a_circle_of_tilted_views_is_vertical():
    np.testing.assert_allclose(world_up(orbit()[:5]), [0, 0, 1], atol=0.02)


def test_up_of_one_view_or_none():
    frame = orbit()[0]
    up = world_up([frame])
    assert up @ -frame.camera.T_world_camera[:3, 1].numpy() > 0.999
    assert world_up([]).tolist() == [0, -1, 0]


def test_a_view_is_shown_from_its_place_with_its_field_of_view():
    camera = orbit()[2].camera
    pose = view_pose(camera, np.array([0.0, 0, 1]), 2.0)
    np.testing.assert_allclose(pose.position, camera.T_world_camera[:3, 3])
    x, y, z = in_camera(camera, pose.look_at[None])
    np.testing.assert_allclose([x[0], y[0], z[0]], [320, 240, 2.0], atol=1e-9)
    assert abs(np.tan(vertical_fov(camera) / 2) - 240 / 500) < 1e-12
    np.testing.assert_allclose(pose.up, [0, 0, 1])


def test_a_rolled_view_keeps_its_own_up():
    camera = orbit()[2].camera
    roll = torch.eye(4, dtype=torch.float64)
    roll[:2, :2] = torch.tensor([[0.0, -1], [1, 0]])
    rolled = dataclasses.replace(camera, T_world_camera=camera.T_world_camera @ roll)
    pose = view_pose(rolled, np.array([0.0, 0, 1]), 1.0)
    np.testing.assert_allclose(pose.up, -rolled.T_world_camera[:3, 1])


def test_points_land_where_a_pinhole_puts_them():
    camera = orbit()[4].camera
    points = torch.randn(30, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.3
    x, y, z = in_camera(camera, points.numpy())
    for i, point in enumerate(points):
        T = torch.linalg.inv(camera.T_world_camera)
        p = camera.K @ (T[:3, :3] @ point + T[:3, 3])
        np.testing.assert_allclose([x[i], y[i], z[i]], [p[0] / p[2], p[1] / p[2], p[2]], rtol=1e-9)


def test_distance_is_that_of_what_is_in_the_picture():
    gaussians, _ = balls(100, 100)
    frame = orbit()[0]
    assert 2.0 < distance_seen(frame.camera, gaussians) < 4.5
    looking_away = torch.eye(4, dtype=torch.float64)
    looking_away[2, 3] = 50
    away = dataclasses.replace(frame.camera, T_world_camera=looking_away)
    assert distance_seen(away, gaussians) == 1.0


def test_a_scene_without_views_is_seen_whole():
    gaussians, _ = balls(100, 100)
    pose = default_pose(gaussians, np.array([0.0, 0, 1]))
    assert np.isfinite(pose.position).all()
    assert np.linalg.norm(pose.look_at) < 0.7
    assert pose.position[2] > 0
