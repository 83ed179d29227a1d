"""Path errors in closed form, and unmoved by rigid motions."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from langfield.errors import FormatError
from langfield.evaluate.trajectory import depth_l1, path_error, rigid_fit, scale_fit


def pose(rng: np.random.Generator) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_quat(rng.normal(size=4)).as_matrix(), rng.normal(size=3)
    return T


def walk(n: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [pose(rng) for _ in range(n)]


def test_a_path_moved_as_a_whole_has_no_error():
    truth, T = walk(12), pose(np.random.default_rng(9))
    found = path_error([T @ p for p in truth], truth)
    assert max(found.ate_rmse, found.ate_max, found.drift, found.turn_deg / 1e6) < 1e-9
    steps = np.diff([p[:3, 3] for p in truth], axis=0)
    assert found.length == pytest.approx(np.linalg.norm(steps, axis=1).sum())


def test_the_scale_of_a_similarity_is_undone():
    points, T = np.random.default_rng(2).normal(size=(20, 3)), pose(np.random.default_rng(3))
    for scale in (0.2, 1.0, 7.0):
        assert scale_fit(points @ T[:3, :3].T / scale + T[:3, 3], points) == pytest.approx(scale)


def test_a_mirrored_path_is_not_laid_on_the_true_one():
    points = np.random.default_rng(1).normal(size=(30, 3))
    turn, _ = rigid_fit(points * [-1, 1, 1], points)
    assert np.linalg.det(turn) == pytest.approx(1)


def test_drift_is_the_end_s_error_over_the_length():
    truth = [np.eye(4) for _ in range(11)]
    for i, T in enumerate(truth):
        T[0, 3] = i
    found = [T.copy() for T in truth]
    found[-1][1, 3] = 0.3
    assert path_error(found, truth).drift == pytest.approx(0.03)
    scaled = [T.copy() for T in truth]
    for T in scaled:
        T[:3, 3] *= 1.1
    error = path_error(scaled, truth)  # scale is an error, not a freedom: centres lie 0.1 (i - 5) off
    assert error.ate_rmse == pytest.approx(0.1 * np.sqrt(np.mean((np.arange(11) - 5) ** 2)))
    assert error.drift == pytest.approx(0.1)


def test_the_fit_is_no_worse_than_any_other_near_it():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(20, 3))
    found = truth @ Rotation.from_rotvec([0.3, 1, -0.2]).as_matrix() + [1, 2, 3] + rng.normal(0, 0.1, (20, 3))
    turn, move = rigid_fit(found, truth)
    best = ((found @ turn.T + move - truth) ** 2).sum()
    for _ in range(50):
        other = Rotation.from_rotvec(rng.normal(0, 0.05, 3)).as_matrix() @ turn
        assert ((found @ other.T + move + rng.normal(0, 0.02, 3) - truth) ** 2).sum() > best


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(FormatError):
        path_error(walk(3), walk(4))
    with pytest.raises(FormatError):
        path_error([np.full((4, 4), np.nan)] * 3, walk(3))


def test_depth_is_judged_where_it_is_known_and_covered():
    truth = np.array([[1.0, 0.0], [2.0, np.inf]])
    drawn = np.array([[1.5, 9.0], [1.0, 9.0]])
    assert depth_l1(drawn, truth, np.ones((2, 2), bool)) == pytest.approx(0.75)
    assert depth_l1(drawn, truth, np.array([[True, True], [False, True]])) == pytest.approx(0.5)
    assert depth_l1(drawn, np.zeros((2, 2)), np.ones((2, 2), bool)) is None


def test_a_mirrored_path_is_no_moved_one_and_a_known_offset_is_found():
    rng = np.random.default_rng(0)
    truth = [np.eye(4) for _ in range(40)]
    for T in truth:
        T[:3, 3] = rng.normal(size=3)
    mirrored = [np.diag([1, 1, -1, 1]) @ T @ np.diag([1, 1, -1, 1]) for T in truth]
    assert path_error(mirrored, truth).ate_rmse > 0.1
    off = rng.normal(size=(40, 3))
    off *= 0.01 / np.sqrt((off**2).sum(1).mean())
    moved = [T.copy() for T in truth]
    for T, by in zip(moved, off, strict=True):
        T[:3, 3] += by
    assert path_error(moved, truth).ate_rmse == pytest.approx(0.01, rel=0.1)
