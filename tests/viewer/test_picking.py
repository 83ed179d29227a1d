"""Clicks, rectangles, growing and shrinking: against the balls' known places, an own projection, and set laws."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import viser.transforms as vtf
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.capture.types import Camera
from langfield.viewer.picking import Look, grow, in_rectangle, shrink, under_click, usual_step
from langfield.viewer.rows import frozen
from tests.viewer.scene import CENTRES, balls, orbit

GAUSSIANS, KIND = balls()
MEANS = GAUSSIANS.means.numpy()


def look_of(camera: Camera) -> Look:
    pose = camera.T_world_camera.numpy()
    fov = 2 * np.arctan(camera.height / (2 * float(camera.K[1, 1])))
    wxyz = vtf.SO3.from_matrix(pose[:3, :3]).wxyz
    return Look(tuple(pose[:3, 3]), tuple(wxyz), float(fov), camera.width, camera.height)


LOOK = look_of(orbit()[0].camera)


def place(look: Look, point: np.ndarray) -> tuple[float, float]:
    """Column and row of a world point, by hand."""
    R = vtf.SO3(np.asarray(look.wxyz)).as_matrix()
    x, y, z = R.T @ (point - np.asarray(look.position))
    focal = 0.5 / np.tan(look.fov_rad / 2)
    return 0.5 + focal * x / z * look.height / look.width, 0.5 + focal * y / z


def test_a_look_is_the_camera_it_came_from():
    frame = orbit()[3].camera
    again = look_of(frame).camera()
    torch.testing.assert_close(again.K, frame.K)
    torch.testing.assert_close(again.T_world_camera, frame.T_world_camera)


@pytest.mark.parametrize("view", [0, 3, 7])
@pytest.mark.parametrize("ball", [1, 2, 3])
def test_a_click_on_a_ball_gives_a_gaussian_of_it(view: int, ball: int):
    look = look_of(orbit()[view].camera)
    toward = np.asarray(look.position) - CENTRES[ball - 1].numpy()
    row = under_click(GAUSSIANS, look, place(look, CENTRES[ball - 1].numpy() + 0.2 * toward / np.linalg.norm(toward)))
    assert row is not None
    hidden = int(KIND[row]) != ball and np.linalg.norm(MEANS[row] - look.position) < np.linalg.norm(toward)
    assert int(KIND[row]) == ball or hidden


def test_a_click_on_nothing_gives_nothing():
    assert under_click(GAUSSIANS, dataclasses.replace(LOOK, position=(0.0, 0.0, 99.0)), (0.01, 0.01)) is None


def test_a_rectangle_takes_what_is_in_sight():
    x, y = place(LOOK, CENTRES[0].numpy())
    corners = np.array([[x + 0.11, y + 0.14], [x - 0.11, y - 0.14]])
    through, seen = in_rectangle(GAUSSIANS, LOOK, corners, True), in_rectangle(GAUSSIANS, LOOK, corners)
    assert set(seen) < set(through)
    at = np.array([place(LOOK, p) for p in MEANS])
    inside = (np.abs(at - (x, y)) <= (0.11, 0.14)).all(axis=1)
    assert np.array_equal(through, np.flatnonzero(inside))
    ball = seen[KIND.numpy()[seen] == 1]
    facing = (MEANS[ball] - CENTRES[0].numpy()) @ (np.asarray(LOOK.position) - CENTRES[0].numpy())
    assert len(ball) > 400
    assert (facing > 0).mean() > 0.9
    assert len(in_rectangle(GAUSSIANS, LOOK, np.array([[2.0, 2.0], [3.0, 3.0]]))) == 0


POINTS = np.random.default_rng(0).random((60, 3))
SETS = st.sets(st.integers(0, 59)).map(frozen)


@settings(max_examples=60)
@given(SETS, st.floats(0, 0.6))
def test_growing_is_the_brute_force_and_shrinking_its_mirror(rows: np.ndarray, distance: float):
    near = np.linalg.norm(POINTS[:, None] - POINTS[None, rows], axis=2) <= distance
    expected = set(rows.tolist()) | set(np.flatnonzero(near.any(axis=1)).tolist())
    assert set(grow(POINTS, rows, distance).tolist()) == expected
    outside = frozen(np.setdiff1d(np.arange(60), rows))
    left = shrink(POINTS, rows, distance)
    assert set(left.tolist()) == set(range(60)) - set(grow(POINTS, outside, distance).tolist())
    assert set(left.tolist()) <= set(rows.tolist())


def test_a_step_is_about_a_gaussian():
    ball = frozen(np.flatnonzero(KIND.numpy() == 2))
    step = usual_step(MEANS, ball)
    assert 0.005 < step < 0.1
    assert usual_step(MEANS, frozen([])) > 0
