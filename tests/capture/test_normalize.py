"""Normalising: pixels land where the pinhole camera says, work is kept, and failures harm nothing."""

from __future__ import annotations

import json
import resource

import numpy as np
import pytest
import torch
from captures import FLIP, blob_centre, blobs, ring_pose, save_with_exif, texture, transforms, write_scene
from PIL import Image

from langfield.capture import capture_key, map_points_to_frame, normalize, normalize_capture, read_capture
from langfield.capture.images import read_picture
from langfield.capture.lens import project
from langfield.capture.normalize import NormalizeSettings, read_normalized
from langfield.errors import FormatError, StorageError

LENSES = {
    "opencv": {"camera_model": "OPENCV", "k1": -0.2, "k2": 0.05, "p1": 0.001, "p2": -0.002},
    "fisheye": {"camera_model": "OPENCV_FISHEYE", "k1": 0.04, "k2": -0.01, "k3": 0.002, "k4": 0.0},
    "pinhole": {"camera_model": "PINHOLE"},
}


def distorted_scene(root, lens: str, orientation: int = 1):
    """Write two pictures of spots at known places; give those places, in the world."""
    world = np.array([[x, 0.1 * z, z] for x in (-0.5, 0.0, 0.5) for z in (-0.45, 0.1, 0.5)])
    meta = {"w": 640, "h": 480, "fl_x": 520.0, "fl_y": 530.0, "cx": 310.0, "cy": 250.0, **LENSES[lens], "frames": []}
    meta["frames"] = [
        {"file_path": f"images/{i}.png", "transform_matrix": (ring_pose(i) @ FLIP).tolist()} for i in (1, 2)
    ]
    write_scene(root, meta)
    for frame in read_capture(root).frames:
        T = np.linalg.inv(frame.camera.T_world_camera.numpy())
        picture = blobs(640, 480, project(frame.camera, world @ T[:3, :3].T + T[:3, 3]), sigma=2.5)
        save_with_exif(frame.path, picture, orientation)
    return world


@pytest.mark.parametrize(("lens", "height", "orientation"), [
    ("opencv", 1080, 1), ("opencv", 240, 1), ("fisheye", 1080, 1), ("fisheye", 300, 6), ("pinhole", 240, 8),
    ("pinhole", 1080, 3),
])  # fmt: skip
def test_spots_land_where_the_pinhole_camera_predicts(tmp_path, lens, height, orientation):
    world = distorted_scene(tmp_path / "scene", lens, orientation)
    capture = read_capture(tmp_path / "scene")
    result = normalize_capture(capture, tmp_path / "out", NormalizeSettings(max_height_px=height))
    assert len(result.frames) == 2
    for frame, original in zip(result.frames, capture.frames, strict=True):
        camera = frame.camera
        picture = read_picture(frame.path)
        assert camera.distortion is None
        assert picture.shape == (camera.height, camera.width, 3)
        assert camera.height <= height
        assert (camera.height > camera.width) == (orientation in (6, 8))
        T = np.linalg.inv(camera.T_world_camera.numpy())
        seen = (world @ T[:3, :3].T + T[:3, 3]) @ camera.K.numpy().T
        expected = seen[:, :2] / seen[:, 2:]
        T = np.linalg.inv(original.camera.T_world_camera.numpy())
        labels = map_points_to_frame(frame, project(original.camera, world @ T[:3, :3].T + T[:3, 3]))
        np.testing.assert_allclose(labels, expected, atol=1e-3)
        measured = 0
        for at in expected:
            if (at > 10).all() and (at < [camera.width - 10, camera.height - 10]).all():
                assert np.linalg.norm(blob_centre(picture, at) - at) < 0.15
                measured += 1
        assert measured >= 5


def test_mixed_sizes_cameras_and_formats(tmp_path):
    """A HEIC, an EXIF-turned 12-megapixel JPEG declared upright, a small PNG: all end as small PNGs."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    meta = transforms(3)
    for frame, (name, w, h) in zip(
        meta["frames"], [("a.heic", 200, 160), ("b.jpg", 3000, 4000), ("c.png", 64, 48)], strict=True
    ):
        frame |= {"file_path": f"images/{name}", "w": w, "h": h, "fl_x": w * 1.0, "fl_y": w * 1.0}
        frame |= {"cx": w / 2, "cy": h / 2}
    meta["frames"][0] |= {"k1": 0.05}
    (tmp_path / "scene/images").mkdir(parents=True)
    Image.fromarray(texture(200, 160)).save(tmp_path / "scene/images/a.heic")
    save_with_exif(tmp_path / "scene/images/b.jpg", texture(4000, 3000), 6)
    Image.fromarray(texture(64, 48)).save(tmp_path / "scene/images/c.png")
    result = normalize_capture(read_capture(write_scene(tmp_path / "scene", meta)), tmp_path / "out")
    assert [f.name for f in result.frames] == ["a.heic", "b.jpg", "c.png"]
    assert [(f.camera.width, f.camera.height) for f in result.frames] == [(200, 160), (810, 1080), (64, 48)]
    assert [f.source is None for f in result.frames] == [False, False, True]
    turned = np.rot90(texture(4000, 3000), -1)[::100, ::100].astype(float)
    got = np.asarray(Image.open(result.frames[1].path).resize((30, 40))).astype(float)
    assert np.abs(got - turned).mean() < 12
    assert np.array_equal(read_picture(result.frames[2].path), texture(64, 48))


def test_masks_and_depth_go_along(tmp_path):
    world = distorted_scene(tmp_path / "scene", "opencv")
    del world
    file = tmp_path / "scene/transforms.json"
    meta = json.loads(file.read_text())
    mask, depth = np.zeros((480, 640), np.uint8), np.full((240, 320), 1234, np.uint16)
    mask[100:300, 200:400], depth[:, :160] = 255, 60_000
    Image.fromarray(mask).save(tmp_path / "scene/m.png")
    Image.fromarray(depth).save(tmp_path / "scene/d.png")
    meta["frames"][0] |= {"mask_path": "m.png", "depth_file_path": "d.png"}
    file.write_text(json.dumps(meta))
    frame = normalize_capture(read_capture(tmp_path / "scene"), tmp_path / "out").frames[0]
    assert frame.mask_path is not None
    assert frame.depth_path is not None
    mask, depth = np.asarray(Image.open(frame.mask_path)), np.asarray(Image.open(frame.depth_path))
    assert mask.shape == depth.shape == (480, 640)
    assert set(np.unique(mask)) == {0, 255}
    assert set(np.unique(depth)) == {1234, 60_000}
    corner = map_points_to_frame(frame, np.array([[200.0, 100.0]]))[0]
    rows, columns = np.nonzero(mask)
    assert np.abs(np.array([columns.min(), rows.min()]) - corner).max() < 4


def test_resumes_and_starts_over(tmp_path, monkeypatch):
    capture = read_capture(write_scene(tmp_path / "scene", transforms(4)))
    out, written = tmp_path / "out", []
    whole = normalize._write_png

    def failing(path, picture):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path.name)
        whole(path, picture)

    monkeypatch.setattr(normalize, "_write_png", failing)
    with pytest.raises(KeyboardInterrupt):
        normalize_capture(capture, out)
    assert not (out / "capture.json").exists()
    monkeypatch.setattr(
        normalize, "_write_png", lambda path, picture: (written.append(path.name), whole(path, picture))
    )
    normalize_capture(capture, out)
    normalize_capture(capture, out)
    assert written == [f"{i:05d}.png" for i in range(4)]
    normalize_capture(capture, out, NormalizeSettings(max_height_px=24))
    assert len(written) == 8
    assert read_normalized(out).frames[0].camera.height == 24


def test_damaged_result_is_said(tmp_path):
    capture = read_capture(write_scene(tmp_path / "scene"))
    out = tmp_path / "out"
    result = normalize_capture(capture, out)
    assert torch.equal(result.frames[1].camera.K, capture.frames[1].camera.K)
    text = (out / "capture.json").read_text()
    for broken in (text[:-20], text.replace('"K"', '"Q"'), "[]", text.replace('"version": 1', '"version": 9')):
        (out / "capture.json").write_text(broken)
        with pytest.raises(FormatError):
            read_normalized(out)
    (out / "capture.json").write_text(text)
    result.frames[0].path.unlink()
    with pytest.raises(FormatError, match="1 normalised frames are gone"):
        read_normalized(out)


def test_key_follows_content_not_place(tmp_path):
    one = read_capture(write_scene(tmp_path / "one"))
    two = read_capture(write_scene(tmp_path / "two"))
    assert capture_key(one) == capture_key(two)
    Image.fromarray(texture(64, 48, 99)).save(tmp_path / "two/images/001.png")
    assert capture_key(one) != capture_key(read_capture(tmp_path / "two"))
    changed = read_capture(write_scene(tmp_path / "one", transforms() | {"cx": 31.5}, pictures=False))
    assert capture_key(one) != capture_key(changed)


def test_disk_full_names_the_path_and_harms_nothing(tmp_path):
    """No file may grow above 4 KiB: the error is ours, and what stood there still stands."""
    write_scene(tmp_path / "scene", transforms(2, 256, 256))
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 255, (256, 256, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"scene/images/{i:03d}.png")
    out = tmp_path / "out"
    capture = read_capture(tmp_path / "scene")
    normalize_capture(capture, out)
    before = (out / "frames/00001.png").read_bytes()
    (out / "frames/00000.png").unlink()
    (out / "capture.json").unlink()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
    try:
        with pytest.raises(StorageError, match=r"could not write a file: File too large.*frames/00000\.png"):
            normalize_capture(capture, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert sorted(p.name for p in (out / "frames").iterdir()) == ["00001.png"]
    assert (out / "frames/00001.png").read_bytes() == before
    assert not (out / "capture.json").exists()
