"""COLMAP models, read by our own reader and by pycolmap."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from captures import OFFICE, colmap_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langfield.capture import read_capture
from langfield.capture.colmap import find, read
from langfield.capture.lens import project
from langfield.errors import FormatError
from tests.series import cases

OURS = [
    "SIMPLE_PINHOLE", "PINHOLE", "SIMPLE_RADIAL", "RADIAL", "OPENCV", "OPENCV_FISHEYE", "FULL_OPENCV",
    "SIMPLE_RADIAL_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_FISHEYE", "FISHEYE",
]  # fmt: skip


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", OURS)
def test_every_point_projects_as_in_pycolmap(tmp_path, model, binary):
    """Poses, intrinsics, distortion and points together: the same pixels as COLMAP's own projection."""
    scene = colmap_model(tmp_path, model, binary=binary)
    capture = read_capture(tmp_path)
    images = {image.name: image for image in scene.images.values()}
    assert sorted(images) == [f.name for f in capture.frames]
    assert capture.world == "colmap"
    points = capture.points.xyz.double().numpy()
    assert sorted(points.sum(1).round(3)) == sorted(np.array([p.xyz for p in scene.points3D.values()]).sum(1).round(3))
    for frame in capture.frames:
        image = images[frame.name]
        world_to_camera = np.linalg.inv(frame.camera.T_world_camera.numpy())
        rays = points @ world_to_camera[:3, :3].T + world_to_camera[:3, 3]
        ours = project(frame.camera, rays)
        theirs = [image.project_point(p) for p in points]
        for mine, its, ray in zip(ours, theirs, rays, strict=True):
            if its is not None and ray[2] > 0.1:
                np.testing.assert_allclose(mine, its, atol=1e-3)


def test_unsupported_model_is_named(tmp_path):
    colmap_model(tmp_path, "FOV")
    with pytest.raises(FormatError, match=r"camera model FOV is not supported.*image_undistorter"):
        read_capture(tmp_path)


def test_every_binary_cut_is_refused(tmp_path):
    """However short a file is cut, it is refused; only a cut inside nothing is fine."""
    colmap_model(tmp_path)
    for name in ("cameras", "images", "points3D"):
        path = tmp_path / f"sparse/0/{name}.bin"
        whole = path.read_bytes()
        for keep in [*range(0, min(len(whole), 200), 7), len(whole) // 2, len(whole) - 1]:
            path.write_bytes(whole[:keep])
            with pytest.raises(FormatError, match=r"cut short|does not end|no pictures|which is not there"):
                read_capture(tmp_path)
        path.write_bytes(whole)
    assert len(read_capture(tmp_path).frames) == 4


def test_absurd_count_takes_no_memory(tmp_path):
    colmap_model(tmp_path)
    for name in ("cameras", "images", "points3D"):
        path = tmp_path / f"sparse/0/{name}.bin"
        whole = path.read_bytes()
        path.write_bytes(struct.pack("<Q", 2**62) + whole[8:])
        with pytest.raises(FormatError, match="cut short or damaged"):
            read_capture(tmp_path)
        path.write_bytes(whole)


def test_nan_pose_missing_picture_and_notes(tmp_path):
    colmap_model(tmp_path, binary=False)
    images = tmp_path / "sparse/0/images.txt"
    text = images.read_text()
    names = sorted(p.name for p in (tmp_path / "images").rglob("*.png"))
    line = next(line for line in text.splitlines() if line.endswith(names[0]))
    words = line.split()
    images.write_text(text.replace(line, " ".join([words[0], "nan", *words[2:]])))
    with pytest.raises(FormatError, match="not a quaternion"):
        read_capture(tmp_path)
    images.write_text(text)
    (tmp_path / "images/extra.png").write_bytes(b"")
    (tmp_path / "sparse/1").mkdir()
    notes = " ".join(read_capture(tmp_path).notes)
    assert "1 pictures are not in the COLMAP model" in notes
    assert "2 disconnected models" in notes
    (tmp_path / "images" / names[0]).unlink()
    with pytest.raises(FormatError, match=rf"{names[0]}' not found \(1 of 4 missing\)"):
        read_capture(tmp_path)


@pytest.mark.parametrize("place", ["colmap/sparse/0", "sparse"])
def test_other_places(tmp_path, place):
    colmap_model(tmp_path)
    moved = tmp_path / "moved"
    (tmp_path / "sparse/0").rename(moved)
    (tmp_path / "sparse").rmdir()
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    moved.rename(tmp_path / place)
    assert len(read_capture(tmp_path).frames) == 4


@settings(
    max_examples=cases(80), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["cameras", "images", "points3D"]),
    st.booleans(),
    st.lists(st.tuples(st.floats(0, 0.999), st.binary(min_size=1, max_size=9)), min_size=1, max_size=3),
)
def test_damage_gives_only_format_errors(damaged_models, name, binary, edits):
    folder, originals = damaged_models[binary]
    path = folder / "sparse/0" / f"{name}.{'bin' if binary else 'txt'}"
    data = bytearray(originals[name])
    for where, junk in edits:
        at = int(where * len(data))
        data[at : at + len(junk)] = junk
    path.write_bytes(bytes(data))
    try:
        read_capture(folder)
    except FormatError:
        pass
    finally:
        path.write_bytes(originals[name])


@pytest.fixture(scope="module")
def damaged_models(tmp_path_factory):
    result = {}
    for binary in (True, False):
        folder = tmp_path_factory.mktemp("damaged")
        colmap_model(folder, "OPENCV", binary=binary)
        suffix = "bin" if binary else "txt"
        originals = {n: (folder / "sparse/0" / f"{n}.{suffix}").read_bytes() for n in ("cameras", "images", "points3D")}
        result[binary] = (folder, originals)
    return result


@pytest.mark.skipif(not OFFICE.is_dir(), reason="the shared scene fr3_office is not beside the repository")
def test_office_agrees_with_its_transforms():
    model = find(OFFICE)
    assert model is not None
    colmap, nerf = read(model), read_capture(OFFICE)
    for a, b in zip(colmap.frames, nerf.frames, strict=True):
        assert a.name == b.name
        np.testing.assert_allclose(a.camera.T_world_camera.numpy(), b.camera.T_world_camera.numpy(), atol=1e-6)
        np.testing.assert_allclose(a.camera.K.numpy(), b.camera.K.numpy(), atol=1e-6)
