"""Recorded RGB-D streams: what was written comes back, in order, at its time and place; what is damaged is said."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from langfield.capture.lens import project, unproject
from langfield.capture.rgbd import RgbdFrame, SourceSettings, at_size, known_depth
from langfield.capture.stream import open_source
from langfield.capture.tum import match, poses_at
from langfield.capture.types import Camera
from langfield.errors import FormatError
from tests.capture.captures import ring_pose, texture
from tests.capture.streams import HEIGHT, LENS, WIDTH, depth_of, tum_line, write_replica, write_tum

DESK = Path(__file__).parents[2] / ".." / "shared" / "scenes" / "fr1_desk_rgbd"
TIMES = st.lists(st.integers(0, 300), max_size=30, unique=True).map(lambda t: np.sort(np.array(t, float)))


def test_tum_gives_back_what_was_written(tmp_path: Path):
    source = open_source(write_tum(tmp_path / "walk"))
    frames = list(source)
    assert (source.name, source.unit, source.count, len(frames)) == ("walk", "metre", 4, 4)
    for i, frame in enumerate(frames):
        assert (frame.index, frame.time_s, frame.name, frame.has_pose) == (i, 100 + i / 10, f"{i:03d}.png", True)
        assert (frame.image == texture(WIDTH, HEIGHT, i)).all()
        assert frame.depth_m is not None
        assert frame.depth_m.dtype == np.float32
        np.testing.assert_allclose(frame.depth_m, depth_of(i), atol=0.5 / 4000)
        assert (frame.depth_m[:4, :5] == 0).all()
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), ring_pose(i), atol=1e-7)
        assert frame.camera.K[:2].tolist() == [[30, 0, 16.5], [0, 31, 12]]


def test_replica_gives_back_what_was_written(tmp_path: Path):
    frames = list(open_source(write_replica(tmp_path / "office0")))
    assert [f.name for f in frames] == ["frame000000.jpg", "frame000001.jpg", "frame000002.jpg"]
    for i, frame in enumerate(frames):
        assert frame.depth_m is not None
        np.testing.assert_allclose(frame.depth_m, depth_of(i), atol=1e-4)
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), ring_pose(i), atol=1e-7)
        assert frame.camera.K[:2, 2].tolist() == [16, 12]
        assert np.abs(frame.image.astype(int) - texture(WIDTH, HEIGHT, i)).mean() < 8
        assert frame.time_s == pytest.approx(i / 30)


def test_pictures_alone_and_poses_missing(tmp_path: Path):
    root = write_tum(tmp_path / "a", poses=False)
    (root / "depth.txt").unlink()
    for frame in open_source(root):
        assert frame.depth_m is None
        assert not frame.has_pose
        assert (frame.camera.T_world_camera == torch.eye(4)).all()


def test_thinned_and_cut_short(tmp_path: Path):
    source = open_source(write_tum(tmp_path / "a"), SourceSettings(every=2, most=1))
    assert [f.name for f in source] == ["000.png"]
    assert [f.name for f in open_source(tmp_path / "a", SourceSettings(every=2))] == ["000.png", "002.png"]


def test_depth_too_late_belongs_to_no_picture(tmp_path: Path):
    write_tum(tmp_path / "a", late_s=0.03)
    assert all(f.depth_m is None for f in open_source(tmp_path / "a"))
    assert all(f.depth_m is not None for f in open_source(tmp_path / "a", SourceSettings(tolerance_s=0.04)))


def test_listed_pictures_that_are_not_there_are_left_out(tmp_path: Path):
    root = write_tum(tmp_path / "a")
    (root / "rgb/001.png").unlink()
    (root / "depth/002.png").unlink()
    source = open_source(root)
    assert source.notes == ("1 of 4 listed pictures are not there",)
    assert [(f.index, f.name, f.depth_m is None) for f in source] == [
        (0, "000.png", False), (1, "002.png", True), (2, "003.png", False),
    ]  # fmt: skip


def test_a_damaged_picture_costs_itself_only(tmp_path: Path):
    root = write_tum(tmp_path / "a")
    (root / "rgb/001.png").write_bytes(b"no picture")
    frames = iter(open_source(root))
    assert next(frames).name == "000.png"
    with pytest.raises(FormatError, match=r"001\.png"):
        next(frames)
    assert [f.name for f in frames] == ["002.png", "003.png"]


@given(TIMES, TIMES, st.integers(0, 40))
def test_matches_are_mutual_nearest_and_close(a: np.ndarray, b: np.ndarray, tolerance: int):
    found = match(a, b, tolerance)
    for i, j in enumerate(found):
        naive = [k for k in range(len(b)) if abs(b[k] - a[i]) == min(abs(b - a[i])) <= tolerance]
        mutual = [k for k in naive if abs(b[k] - a[i]) == min(abs(a - b[k]))]
        assert j == -1 or j in mutual
        assert j >= 0 or not mutual or len(naive) > 1 or sum(abs(a - b[mutual[0]]) == abs(a[i] - b[mutual[0]])) > 1
    assert len(set(found[found >= 0])) == (found >= 0).sum()


def test_poses_lie_on_a_screw_between_two_and_nowhere_else():
    known = np.array([0.0, 0.01, 1.0])
    table = np.array([[float(v) for v in tum_line(0, ring_pose(i, 400)).split()[1:]] for i in (0, 2, 5)])
    half, near, gone, early = poses_at(np.array([0.005, 0.995, 0.5, -0.5]), known, table, 0.02)
    assert half is not None
    assert near is not None
    assert np.linalg.norm(half[:3, 3] - ring_pose(1, 400)[:3, 3]) < 1e-3
    np.testing.assert_allclose(half[:3, :3], ring_pose(1, 400)[:3, :3], atol=1e-6)
    np.testing.assert_allclose(near, ring_pose(5, 400), atol=1e-7)  # a gap of a second is not bridged
    assert gone is None
    assert early is None


def test_undistorting_brings_points_where_the_flat_camera_projects_them(tmp_path: Path):
    lens = LENS | {"distortion": [0.2, -0.1, 0.001, 0.002], "fx": 60.0, "fy": 60.0}
    root = write_tum(tmp_path / "a", lens=lens)
    bent = open_source(root, SourceSettings(undistort=False))[0]
    frame = open_source(root)[0]
    assert bent.camera.distortion is not None
    assert frame.camera.distortion is None
    assert frame.depth_m is not None
    assert bent.depth_m is not None
    rows, columns = np.mgrid[5:HEIGHT:4, 6:WIDTH:4]
    xy = np.stack([columns.ravel() + 0.5, rows.ravel() + 0.5], 1)
    there = np.floor(project(bent.camera, unproject(frame.camera, xy))).astype(int)
    stored = set(np.unique(bent.depth_m))
    assert {float(d) for d in np.unique(frame.depth_m)} <= stored  # nearest: no depth is made up
    got, want = frame.depth_m[rows.ravel(), columns.ravel()], bent.depth_m[there[:, 1], there[:, 0]]
    assert (np.abs(got - want) <= 33 / 4000).all()  # a row and a column at most


def plane(width: int, height: int) -> RgbdFrame:
    """Look at a slanted plane: 1 / z is linear in the picture."""
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float64)
    rows, columns = np.mgrid[:height, :width] + 0.5
    depth = 1 / (0.5 + 0.5 * columns / width + 0.25 * rows / height)
    image = np.zeros((height, width, 3), np.uint8)
    return RgbdFrame(0, 0.0, image, depth.astype(np.float32), Camera(K, width, height, torch.eye(4)), False, "a")


def test_shrunk_depth_of_a_plane_is_the_plane_and_of_an_edge_one_side():
    small, exact = at_size(plane(64, 48), 16), plane(16, 12)
    assert small.depth_m is not None
    assert exact.depth_m is not None
    np.testing.assert_allclose(small.depth_m, exact.depth_m, rtol=1e-5)
    assert torch.allclose(small.camera.K, exact.camera.K)
    step = np.where(np.arange(64) < 33, 1, 3).astype(np.float32) * np.ones((48, 1), np.float32)
    step[7, 9] = np.nan
    shrunk = at_size(replace(plane(64, 48), depth_m=step), 16).depth_m
    assert shrunk is not None
    assert set(np.unique(shrunk)) <= {0, 1, 3}
    assert at_size(exact, 16) is exact


def test_depth_that_is_no_number_is_unknown():
    depth = np.array([[np.nan, np.inf, -np.inf, -1, 0, 2.5]])
    assert known_depth(depth).tolist() == [[0, 0, 0, 0, 0, 2.5]]


@pytest.mark.skipif(not DESK.is_dir(), reason="shared/scenes/fr1_desk_rgbd is not here")
def test_a_real_desk_fits_its_own_depth():
    """Points of one frame, carried by the poses, lie on the surface another frame measures."""
    source = open_source(DESK)
    assert (source.count, source[0].has_pose) == (9, True)
    a, b = source[0], source[8]
    assert a.depth_m is not None
    assert b.depth_m is not None
    rows, columns = np.nonzero(a.depth_m)
    rows, columns = rows[::97], columns[::97]
    rays = unproject(a.camera, np.stack([columns + 0.5, rows + 0.5], 1)) * a.depth_m[rows, columns][:, None]
    T = (torch.linalg.inv(b.camera.T_world_camera) @ a.camera.T_world_camera).numpy()
    there = rays @ T[:3, :3].T + T[:3, 3]
    at = np.floor(project(b.camera, there)).astype(int)
    ok = (at >= 0).all(1) & (at < [b.camera.width, b.camera.height]).all(1)
    seen = b.depth_m[at[ok, 1], at[ok, 0]]
    off = np.abs(seen - there[ok, 2])[seen > 0]
    assert np.median(off) < 0.015


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rgb.txt", "100.0\n", "time and a file name"),
        ("rgb.txt", "100.0 ../../secret.png\n", "outside"),
        ("rgb.txt", "nan rgb/000.png\n", "not finite"),
        ("rgb.txt", "100 rgb/none.png\n", "none of the listed pictures"),
        ("groundtruth.txt", "100 0 0 0 0 0 0\n", "7 numbers"),
        ("groundtruth.txt", "100 0 0 0 0 0 0 0\n", "length 0"),
        ("groundtruth.txt", "100 0 0 x 0 0 0 1\n", "not numbers"),
        ("camera.json", "[]", "no JSON object"),
        ("camera.json", json.dumps(LENS | {"fx": -1}), "not positive"),
        ("camera.json", json.dumps(LENS | {"depth_scale": 0}), "depth_scale"),
        ("camera.json", json.dumps(LENS | {"width": 1e9}), "width"),
    ],
)
def test_what_is_wrong_in_a_list_is_said(tmp_path: Path, name: str, text: str, said: str):
    root = write_tum(tmp_path / "a")
    (root / name).write_text(text)
    with pytest.raises(FormatError, match=said):
        open_source(root)


def test_lens_by_name_by_option_or_not_at_all(tmp_path: Path):
    root = write_tum(tmp_path / "rgbd_dataset_freiburg2_desk")
    (root / "camera.json").unlink()
    with pytest.raises(FormatError, match="fr2 is for 640x480"):
        open_source(root)
    for i in range(4):
        picture = root / f"rgb/{i:03d}.png"
        cv2.imwrite(str(picture), np.zeros((480, 640, 3), np.uint8))
    assert open_source(root).camera.K[:2, 2].tolist() == [325.6, 250.2]
    assert open_source(root, SourceSettings(camera="fr3")).camera.K[0, 0] == 535.4
    with pytest.raises(FormatError, match="fr1, fr2, fr3"):
        open_source(root, SourceSettings(camera="fr4"))
    (root / "calibration.txt").write_text("500 501 300 200\n")
    assert open_source(root).camera.K[:2].tolist() == [[500, 0, 300.5], [0, 501, 200.5]]
    other = write_tum(tmp_path / "elsewhere")
    (other / "camera.json").unlink()
    with pytest.raises(FormatError, match=r"camera\.json"):
        open_source(other)


def test_depth_of_another_size_or_of_eight_bits_is_refused(tmp_path: Path):
    root = write_tum(tmp_path / "a")
    Image.fromarray(np.ones((HEIGHT, WIDTH + 1), np.uint16)).save(root / "depth/001.png")
    Image.fromarray(np.ones((HEIGHT, WIDTH), np.uint8)).save(root / "depth/002.png")
    source = open_source(root)
    for i in (1, 2):
        with pytest.raises(FormatError, match="16 bit"):
            source[i]


@pytest.mark.parametrize("text", ["1 2 3\n", "1 " * 15 + "x\n", " ".join(["nan"] * 16) + "\n"])
def test_replica_with_damaged_poses_is_refused(tmp_path: Path, text: str):
    root = write_replica(tmp_path / "a")
    (root / "traj.txt").write_text(text)
    with pytest.raises(FormatError):
        open_source(root)


def test_no_sequence_is_said(tmp_path: Path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(FormatError, match="sequence"):
            open_source(path)
