"""D-NeRF, Nerfies / HyperNeRF and Neu3D: poses, sizes, times and splits; what is said where they cannot be read."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from captures import SHARED

from langfield.artefacts import read_json
from langfield.capture import normalize_capture, read_capture
from langfield.capture.images import read_picture
from langfield.capture.lens import project
from langfield.errors import FormatError
from langfield.stages import split_views
from tests.timed import FOCAL, HEIGHT, WIDTH, pose_at, poses_bounds, write_dnerf, write_nerfies, write_neu3d

HAND = SHARED / "scenes" / "hand_dynamic"


def colour_index(path: Path) -> int:
    return round(int(read_picture(path)[0, 0, 0]) / 10)


def test_dnerf(tmp_path):
    capture = read_capture(write_dnerf(tmp_path, {"train": 3, "val": 2, "test": 2}))
    assert [f.name for f in capture.frames] == [
        "test/r_000.png", "test/r_001.png", "train/r_000.png", "train/r_001.png", "train/r_002.png", "val/r_000.png",
        "val/r_001.png",
    ]  # fmt: skip
    assert [f.camera.time_s for f in capture.frames] == [0, 1, 0, 0.5, 1, 0, 1]
    assert [f.split for f in capture.frames] == ["test", "test", "train", "train", "train", "test", "test"]
    for frame in capture.frames:
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), pose_at(colour_index(frame.path)), atol=1e-12)
        assert float(frame.camera.K[0, 0]) == pytest.approx(FOCAL)
    training, held = split_views(capture.frames, 8)
    assert (len(training), len(held)) == (3, 4)
    assert len(split_views(capture.frames, 0)[0]) == 7


def test_dnerf_leaves_damaged_pictures_out_where_it_may(tmp_path):
    folder, damaged = write_dnerf(tmp_path, {"train": 3, "val": 2, "test": 2}), dict[str, str]()
    whole = read_capture(folder)
    lost = whole.frames[1]
    lost.path.write_bytes(lost.path.read_bytes()[:40])
    with pytest.raises(FormatError):
        read_capture(folder)
    capture = read_capture(folder, damaged=damaged)
    assert list(damaged) == [lost.name]
    assert [(f.name, f.split) for f in capture.frames] == [(f.name, f.split) for f in whole.frames if f is not lost]
    assert all((f.camera.T_world_camera == g.camera.T_world_camera).all()
               for f, g in zip(capture.frames, [w for w in whole.frames if w is not lost], strict=True))  # fmt: skip


def test_dnerf_without_other_splits(tmp_path):
    capture = read_capture(write_dnerf(tmp_path, {"train": 3}))
    assert [f.name for f in capture.frames] == ["r_000.png", "r_001.png", "r_002.png"]
    assert len(split_views(capture.frames, 3)[1]) == 1


@pytest.mark.parametrize("factor", [1, 2])
def test_nerfies_projects_as_its_camera_does(tmp_path, factor):
    """Against the published model, written down here: world to camera, radial and tangential terms, focal lengths."""
    capture = read_capture(write_nerfies(tmp_path, factor=factor))
    points = np.random.default_rng(0).uniform(-0.4, 0.4, (20, 3))
    for i, frame in enumerate(capture.frames):
        data = read_json(tmp_path / "camera" / f"{frame.name.removesuffix('.png')}.json")
        local = (points - np.array(data["position"])) @ np.array(data["orientation"]).T
        x, y = (local[:, :2] / local[:, 2:]).T
        r2 = x * x + y * y
        radial = 1 + 0.01 * r2
        x, y = x * radial + 0.002 * (r2 + 2 * x * x), y * radial + 2 * 0.002 * x * y
        wanted = np.stack([FOCAL * x + WIDTH / 2 - 1, 1.1 * FOCAL * y + HEIGHT / 2 + 1], 1) / factor
        T = np.linalg.inv(frame.camera.T_world_camera.numpy())
        np.testing.assert_allclose(project(frame.camera, points @ T[:3, :3].T + T[:3, 3]), wanted, atol=1e-9)
        assert colour_index(frame.path) == i
    assert [f.camera.time_s for f in capture.frames] == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert [f.split for f in capture.frames] == ["train", "test", "train", "train"]
    assert capture.points.xyz.tolist() == np.arange(12).reshape(4, 3).tolist()


def test_nerfies_without_a_validation_list_leaves_the_split_open(tmp_path):
    capture = read_capture(write_nerfies(tmp_path, held=()))
    assert {f.split for f in capture.frames} == {None}


def test_neu3d(tmp_path):
    capture = read_capture(write_neu3d(tmp_path))
    assert len(capture.frames) == 9
    for frame in capture.frames:
        camera, step = divmod(colour_index(frame.path), 4)
        assert frame.name == f"cam{camera:02d}/{step:04d}.png"
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), pose_at(camera), atol=1e-12)
        assert frame.camera.time_s == step / 2
        assert frame.camera.K[0].tolist() == [FOCAL / 2, 0, WIDTH / 4]
        assert frame.split == ("test" if camera == 0 else "train")


def test_neu3d_takes_frames_out_of_videos_once(tmp_path):
    import imageio_ffmpeg

    for c in range(2):
        size = 64, 48
        writer = imageio_ffmpeg.write_frames(str(tmp_path / f"cam{c:02d}.mp4"), size, fps=10, macro_block_size=16)
        writer.send(None)
        for t in range(5):
            writer.send(np.full((48, 64, 3), 40 * t, np.uint8).tobytes())
        writer.close()
    rows = poses_bounds(2)
    rows[:, [4, 9]] = 48, 64
    np.save(tmp_path / "poses_bounds.npy", rows)
    capture = read_capture(tmp_path)
    assert [f.name for f in capture.frames] == [f"cam{c:02d}/{t:04d}.jpg" for c in range(2) for t in range(5)]
    assert (capture.frames[0].camera.width, capture.frames[0].camera.height) == (32, 24)
    greys = [int(read_picture(f.path).mean()) for f in capture.frames[5:]]
    assert all(b > a + 20 for a, b in pairwise(greys))
    stamp = capture.frames[0].path.stat().st_mtime_ns
    assert read_capture(tmp_path).frames[0].path.stat().st_mtime_ns == stamp


def test_split_and_time_survive_normalising(tmp_path):
    capture = normalize_capture(read_capture(write_nerfies(tmp_path / "in")), tmp_path / "out")
    assert [f.split for f in capture.frames] == ["train", "test", "train", "train"]
    assert capture.frames[3].camera.time_s == 1


def spoil(root: Path, how: str) -> None:
    file = root / ("camera/000002.json" if how.startswith("camera") else "dataset.json")
    data = json.loads(file.read_text())
    match how:
        case "camera mirrored":
            data["orientation"][0] = [-v for v in data["orientation"][0]]
        case "camera size":
            data["image_size"] = [100, 80]
        case "camera zero size":
            data["image_size"] = [0, 0]
        case "camera text":
            data["focal_length"] = "long"
        case "camera short":
            data["position"] = [1.0]
        case "id climbs":
            data["ids"][1] = "../../x"
        case "id unknown":
            data["ids"].append("000009")
        case "no ids":
            data = []
        case "no time":
            (root / "metadata.json").write_text(json.dumps({"000001": {}}))
        case "points":
            np.save(root / "points.npy", np.zeros((3, 2)))
        case "no pictures":
            (root / "rgb" / "2x").rename(root / "elsewhere")
    file.write_text(json.dumps(data))


SAID = {
    "camera mirrored": "mirrored", "camera size": "picture is 12x8, not 1/2 of 100x80",
    "camera zero size": "not 1/2 of 0x0",
    "camera text": "focal_length is not a number", "camera short": "position is not 3 numbers",
    "id climbs": "not the id of a picture", "id unknown": "no warp_id for '000009'", "no ids": "no list of ids",
    "no time": "no warp_id", "points": "not .P, 3.", "no pictures": "no pictures in rgb",
}  # fmt: skip


@pytest.mark.parametrize("how", SAID)
def test_damaged_nerfies_is_said_in_one_sentence(tmp_path, how):
    spoil(write_nerfies(tmp_path), how)
    with pytest.raises(FormatError, match=SAID[how]) as caught:
        read_capture(tmp_path)
    assert "\n" not in str(caught.value)


def test_damaged_neu3d_is_said(tmp_path):
    write_neu3d(tmp_path)
    for rows, said in (
        (poses_bounds(2), "2 poses for 3 videos"), (np.zeros((3, 5)), r"not \[cameras, 17\]"),
        (poses_bounds(3) * 2, "not a rotation"), (np.full((3, 17), np.nan), "NaN"),
    ):  # fmt: skip
        np.save(tmp_path / "poses_bounds.npy", rows)
        with pytest.raises(FormatError, match=said):
            read_capture(tmp_path)
    for name in ("cam01", "cam02"):
        (tmp_path / name / "images").rename(tmp_path / f"{name}_gone")
        (tmp_path / f"{name}.mp4").write_bytes(b"no video")
    np.save(tmp_path / "poses_bounds.npy", poses_bounds(3))
    with pytest.raises(FormatError, match="video cannot be read"):
        read_capture(tmp_path)


def test_dnerf_with_a_frame_in_two_splits(tmp_path):
    write_dnerf(tmp_path, {"train": 2, "test": 2})
    data = json.loads((tmp_path / "transforms_test.json").read_text())
    data["frames"][0]["file_path"] = "./train/r_000"
    (tmp_path / "transforms_test.json").write_text(json.dumps(data))
    with pytest.raises(FormatError, match="more than once"):
        read_capture(tmp_path)


@pytest.mark.skipif(not HAND.is_dir(), reason="the shared scene hand_dynamic is not beside the repository")
def test_hand_dynamic_has_times():
    times = [f.camera.time_s for f in read_capture(HAND).frames]
    assert times == pytest.approx([i / 85 for i in range(86)])
