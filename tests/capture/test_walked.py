"""A posed capture as a stream: pictures in order of their names, with its poses, lens and depth."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langfield.capture import read_capture
from langfield.capture.rgbd import SourceSettings
from langfield.capture.stream import open_source
from langfield.errors import FormatError
from langfield.online.rgb.beside import points_beside
from tests.capture.captures import ring_pose, texture
from tests.capture.streams import HEIGHT, WIDTH, depth_of, tum_line, write_tum
from tests.online.rgb.cloud import write_ply

OPENGL = np.diag([1.0, -1, -1, 1])


def write_capture(root: Path, count: int = 4, **more: object) -> Path:
    """Write a transforms.json with depth, its frames listed backwards."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for i in reversed(range(count)):
        Image.fromarray(texture(WIDTH, HEIGHT, i)).save(root / f"images/{i:03d}.png")
        Image.fromarray(np.round(depth_of(i) * 500).astype(np.uint16)).save(root / f"images/{i:03d}_depth.png")
        pose = (ring_pose(i) @ OPENGL).tolist()
        place = {"file_path": f"images/{i:03d}.png", "depth_file_path": f"images/{i:03d}_depth.png"}
        rows.append({**place, "transform_matrix": pose})
    lens = {"fl_x": 30.0, "fl_y": 31.0, "cx": 16.5, "cy": 12.0, "w": WIDTH, "h": HEIGHT}
    data = {**lens, "unit": "metre", "depth_unit_scale_factor": 1 / 500, "frames": rows, **more}
    (root / "transforms.json").write_text(json.dumps(data))
    write_ply(root / "points3D.ply", np.random.default_rng(0).normal(size=(40, 3)))
    return root


def test_its_pictures_come_in_order_with_pose_lens_and_depth(tmp_path: Path):
    source = open_source(write_capture(tmp_path / "walk"))
    frames = list(source)
    assert (source.name, source.unit, source.count) == ("walk", "metre", 4)
    for i, frame in enumerate(frames):
        assert (frame.index, frame.name, frame.has_pose) == (i, f"{i:03d}.png", True)
        assert frame.time_s == pytest.approx(i / 30)
        assert (frame.image == texture(WIDTH, HEIGHT, i)).all()
        np.testing.assert_allclose(frame.camera.T_world_camera.numpy(), ring_pose(i), atol=1e-6)
        assert frame.depth_m is not None
        np.testing.assert_allclose(frame.depth_m, depth_of(i), atol=0.5 / 500 + 1e-6)
        assert frame.camera.K[:2].tolist() == [[30, 0, 16.5], [0, 31, 12]]
    assert len(open_source(tmp_path / "walk", SourceSettings(every=2))) == 2


def test_several_cameras_and_a_depth_unit_of_nothing_are_refused(tmp_path: Path):
    root = write_capture(tmp_path / "walk")
    data = json.loads((root / "transforms.json").read_text())
    data["frames"][1]["fl_x"] = 40.0
    (root / "transforms.json").write_text(json.dumps(data))
    with pytest.raises(FormatError, match="another camera"):
        open_source(root)
    with pytest.raises(FormatError, match="depth_unit_scale_factor"):
        open_source(write_capture(tmp_path / "zero", depth_unit_scale_factor=0))


def test_points_beside_a_stream_count_if_they_are_of_its_world(tmp_path: Path):
    root = write_capture(tmp_path / "walk")
    assert points_beside(root) == root
    assert len(read_capture(root).points.xyz) == 40
    stream = write_tum(tmp_path / "tum")
    assert points_beside(stream) is None
    names = [f"images/{i:03d}.png" for i in range(4)]
    (root / "rgb.txt").write_text("".join(f"{100 + i / 10:.6f} {name}\n" for i, name in enumerate(names)))
    (root / "camera.json").write_text((stream / "camera.json").read_text())
    (root / "groundtruth.txt").write_text("".join(f"{tum_line(100 + i / 10, ring_pose(i))}\n" for i in range(4)))
    assert points_beside(root) == root  # read as TUM's now
    moved = [ring_pose(i) + np.outer([1, 0, 0, 0], [0, 0, 0, 0.5]) for i in range(4)]
    (root / "groundtruth.txt").write_text("".join(f"{tum_line(100 + i / 10, T)}\n" for i, T in enumerate(moved)))
    assert points_beside(root) is None
