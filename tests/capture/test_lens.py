"""Rays and pixels, there and back, against OpenCV's own projection."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from captures import ring_pose

from langfield.capture.lens import coefficients, map_points_to_frame, pinhole_for, project, undistort_maps, unproject
from langfield.capture.normalize import turned
from langfield.capture.types import Camera, Distortion, Frame
from langfield.errors import FormatError

LENSES = {
    "none": None,
    "barrel": Distortion("opencv", (-0.25, 0.08, 0.001, -0.002, -0.01)),
    "pincushion": Distortion("opencv", (0.15, 0.02)),
    "rational": Distortion("opencv", (0.3, 0.05, 0.001, 0.001, 0.01, 0.5, 0.02, 0.001)),
    "fisheye": Distortion("fisheye", (0.05, -0.01, 0.004, -0.001)),
}


def camera(lens: str, width: int = 320, height: int = 240) -> Camera:
    K = torch.tensor([[260.0, 0, 155], [0, 255, 126], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, torch.from_numpy(ring_pose(1)), LENSES[lens])


@pytest.mark.parametrize("lens", LENSES)
def test_unproject_inverts_project(lens):
    xy = np.random.default_rng(0).uniform([10, 10], [310, 230], (50, 2))
    np.testing.assert_allclose(project(camera(lens), unproject(camera(lens), xy)), xy, atol=1e-4)
    assert project(camera(lens), np.zeros((0, 3))).shape == (0, 2)


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("lens", LENSES)
def test_points_map_to_where_the_pinhole_camera_sees_them(lens, turns):
    """World points seen by OpenCV through the source camera, carried over, against K (R X + t)."""
    source = camera(lens)
    final = turned((pinhole_for(source, "a") if source.distortion else source).resized(160, 120), turns)
    frame = Frame("a.png", None, final, source)  # pyright: ignore[reportArgumentType]
    world_to_camera = np.linalg.inv(source.T_world_camera.numpy())
    points = np.random.default_rng(1).uniform(-0.7, 0.7, (40, 3))
    rvec, tvec, K = cv2.Rodrigues(world_to_camera[:3, :3])[0], world_to_camera[:3, 3], source.K.numpy()
    if source.distortion is not None and source.distortion.model == "fisheye":
        seen = cv2.fisheye.projectPoints(points[:, None], rvec, tvec, K, coefficients(source.distortion))[0][:, 0]
    else:
        dist = coefficients(source.distortion) if source.distortion else np.zeros(4)
        seen = cv2.projectPoints(points[:, None], rvec, tvec, K, dist)[0][:, 0]
    T = np.linalg.inv(final.T_world_camera.numpy())
    flat = (points @ T[:3, :3].T + T[:3, 3]) @ final.K.numpy().T
    np.testing.assert_allclose(map_points_to_frame(frame, seen), flat[:, :2] / flat[:, 2:], atol=1e-3)


@pytest.mark.parametrize("lens", [name for name in LENSES if name != "none"])
def test_pinhole_sees_only_what_the_lens_saw_and_no_less_than_needed(lens):
    source = camera(lens)
    flat = pinhole_for(source, "a")
    x, y = np.meshgrid(np.linspace(0, 320, 33), np.linspace(0, 240, 25))
    seen = project(source, unproject(flat, np.stack([x.ravel(), y.ravel()], 1)))
    assert (seen > -0.01).all()
    assert (seen < [320.01, 240.01]).all()
    slack = min(seen[:, 0].min(), 320 - seen[:, 0].max(), seen[:, 1].min(), 240 - seen[:, 1].max())
    assert slack < 0.5
    assert torch.equal(flat.K[:2, 2], source.K[:2, 2])


def test_absurd_distortion_is_refused():
    absurd = Camera(camera("none").K, 320, 240, torch.eye(4).double(), Distortion("opencv", (-900.0, 50.0)))
    with pytest.raises(FormatError, match="too strong to undo"):
        pinhole_for(absurd, "a.jpg")


def test_polynomial_is_not_used_beyond_where_it_folds_back():
    """r (1 - 0.5 r^2) grows up to r = 0.816 and then comes back into the picture."""
    K = torch.tensor([[100.0, 0, 160], [0, 100, 120], [0, 0, 1]], dtype=torch.float64)
    flat = pinhole_for(Camera(K, 320, 240, torch.eye(4).double(), Distortion("opencv", (-0.5,))), "a")
    assert 0.7 < 200 / float(flat.K[0, 0]) < 0.83


@pytest.mark.parametrize("lens", ["barrel", "rational", "fisheye"])
def test_undistortion_maps_follow_the_rays(lens):
    """Each pixel centre of the flat picture is fetched from where its ray is seen, to a hundredth of a pixel."""
    source = camera(lens)
    flat = pinhole_for(source, "a")
    assert source.distortion is not None
    across, down = undistort_maps(source, flat)
    u, v = np.meshgrid(np.arange(0, 320, 31), np.arange(0, 240, 29))
    seen = project(source, unproject(flat, np.stack([u.ravel() + 0.5, v.ravel() + 0.5], 1)))
    np.testing.assert_allclose(np.stack([across[v, u].ravel(), down[v, u].ravel()], 1) + 0.5, seen, atol=0.01)


def test_frame_without_source_is_its_own():
    frame = Frame("a.png", None, camera("none"))  # pyright: ignore[reportArgumentType]
    assert map_points_to_frame(frame, np.array([[3.0, 4.0]])).tolist() == [[3, 4]]
