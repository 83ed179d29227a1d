"""Photos to a posed capture: synthetic ones with known cameras, and seven of the shared scene."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from captures import OFFICE, save_with_exif
from corner import aligned_rmse, picture, pose
from PIL import Image

from langfield.capture import prepare as prepare_module
from langfield.capture import read_capture
from langfield.capture.lens import coefficients
from langfield.capture.prepare import PrepareSettings, prepare
from langfield.capture.video import extract_frames
from langfield.errors import EnvironmentProblem, FormatError, SettingsError

STEPS = np.linspace(0, 1, 7)


def write_photos(folder: Path) -> None:
    """Seven views (one HEIC, one stored on its side), one picture of noise, one cut short."""
    from pillow_heif import register_heif_opener

    register_heif_opener()
    folder.mkdir()
    for i, step in enumerate(STEPS):
        view = picture(step)
        if i == 2:
            Image.fromarray(view).save(folder / f"view{i}.heic", quality=95)
        elif i == 4:
            save_with_exif(folder / f"view{i}.jpg", np.rot90(view), 6)
        else:
            Image.fromarray(view).save(folder / f"view{i}.png")
    noise = np.random.default_rng(9).integers(0, 255, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    (folder / "cut.png").write_bytes((folder / "view0.png").read_bytes()[:5000])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    root = tmp_path_factory.mktemp("prepare")
    write_photos(root / "photos")
    return root, prepare(root / "photos", root / "out", PrepareSettings(max_features=800, max_side_px=320))


def test_photos_become_a_capture(prepared):
    root, report = prepared
    assert len(report.registered) == 7
    assert report.unregistered == ("noise.png",)
    assert list(report.unreadable) == ["cut.png"]
    capture = read_capture(root / "out")
    assert [f.name for f in capture.frames] == sorted(report.registered)
    assert len(capture.points.xyz) == report.n_points > 100
    assert {(f.camera.width, f.camera.height) for f in capture.frames} == {(400, 300)}
    found = np.array([f.camera.T_world_camera[:3, 3].numpy() for f in capture.frames])
    true = np.array([pose(STEPS[int(f.name[4])])[:3, 3] for f in capture.frames])
    assert aligned_rmse(found, true) < 0.03
    assert abs(float(capture.frames[0].camera.K[0, 0]) / 400 - 1) < 0.03


def test_result_holds_both_formats_and_nothing_else(prepared):
    root, _ = prepared
    assert sorted(p.name for p in (root / "out").iterdir()) == [
        "images", "points3D.ply", "prepare.json", "sparse", "transforms.json",
    ]  # fmt: skip
    assert sorted(p.name for p in root.iterdir()) == ["out", "photos"]
    assert json.loads((root / "out/prepare.json").read_text())["unregistered"] == ["noise.png"]
    nerf = read_capture(root / "out")
    (root / "out/transforms.json").rename(root / "aside.json")
    colmap = read_capture(root / "out")
    (root / "aside.json").rename(root / "out/transforms.json")
    for a, b in zip(nerf.frames, colmap.frames, strict=True):
        np.testing.assert_allclose(a.camera.T_world_camera, b.camera.T_world_camera, atol=1e-9)
        assert a.camera.distortion is not None
        assert b.camera.distortion is not None
        assert coefficients(a.camera.distortion).tolist() == coefficients(b.camera.distortion).tolist()
    assert any("1 pictures are not in the COLMAP model" in note for note in colmap.notes)


def test_same_command_again_does_nothing_and_other_settings_are_refused(prepared, monkeypatch):
    root, report = prepared
    monkeypatch.setattr(prepare_module, "_reconstruct", None)
    assert prepare(root / "photos", root / "out", PrepareSettings(max_features=800, max_side_px=320)) == report
    with pytest.raises(SettingsError, match="holds something else"):
        prepare(root / "photos", root / "out", PrepareSettings(max_features=801, max_side_px=320))


def test_killed_while_matching_it_goes_on_to_the_same_result(tmp_path, monkeypatch):
    """Five views, two of them of another size and so of another camera; the child is killed once it has features."""
    (tmp_path / "photos").mkdir()
    for i in range(5):
        size = (480, 360) if i in (1, 3) else (400, 300)
        Image.fromarray(picture(i / 6)).resize(size).save(tmp_path / f"photos/{i}.png")
    settings, follow = PrepareSettings(max_features=500, max_side_px=240), prepare_module._follow

    def killed(child, job):
        assert [len(group) for group in job["groups"]] == [3, 2]
        child.stdin.write(json.dumps(job))
        child.stdin.close()
        while not (tmp_path / ".two.preparing/features.done").exists():
            time.sleep(0.01)
        child.kill()
        raise KeyboardInterrupt

    prepare(tmp_path / "photos", tmp_path / "one", settings)
    monkeypatch.setattr(prepare_module, "_follow", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare(tmp_path / "photos", tmp_path / "two", settings)
    assert not (tmp_path / "two").exists()
    monkeypatch.setattr(prepare_module, "_follow", follow)
    prepare(tmp_path / "photos", tmp_path / "two", settings)
    one, two = read_capture(tmp_path / "one"), read_capture(tmp_path / "two")
    assert len(one.frames) == 5
    for a, b in zip(one.frames, two.frames, strict=True):
        np.testing.assert_allclose(a.camera.T_world_camera, b.camera.T_world_camera, atol=1e-6)
        assert (a.camera.width, a.camera.height) == (b.camera.width, b.camera.height)


def test_too_few_and_hopeless(tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(FormatError, match="no pictures in this folder"):
        prepare(tmp_path / "photos", tmp_path / "out")
    rng = np.random.default_rng(0)
    for i in range(3):
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(tmp_path / f"photos/{i}.png")
        if i == 1:
            with pytest.raises(FormatError, match=r"2 readable pictures; at least 3 are needed.*overlap"):
                prepare(tmp_path / "photos", tmp_path / "out")
    with pytest.raises(FormatError, match=r"poses of these 3 pictures could not be found.*overlap"):
        prepare(tmp_path / "photos", tmp_path / "out", PrepareSettings(max_features=200))
    assert not (tmp_path / "out").exists()


def test_bad_requests(tmp_path):
    with pytest.raises(FormatError, match="photos or video not found"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(FormatError, match="neither a folder of photos nor a video"):
        prepare(tmp_path / "notes.txt", tmp_path / "out")
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    with pytest.raises(FormatError, match="video cannot be read"):
        prepare(tmp_path / "clip.mp4", tmp_path / "out")
    with pytest.raises(SettingsError, match="unknown matching"):
        prepare(tmp_path, tmp_path / "out", PrepareSettings(matching="best"))
    with pytest.raises(SettingsError, match="unknown camera model"):
        prepare(tmp_path, tmp_path / "out", PrepareSettings(camera_model="FOV"))


def test_child_that_dies_is_said(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(picture(0.1 * i)).save(tmp_path / f"photos/{i}.png")
    stand_in = tmp_path / "dies.py"
    stand_in.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(prepare_module.sfm, "__file__", str(stand_in))
    with pytest.raises(EnvironmentProblem, match="stopped with status -6"):
        prepare(tmp_path / "photos", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sharpest_frames_of_a_video(tmp_path):
    """Every third frame of the clip is sharp; those are taken, spread evenly."""
    import imageio_ffmpeg

    writer = imageio_ffmpeg.write_frames(str(tmp_path / "-clip.mp4"), (400, 300), fps=10, macro_block_size=4)
    writer.send(None)
    for i in range(12):
        view = picture(i / 11)
        small = Image.fromarray(view).resize((40, 30)).resize((400, 300))
        writer.send(np.ascontiguousarray(view if i % 3 == 1 else np.asarray(small)))
    writer.close()
    (tmp_path / "images").mkdir()
    names = extract_frames(tmp_path / "-clip.mp4", tmp_path / "images", 4)
    assert names == [f"frame_{i:05d}.jpg" for i in range(4)]
    for i, name in enumerate(names):
        got = np.asarray(Image.open(tmp_path / "images" / name)).astype(float)
        assert np.abs(got - picture((3 * i + 1) / 11)).mean() < 12


@pytest.mark.skipif(not OFFICE.is_dir(), reason="the shared scene fr3_office is not beside the repository")
def test_seven_office_photos_at_half_size(tmp_path):
    truth = {f.name: f.camera.T_world_camera[:3, 3].numpy() for f in read_capture(OFFICE).frames}
    (tmp_path / "photos").mkdir()
    for name in sorted(truth)[8:15]:
        Image.open(OFFICE / "images" / name).resize((400, 300)).save(tmp_path / "photos" / name)
    report = prepare(tmp_path / "photos", tmp_path / "out", PrepareSettings(max_features=800, max_side_px=320))
    assert len(report.registered) >= 5
    frames = read_capture(tmp_path / "out").frames
    found = np.array([f.camera.T_world_camera[:3, 3].numpy() for f in frames])
    assert aligned_rmse(found, np.array([truth[f.name] for f in frames])) < 0.05
