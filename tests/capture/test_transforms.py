"""transforms.json: what is read, and what is said where it cannot be."""

from __future__ import annotations

import contextlib
import json
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from captures import OFFICE, ring_pose, texture, transforms, write_scene
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from langfield.capture import read_capture
from langfield.errors import FormatError
from tests.series import cases


def test_poses_intrinsics_names_and_time(tmp_path):
    meta = transforms()
    meta["frames"][1] |= {"fl_x": 70.0, "w": 32, "h": 24, "time": 0.5}
    meta |= {"k1": 0.1, "p2": 0.01, "applied_transform": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}
    capture = read_capture(write_scene(tmp_path, meta))
    assert [f.name for f in capture.frames] == ["000.png", "001.png", "002.png"]
    for i, frame in enumerate(capture.frames):
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), ring_pose(i), atol=1e-12)
    first, second = capture.frames[0].camera, capture.frames[1].camera
    assert first.K.tolist() == [[60, 0, 31], [0, 61, 25], [0, 0, 1]]
    assert (first.width, first.height, second.width, second.height) == (64, 48, 32, 24)
    assert (float(second.K[0, 0]), first.time_s, second.time_s) == (70.0, None, 0.5)
    assert first.distortion is not None
    assert first.distortion.coefficients == (0.1, 0, 0, 0.01, 0)
    assert any("applied_transform" in note for note in capture.notes)


def test_camera_looks_where_it_should(tmp_path):
    """The origin of the world lies on the optical axis of every camera of the ring, in front of it."""
    for frame in read_capture(write_scene(tmp_path)).frames:
        seen = torch.linalg.inv(frame.camera.T_world_camera)[:3, 3]
        assert abs(float(seen[0])) < 1e-9
        assert abs(float(seen[1])) < 1e-9
        assert float(seen[2]) > 0


def test_blender_layout(tmp_path):
    """Only camera_angle_x, no suffix, no size; w and h come from the picture."""
    meta = transforms()
    write_scene(tmp_path, meta)
    for frame in meta["frames"]:
        frame["file_path"] = "./" + frame["file_path"].removesuffix(".png")
    bare = {"camera_angle_x": 1.0, "frames": meta["frames"]}
    capture = read_capture(write_scene(tmp_path, bare, pictures=False))
    focal = 32 / math.tan(0.5)
    assert torch.allclose(
        capture.frames[0].camera.K, torch.tensor([[focal, 0, 32], [0, focal, 24], [0, 0, 1]]).double()
    )
    assert capture.frames[0].name == "000.png"


@pytest.mark.parametrize("model", ["OPENCV_FISHEYE", "SIMPLE_RADIAL_FISHEYE"])
def test_fisheye(tmp_path, model):
    capture = read_capture(write_scene(tmp_path, {**transforms(), "camera_model": model, "k1": 0.1, "k4": 0.2}))
    lens = capture.frames[0].camera.distortion
    assert lens is not None
    assert (lens.model, lens.coefficients) == ("fisheye", (0.1, 0, 0, 0.2))


def test_points_masks_and_depth(tmp_path):
    meta = {**transforms(), "ply_file_path": "cloud.ply"}
    meta["frames"][0] |= {"mask_path": "m.png", "depth_file_path": "d.png"}
    write_scene(tmp_path, meta)
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / "m.png")
    Image.fromarray(np.zeros((48, 64), np.uint16)).save(tmp_path / "d.png")
    (tmp_path / "cloud.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n1 2 3 4 5 6\n"
    )
    capture = read_capture(tmp_path)
    assert capture.points.xyz.tolist() == [[1, 2, 3]]
    assert capture.points.rgb.tolist() == [[4, 5, 6]]
    assert capture.frames[0].mask_path == tmp_path / "m.png"
    assert capture.frames[0].depth_path == tmp_path / "d.png"
    (tmp_path / "m.png").unlink()
    with pytest.raises(FormatError, match=r"mask of '000.png' not found \(1 missing\)|1 of 3 missing"):
        read_capture(tmp_path)


def test_no_points_is_a_note(tmp_path):
    capture = read_capture(write_scene(tmp_path))
    assert len(capture.points.xyz) == 0
    assert any("no start points" in note for note in capture.notes)


def _break(meta: dict, how: str) -> None:
    frame = meta["frames"][1]
    match how:
        case "nan pose":
            frame["transform_matrix"][0][3] = float("nan")
        case "infinite pose":
            frame["transform_matrix"][2][1] = float("inf")
        case "scaled pose":
            frame["transform_matrix"] = (np.diag([2, 2, 2, 1]) @ ring_pose(0)).tolist()
        case "mirrored pose":
            frame["transform_matrix"] = np.diag([1.0, 1, -1, 1]).tolist()
        case "short pose":
            frame["transform_matrix"] = [[1, 0, 0, 0]]
        case "no frames":
            meta["frames"] = []
        case "one frame":
            meta["frames"] = meta["frames"][:1]
        case "frames no list":
            meta["frames"] = {"a": 1}
        case "same name":
            frame["file_path"] = meta["frames"][0]["file_path"]
        case "climbs out":
            frame["file_path"] = "images/../../elsewhere.png"
        case "absolute":
            frame["file_path"] = "/etc/hostname"
        case "nul":
            frame["file_path"] = "images/a\0b.png"
        case "no focal":
            del meta["fl_x"], meta["fl_y"]
        case "zero focal":
            meta["fl_x"] = 0
        case "text focal":
            meta["fl_x"] = "wide"
        case "wrong size":
            frame |= {"w": 100, "h": 80}
        case "odd model":
            meta["camera_model"] = "EQUIRECTANGULAR"
        case "huge number":
            meta["fl_x"] = 10**400


SAID = {
    "nan pose": "'001.png'.*|NaN or infinite",
    "infinite pose": "NaN or infinite",
    "scaled pose": "not a rotation and a translation",
    "mirrored pose": "mirrored",
    "short pose": "not 4 rows of 4 numbers",
    "no frames": "has no pictures",
    "one frame": "has one picture; at least 2",
    "frames no list": "no list of frames",
    "same name": "'000.png' named more than once",
    "climbs out": "points outside the scene folder.*--allow-outside",
    "absolute": "points outside the scene folder",
    "nul": "not a file path",
    "no focal": "neither fl_x nor camera_angle_x",
    "zero focal": "not positive",
    "text focal": "fl_x is not a number: 'wide'",
    "wrong size": "picture is 64x48 but its camera is for 100x80",
    "odd model": "'EQUIRECTANGULAR' is not supported",
    "huge number": "fl_x is not finite",
}


@pytest.mark.parametrize("how", SAID)
def test_bad_input_is_said_in_one_sentence(tmp_path, how):
    meta = transforms()
    write_scene(tmp_path, meta)
    _break(meta, how)
    (tmp_path / "transforms.json").write_text(json.dumps(meta))
    with pytest.raises(FormatError, match=SAID[how]) as caught:
        read_capture(tmp_path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


def test_missing_pictures_are_counted(tmp_path):
    write_scene(tmp_path)
    (tmp_path / "images/001.png").unlink()
    with pytest.raises(FormatError, match=r"picture '001.png' not found \(1 of 3 missing\)"):
        read_capture(tmp_path)


@pytest.mark.parametrize(("suffix", "keep"), [(".png", 0.6), (".jpg", 0.6), (".png", 0.01), (".jpg", 0.01)])
def test_truncated_picture(tmp_path, suffix, keep):
    meta = transforms()
    meta["frames"][2]["file_path"] = f"images/last{suffix}"
    write_scene(tmp_path, meta)
    path = tmp_path / f"images/last{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)).save(path)
    read_capture(tmp_path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(FormatError, match=f"cut short.*last{suffix}"):
        read_capture(tmp_path)


def test_symbolic_link_out_of_the_scene(tmp_path):
    outside = tmp_path / "outside.png"
    Image.fromarray(texture(64, 48)).save(outside)
    scene = write_scene(tmp_path / "scene")
    (scene / "images/001.png").unlink()
    os.symlink(outside, scene / "images/001.png")
    with pytest.raises(FormatError, match="points outside"):
        read_capture(scene)
    assert len(read_capture(scene, allow_outside=True).frames) == 3


def test_nothing_there(tmp_path):
    with pytest.raises(FormatError, match="langfield prepare"):
        read_capture(tmp_path)
    with pytest.raises(FormatError, match="capture not found"):
        read_capture(tmp_path / "nowhere")
    (tmp_path / "transforms.json").write_text('{"frames": [')
    with pytest.raises(FormatError, match="not readable as JSON"):
        read_capture(tmp_path)


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.floats(), max_size=4),
    st.just({}), st.just([[0.0] * 4] * 4), st.just("../x.png"), st.just("images/000.png"),
)  # fmt: skip
KEYS = ["w", "h", "fl_x", "fl_y", "cx", "cy", "k1", "k4", "camera_model", "ply_file_path", "frames", "camera_angle_x"]
FRAME_KEYS = ["file_path", "transform_matrix", "time", "mask_path", "depth_file_path", "w", "fl_x", "k3"]


@settings(
    max_examples=cases(60), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(st.sampled_from(KEYS), JUNK, max_size=2), st.dictionaries(st.sampled_from(FRAME_KEYS), JUNK))
def test_junk_gives_only_format_errors(tmp_path, over, over_frame):
    meta = transforms(2)
    write_scene(tmp_path, meta)
    meta["frames"][0] |= over_frame
    (tmp_path / "transforms.json").write_text(json.dumps(meta | over))
    with contextlib.suppress(FormatError):
        read_capture(tmp_path)


@pytest.mark.skipif(not OFFICE.is_dir(), reason="the shared scene fr3_office is not beside the repository")
def test_office():
    capture = read_capture(Path(OFFICE))
    assert len(capture.frames) == 17
    assert len(capture.points.xyz) == 3479
