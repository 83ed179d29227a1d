"""Trajectory errors in closed form."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langfield.errors import FormatError
from langfield.evaluate.trajectory import depth_l1, drift_percent, path_along, trajectory_report, umeyama


def walk(count: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.5, (count, 3))).as_matrix()
    poses[:, :3, 3] = np.cumsum(rng.normal(0, 0.1, (count, 3)), 0)
    return poses


def carried(poses: np.ndarray, scale: float = 1.0) -> np.ndarray:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = Rotation.from_rotvec([0.3, -1.2, 2.0]).as_matrix(), [3.0, -1.0, 0.5]
    moved = poses.copy()
    moved[:, :3, 3] *= scale
    return out @ moved


def test_another_world_frame_is_no_error():
    report = trajectory_report(carried(walk()), walk())
    assert report.ate_rmse < 1e-9
    assert report.drift_percent < 1e-7
    assert report.end_drift_percent < 1e-7
    assert report.scale == 1


def test_scale_is_found_only_where_it_is_free():
    free = trajectory_report(carried(walk(), 2.5), walk(), with_scale=True)
    assert abs(free.scale - 0.4) < 1e-9
    assert free.ate_rmse < 1e-9
    assert free.drift_percent < 1e-7
    held = trajectory_report(carried(walk(), 2.5), walk())
    centred = walk()[:, :3, 3] - walk()[:, :3, 3].mean(0)
    assert abs(held.ate_rmse - 1.5 * np.sqrt((centred**2).sum(1).mean())) < 1e-9


def test_mirrored_points_are_not_turned_inside_out():
    points = np.random.default_rng(1).normal(size=(20, 3))
    fit = umeyama(points, points * [1, 1, -1], with_scale=False)
    assert abs(np.linalg.det(fit.R) - 1) < 1e-9


def test_drift_of_a_straight_walk_that_is_counted_too_long():
    true = np.tile(np.eye(4), (101, 1, 1))
    true[:, 0, 3] = np.linspace(0, 10, 101)
    seen = true.copy()
    seen[:, 0, 3] *= 1.02
    assert abs(path_along(true)[-1] - 10) < 1e-12
    assert abs(drift_percent(seen, true, 1.0) - 2) < 1e-9
    report = trajectory_report(seen, true)
    assert abs(report.drift_percent - 2) < 1e-9
    assert abs(report.end_drift_percent - 2) < 1e-9
    offsets = 0.02 * (true[:, 0, 3] - 5)
    assert abs(report.ate_rmse - np.sqrt((offsets**2).mean())) < 1e-9
    assert abs(report.ate_max - 0.1) < 1e-9


def test_a_camera_that_stands_still():
    still = np.tile(np.eye(4), (5, 1, 1))
    report = trajectory_report(still, still)
    assert (report.ate_rmse, report.drift_percent, report.path) == (0, 0, 0)


def test_what_cannot_be_compared_is_told():
    with pytest.raises(FormatError):
        trajectory_report(walk(5), walk(6))
    broken = walk(5)
    broken[2, 0, 3] = np.nan
    with pytest.raises(FormatError, match="finite"):
        trajectory_report(broken, walk(5))


def test_depth_is_compared_where_both_know_it():
    true, drawn = np.array([[1.0, 2.0], [0.0, 4.0]]), np.array([[1.5, 2.0], [9.0, 9.0]])
    known = np.array([[True, True], [True, False]])
    assert depth_l1(drawn, true, known) == 0.25
    assert np.isnan(depth_l1(drawn, true, np.zeros((2, 2), bool)))
