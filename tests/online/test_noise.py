"""Noise as stated: repeatable, growing with depth squared, holes where a real camera has them, smear along the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from langfield.capture.stream import open_source
from langfield.online.noise import (
    Motion,
    NoiseSettings,
    Noisy,
    blurred,
    cosines,
    gain,
    measured,
    motion_between,
    spoil,
)
from tests.capture.streams import write_tum
from tests.online.frames import HEIGHT, WIDTH, frame

WHOLE = NoiseSettings(speckle_loss=0, range_m=(0.1, 20))
BRIGHT = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)


@pytest.mark.parametrize("z", [0.7, 1.4, 2.8])
def test_depth_noise_grows_with_depth_squared(z: float):
    """A step of 1/8 and 0.06 of disparity: sigma_z = z^2 / 43.5 x sqrt(0.06^2 + 0.125^2 / 12)."""
    rng = np.random.default_rng(0)
    exact = np.random.default_rng(1).uniform(z, z * 1.003, (HEIGHT, WIDTH)).astype(np.float32)
    off = measured(exact, BRIGHT, frame().camera, rng, replace(WHOLE, edge_loss=0, grazing_cosine=0)) - exact
    expected = z**2 / 43.5 * np.hypot(0.06, 0.125 / 12**0.5)
    assert off.std() == pytest.approx(expected, rel=0.1)
    assert abs(off.mean()) < 0.1 * expected


def test_disparity_comes_in_steps():
    found = measured(frame().depth_m, BRIGHT, frame().camera, np.random.default_rng(0), WHOLE)  # type: ignore[arg-type]
    steps = 43.5 / found[found > 0] / 0.125
    assert len(found[found > 0]) > 1000
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_holes_at_edges_in_the_dark_out_of_range_and_at_a_slant():
    depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
    depth[:, 40:] = 2.5
    depth[:10], depth[50:] = 0.2, 9.0
    image = BRIGHT.copy()
    image[20:30, :20] = 5
    found = measured(depth, image, frame().camera, np.random.default_rng(0), NoiseSettings())
    assert (found[:9] == 0).all()
    assert (found[51:] == 0).all()
    assert (found[12:48, 39:41] == 0).mean() == pytest.approx(0.7, abs=0.15)
    assert (found[20:30, :20] == 0).mean() == pytest.approx(0.8, abs=0.1)
    assert (found[31:48, 2:38] == 0).mean() < 0.02
    flat = frame().camera
    rows = np.arange(HEIGHT)[:, None] + 0.5
    ground = (0.3 / np.maximum((rows - HEIGHT / 2) / WIDTH, 1e-3) * np.ones((1, WIDTH))).astype(np.float32)
    angle = np.arctan((rows[:, 0] - HEIGHT / 2) / WIDTH)  # of the ray below the horizon; the ground's normal is down
    middle = cosines(ground, flat)[35:55, WIDTH // 2]
    np.testing.assert_allclose(middle, np.sin(angle)[35:55], atol=0.02)


def test_the_same_seed_gives_the_same_frame_and_another_seed_another():
    motion = Motion(np.eye(4), 1 / 30)
    a, b = (spoil(frame(3), motion, NoiseSettings(seed=1)) for _ in range(2))
    other = spoil(frame(3), motion, NoiseSettings(seed=2))
    assert (a.image == b.image).all()
    assert (a.depth_m == b.depth_m).all()
    assert (a.image != other.image).any()
    assert (a.image != spoil(replace(frame(3), index=4), motion, NoiseSettings(seed=1)).image).any()


def test_a_moving_camera_smears_along_its_way():
    """A camera that moves 10 mm sideways before a wall at 1 m moves the picture by 0.8 px; a spot keeps its light."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[30, 40] = 250
    depth = np.ones((HEIGHT, WIDTH), np.float32)
    step = np.eye(4)
    step[0, 3] = 0.1
    found = blurred(image, depth, frame().camera, step, 1.0).astype(float)[..., 0]
    assert (found[:30] == 0).all()
    assert (found[31:] == 0).all()
    columns = np.arange(WIDTH)
    centre = (found[30] * columns).sum() / found[30].sum()
    spread = np.sqrt((found[30] * (columns - centre) ** 2).sum() / found[30].sum())
    assert centre == pytest.approx(40, abs=0.1)
    assert spread == pytest.approx(8 / 12**0.5, rel=0.25)  # evenly over 0.1 m x 80 px / 1 m = 8 px
    still = blurred(image, depth, frame().camera, np.eye(4), 1.0)
    assert (still == image).all()


def test_exposure_wanders_within_its_swing_and_starts_at_one():
    settings = NoiseSettings()
    gains = np.array([gain(i, settings) for i in range(400)])
    assert gains[0] == 1
    assert 1 / 1.13 < gains.min() < 0.92
    assert 1.08 < gains.max() < 1.13
    assert np.abs(np.diff(gains)).max() < 0.02


def test_as_a_stream_it_keeps_names_times_and_poses(tmp_path: Path):
    exact = open_source(write_tum(tmp_path / "walk"))
    noisy = Noisy(exact)
    assert (noisy.name, noisy.count, noisy.unit) == ("walk with noise", 4, "metre")
    for a, b in zip(exact, noisy, strict=True):
        assert (a.index, a.name, a.time_s, b.has_pose) == (b.index, b.name, b.time_s, True)
        assert (a.camera.T_world_camera == b.camera.T_world_camera).all()
        assert (a.image != b.image).any()
    (tmp_path / "walk/rgb/000.png").unlink()
    assert (open_source(tmp_path / "walk").count, len(list(Noisy(open_source(tmp_path / "walk"))))) == (3, 3)


def test_motion_needs_two_poses_and_time(tmp_path: Path):
    a, b = open_source(write_tum(tmp_path / "walk")).shots[:2]
    found = motion_between(a, b)
    assert found is not None
    assert found.seconds == pytest.approx(0.1)
    assert a.T_world_camera is not None
    assert b.T_world_camera is not None
    np.testing.assert_allclose(a.T_world_camera @ found.step, b.T_world_camera)
    assert motion_between(a, a) is None
    assert motion_between(replace(a, T_world_camera=None), b) is None
