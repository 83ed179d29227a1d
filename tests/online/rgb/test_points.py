"""Which points a camera sees, and how deep: against the room's own depth and against a loop over all points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from langfield.capture.types import Camera
from langfield.errors import FormatError
from langfield.online.rgb.points import CROWD, HIDDEN, read_world_points, seen_depth
from tests.online.rgb.cloud import cloud, write_ply
from tests.online.room import frame, loop_pose


def naive(points: np.ndarray, camera: Camera) -> np.ndarray:
    """Project one point after the other, then look at every pixel's neighbours."""
    T, K = np.linalg.inv(camera.T_world_camera.numpy()), camera.K.numpy()
    first: dict[tuple[int, int], float] = {}
    for point in points:
        x, y, z = T[:3, :3] @ point + T[:3, 3]
        if z <= 1e-3:
            continue
        at = (int(np.floor(K[1, 1] * y / z + K[1, 2])), int(np.floor(K[0, 0] * x / z + K[0, 2])))
        if 0 <= at[0] < camera.height and 0 <= at[1] < camera.width:
            first[at] = min(z, first.get(at, np.inf))
    reach = min(max(int((CROWD * camera.width * camera.height / max(len(first), 1)) ** 0.5 / 2), 1), 24)
    out = np.zeros((camera.height, camera.width))
    for (row, column), z in first.items():
        near = [v for (r, c), v in first.items() if abs(r - row) <= reach and abs(c - column) <= reach]
        if z < (1 + HIDDEN) * min(near):
            out[row, column] = z
    return out


@pytest.mark.parametrize("part", [0.0, 0.4])
def test_it_sees_what_a_loop_over_all_points_sees(part: float):
    camera = frame(0, loop_pose(part), 40, 30, 1).camera
    points = cloud(40, seed=2)
    np.testing.assert_allclose(seen_depth(points, camera), naive(points, camera), rtol=1e-6)


@pytest.mark.parametrize("part", [0.05, 0.33, 0.8])
def test_hidden_points_are_left_out_and_the_others_lie_on_the_surface(part: float):
    one = frame(0, loop_pose(part), 160, 120, 1)
    assert one.depth_m is not None
    found = seen_depth(cloud(), one.camera)
    known = found > 0
    off = np.abs(found[known] / one.depth_m[known] - 1)
    assert known.sum() > 300
    assert np.median(off) < 0.01
    assert (off > 0.1).mean() < 0.04


def test_nothing_is_seen_of_what_lies_behind_or_outside():
    one = frame(0, loop_pose(0.0), 40, 30, 1)
    T = one.camera.T_world_camera.numpy()
    behind = T[:3, 3] - 0.5 * T[:3, 2]
    beside = T[:3, 3] + 0.5 * T[:3, 2] + 5 * T[:3, 0]
    assert not seen_depth(np.stack([behind, beside]), one.camera).any()
    assert not seen_depth(np.zeros((0, 3)), one.camera).any()


def test_points_are_read_from_a_file_and_none_are_refused(tmp_path: Path):
    points = cloud(5)
    np.testing.assert_allclose(read_world_points(write_ply(tmp_path / "a.ply", points)), points, atol=1e-5)
    with pytest.raises(FormatError, match="no points"):
        read_world_points(write_ply(tmp_path / "b.ply", points[:0]))
    with pytest.raises(FormatError):
        read_world_points(tmp_path)
