"""LangSplat's files into the stages and out again, and the bytes of both layouts."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.artefacts import write_tensors
from langfield.cache import Cache
from langfield.capture.lens import pinhole_for
from langfield.capture.types import Camera, Distortion, Frame
from langfield.embed import FrameFeatures, embed_frames
from langfield.errors import FormatError
from langfield.interchange import export_features, feature_bytes
from langfield.segment import Segments, save_segments
from langfield.settings import RunSettings
from langfield.stages import needed_weights, segment_frames
from tests.tiny import ring_camera

DIM = 16


def blocks(height: int, width: int) -> Segments:
    """Quarters, halves and a whole with a hole."""
    ids = np.full((3, height, width), -1, np.int16)
    for row, (y, x) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        ids[0, y * height // 2 : (y + 1) * height // 2, x * width // 2 : (x + 1) * width // 2] = row
    ids[1, : height // 2], ids[1, height // 2 :] = 4, 5
    ids[2] = 6
    ids[2, height // 3 : height // 2, width // 3 : width // 2] = -1
    boxes = np.tile(np.array([[0, 0, width, height]], np.int32), (7, 1))
    return Segments(ids, boxes, np.repeat(np.arange(3), (4, 2, 1)).astype(np.int16), np.linspace(0.5, 1, 7, dtype="f4"))


def features_in(folder: Path, camera: Camera, name: str) -> FrameFeatures:
    rng = np.random.default_rng(len(name))
    vectors = torch.nn.functional.normalize(torch.tensor(rng.normal(size=(7, DIM))), dim=1).half()
    found = FrameFeatures(folder / f"{name}.npz", folder / f"{name}.safetensors")
    save_segments(found.segments, blocks(camera.height, camera.width))
    write_tensors(found.embeddings, {"vectors": vectors}, {"name": "made up"})
    return found


def exported(tmp_path: Path, frames: list[Frame]) -> tuple[list[FrameFeatures], Path, RunSettings, Cache]:
    pairs = [(f, features_in(tmp_path, f.camera, f.name)) for f in frames]
    out = tmp_path / "language_features"
    assert export_features(pairs, out) == sum(p.stat().st_size for p in out.iterdir())
    return [p for _, p in pairs], out, RunSettings(language_features=out), Cache(tmp_path / "cache")


def imported(frames, settings, cache) -> list[FrameFeatures]:
    return embed_frames(frames, segment_frames(frames, settings, cache), settings, cache)


def painted(found: FrameFeatures) -> np.ndarray:
    segments, vectors = found.load()
    return np.where(segments.ids[..., None] >= 0, vectors.numpy()[segments.ids], 0)


FRAMES = [Frame(name, Path(name), ring_camera(0.3)) for name in ("17.25.png", "17.5.png", "view.png")]


def test_out_and_in_again_changes_no_pixel(tmp_path):
    before, out, settings, cache = exported(tmp_path, FRAMES)
    assert (out / "17.25_s.npy").is_file()
    assert (out / "view_f.npy").is_file()
    after = imported(FRAMES, settings, cache)
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(painted(a), painted(b))
    for frame in FRAMES:
        assert imported([frame], settings, cache)[0].embeddings.is_file()  # found by either name, alone or not
    assert after[0].about()["table"]["frame"] == "17.25.png"
    assert needed_weights(settings) == []


def test_import_is_cached_and_follows_the_files(tmp_path):
    _, out, settings, cache = exported(tmp_path, FRAMES[2:])
    first = imported(FRAMES[2:], settings, cache)[0]
    first.embeddings.unlink()
    second = imported(FRAMES[2:], settings, cache)[0]
    assert second == first
    assert second.embeddings.is_file()
    np.save(out / "view_f.npy", -np.load(out / "view_f.npy"))
    third = imported(FRAMES[2:], settings, cache)[0]
    assert third.segments != first.segments
    np.testing.assert_array_equal(painted(third), -painted(first))


def test_maps_of_another_size_are_brought_to_the_frame(tmp_path):
    _, out, settings, cache = exported(tmp_path, FRAMES[2:])
    whole = np.load(out / "view_s.npy")
    np.save(out / "view_s.npy", whole.repeat(3, axis=1).repeat(3, axis=2))
    segments, _ = imported(FRAMES[2:], settings, cache)[0].load()
    np.testing.assert_array_equal(segments.ids, blocks(72, 96).ids)
    np.save(out / "view_s.npy", whole[:, :, :50])
    with pytest.raises(FormatError, match="50x72"):
        imported(FRAMES[2:], settings, cache)


@pytest.mark.parametrize("lens", [Distortion("opencv", (-0.1, 0.02, 0.0, 0.0)), Distortion("fisheye", (0.02, 0, 0, 0))])
def test_files_lie_over_the_pictures_as_the_lens_saw_them(tmp_path, lens):
    source = dataclasses.replace(ring_camera(0.3), distortion=lens)
    frame = Frame("bent.png", Path("bent.png"), pinhole_for(source, None), source)
    before, out, settings, cache = exported(tmp_path, [frame])
    assert np.load(out / "bent_s.npy").shape == (4, source.height, source.width)
    straight, _ = before[0].load()
    bent = np.load(out / "bent_s.npy")[1]
    assert (bent == -1).any()  # the straight picture shows less than the lens saw
    back, _ = imported([frame], settings, cache)[0].load()
    assert (back.ids == straight.ids).mean() > 0.97  # twice to the nearest pixel


def test_what_does_not_fit_is_said(tmp_path):
    _, out, settings, cache = exported(tmp_path, FRAMES)
    other = Frame("other.png", Path("other.png"), ring_camera(0))
    with pytest.raises(FormatError, match=r"other\.png has no LangSplat features"):
        imported([*FRAMES, other], settings, cache)
    (out / "view_f.npy").unlink()
    with pytest.raises(FormatError, match=r"view_f\.npy"):
        imported(FRAMES, settings, cache)
    features = np.load(out / "17.5_f.npy")
    np.save(out / "view_f.npy", np.concatenate([features, features], axis=1))
    with pytest.raises(FormatError, match="widths"):
        imported(FRAMES, settings, cache)


def test_bytes_beside_langsplats(tmp_path):
    before, out, _, _ = exported(tmp_path, FRAMES)
    size = feature_bytes(before)
    assert size["langsplat_bytes"] == sum(p.stat().st_size for p in out.iterdir())
    assert size["bytes"] == sum(f.segments.stat().st_size + f.embeddings.stat().st_size for f in before)
    assert (size["frames"], size["segments"]) == (3, 21)
    assert feature_bytes([])["times_smaller"] is None


def test_ours_grows_with_edges_not_with_pixels(tmp_path):
    """Sixteen times the pixels: LangSplat's layout takes nearly sixteen times as much, ours about four times."""
    small, large = (
        feature_bytes([features_in(tmp_path, ring_camera(0, width, height), f"{width}")])
        for width, height in ((240, 180), (960, 720))
    )
    assert large["langsplat_bytes"] > 15 * small["langsplat_bytes"]
    assert large["embedding_bytes"] == small["embedding_bytes"]
    assert large["bytes"] < 5 * small["bytes"]
