"""Frames hang on keyframes, and stay where they are when their keyframe goes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from langfield.capture.types import Camera
from langfield.errors import FormatError
from langfield.online.path import CameraPath, Step, tum_text
from langfield.online.types import Keyframe


def pose(seed: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    T = np.eye(4)
    T[:3, :3], T[:3, 3] = Rotation.from_quat(rng.normal(size=4)).as_matrix(), rng.normal(size=3)
    return torch.from_numpy(T)


def keyframe(key: int, T: torch.Tensor) -> Keyframe:
    return Keyframe(key, None, Camera(torch.eye(3), 4, 3, T))  # pyright: ignore[reportArgumentType]


def path_of(n: int) -> CameraPath:
    path = CameraPath()
    for i in range(n):
        path.add(Step(i, 0.1 * i, i // 3, pose(100 + i), f"f{i}.png", f"x/f{i}.png", (1.0 + i, 0.1)))
    return path


@given(seed=st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_frames_move_with_their_keyframe_and_stay_when_it_goes(seed):
    path = path_of(6)
    two = [keyframe(0, pose(seed)), keyframe(1, pose(seed + 1))]
    before = path.poses(two)
    path.free(two[0])
    again = path.poses(two[1:])
    moved = path.poses([keyframe(1, pose(seed + 2) @ two[1].camera.T_world_camera)])
    for i in range(6):
        torch.testing.assert_close(before[i], again[i])
        torch.testing.assert_close(moved[i], before[i] if i < 3 else pose(seed + 2) @ before[i])


def test_a_path_comes_back_as_it_was_and_damaged_ones_are_refused():
    path, other = path_of(5), CameraPath()
    other.load_state(path.state(), path.names)
    for a, b in zip(path.steps, other.steps, strict=True):
        assert (a.index, a.time_s, a.reference, a.name, a.picture) == (
            b.index,
            b.time_s,
            b.reference,
            b.name,
            b.picture,
        )
        assert torch.equal(a.T_reference_camera, b.T_reference_camera)
    for names in (path.names[:4], [*path.names[:4], [1, 2]], None):
        with pytest.raises(FormatError):
            other.load_state(path.state(), names)
    with pytest.raises(FormatError):
        path.poses([keyframe(0, pose(0))])


def test_tum_text_says_the_poses():
    poses = [pose(i) for i in range(4)]
    rows = np.loadtxt(tum_text([0.5 * i for i in range(4)], poses).splitlines())
    np.testing.assert_allclose(rows[:, 0], [0, 0.5, 1, 1.5])
    for row, T in zip(rows, poses, strict=True):
        np.testing.assert_allclose(row[1:4], T[:3, 3], atol=1e-8)
        np.testing.assert_allclose(Rotation.from_quat(row[4:]).as_matrix(), T[:3, :3], atol=1e-7)
