"""Tracks as a stage: from pictures, masks and vectors on disk to maps and a table, once, whoever is killed when."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from langfield import tracks as stage
from langfield.artefacts import write_tensors
from langfield.cache import Cache
from langfield.capture.types import Camera, Frame
from langfield.embed import FrameFeatures
from langfield.errors import FormatError
from langfield.segment import save_segments
from langfield.segment.track import TrackSettings
from langfield.tracks import Tracks, join_videos, make_tracks, sequences
from tests.videos import HEIGHT, WIDTH, Film, agreement, broken, film, straight

Scene = tuple[list[Frame], list[FrameFeatures]]
T = 10
SETTINGS = TrackSettings(least_frames=3)


def camera(time_s: float | None) -> Camera:
    K = torch.tensor([[100.0, 0, WIDTH / 2], [0, 100.0, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, WIDTH, HEIGHT, torch.eye(4, dtype=torch.float64), time_s=time_s)


def on_disk(folder: Path, made: Film, prefix: str = "") -> tuple[list[Frame], list[FrameFeatures]]:
    """Write a film's pictures, broken masks and vectors as the stages before leave them."""
    frames, features = [], []
    (folder / prefix).mkdir(parents=True, exist_ok=True)
    for t, shot in enumerate(broken(made, 0)):
        stem = folder / f"{prefix}{t:03d}"
        Image.fromarray(shot.picture).save(stem.with_suffix(".png"))
        save_segments(stem.with_suffix(".npz"), shot.segments)
        write_tensors(stem.with_suffix(".safetensors"), {"vectors": torch.from_numpy(shot.vectors).half()})
        frames.append(Frame(f"{prefix}{t:03d}.png", stem.with_suffix(".png"), camera(t / T)))
        features.append(FrameFeatures(stem.with_suffix(".npz"), stem.with_suffix(".safetensors")))
    return frames, features


def two_things(seed: int = 0) -> Film:
    return film([straight((10, 10), (34, 12), T), straight((90, 60), (70, 66), T)], seed=seed)


@pytest.fixture(scope="module")
def made() -> Film:
    return two_things()


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, made: Film) -> Scene:
    return on_disk(tmp_path_factory.mktemp("scene"), made)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> tuple[Tracks, Cache]:
    cache = Cache(tmp_path_factory.mktemp("cache"))
    return make_tracks(*scene, SETTINGS, cache), cache


def test_maps_and_vectors_are_those_of_the_things(found, made):
    tracks, _ = found
    maps = [tracks.ids(t) for t in range(T)]
    for thing in (1, 2):
        score, ids = agreement(maps, made.truth, thing)
        assert score > 0.85
        assert len(ids) == 1
        vector = torch.from_numpy(made.vectors[thing]).float()
        assert int((tracks.vectors @ vector).argmax()) == ids[0] - 1
        assert float(tracks.vectors[ids[0] - 1] @ vector) > 0.95
        assert int(tracks.views[ids[0] - 1]) >= T // 2
    torch.testing.assert_close(tracks.vectors.norm(dim=1), torch.ones(len(tracks)))


def test_members_are_segments_of_their_thing(found, scene: Scene):
    tracks, _ = found
    order = tracks.members.tolist()
    assert order == sorted(order)
    for thing, picture, segment in order:
        ids, own = tracks.ids(picture) == thing + 1, (scene[1][picture].load()[0].ids == segment).any(axis=0)
        assert (ids & own).sum() >= 0.5 * (ids | own).sum()


def test_the_order_of_frames_changes_nothing_but_the_order(found, scene: Scene, tmp_path):
    order = np.random.default_rng(1).permutation(T).tolist()
    tracks = make_tracks([scene[0][i] for i in order], [scene[1][i] for i in order], SETTINGS, Cache(tmp_path))
    for row, i in enumerate(order):
        assert (tracks.ids(row) == found[0].ids(i)).all()
        assert tracks.names[row] == found[0].names[i]


def test_what_is_there_is_not_made_again_and_what_is_half_done_is(found, scene: Scene, monkeypatch):
    tracks, cache = found
    table = tracks.maps[0].parent / "tracks.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(stage, "tracker", lambda _: pytest.fail("tracked again"))
        assert make_tracks(*scene, SETTINGS, cache).key == tracks.key
    before = tracks.ids(3)
    tracks.maps[3].unlink()
    table.unlink()  # as a kill before the last file leaves it
    assert (make_tracks(*scene, SETTINGS, cache).ids(3) == before).all()
    assert make_tracks(*scene, replace(SETTINGS, least_px=50), cache).key != tracks.key


def test_damaged_files_are_refused(found, scene: Scene):
    tracks, cache = found
    table = tracks.maps[0].parent / "tracks.safetensors"
    good, tensors = table.read_bytes(), stage.read_tensors(table)[0]
    for name, value in {
        "number": torch.full_like(tensors["number"], 99), "members": tensors["members"] + 1000,
        "vectors": tensors["vectors"][:-1], "views": tensors["views"].long(),
    }.items():  # fmt: skip
        write_tensors(table, {**tensors, name: value})
        with pytest.raises(FormatError):
            make_tracks(*scene, SETTINGS, cache)
    table.write_bytes(good)
    stage.write_arrays(tracks.maps[2], {"ids": np.full((4, 4), 300, np.int16)})
    with pytest.raises(FormatError):
        tracks.ids(2)
    stage.write_arrays(tracks.maps[2], {"ids": np.zeros((4, 4), np.int32)})
    with pytest.raises(FormatError):
        tracks.ids(2)


def test_two_cameras_are_two_videos_with_the_same_things(tmp_path, made):
    other = film([straight((20, 60), (30, 64), T), straight((60, 8), (80, 12), T)])  # the same looks and vectors
    scenes = [on_disk(tmp_path, one, f"cam{c}/") for c, one in enumerate((made, other))]
    frames, features = [f for one, _ in scenes for f in one], [x for _, one in scenes for x in one]
    assert sequences(frames) == [list(range(T)), list(range(T, 2 * T))]
    tracks = make_tracks(frames, features, SETTINGS, Cache(tmp_path / "cache"))
    maps = [tracks.ids(t) for t in range(2 * T)]
    for thing in (1, 2):
        first, second = (agreement(m, f.truth, thing)[1] for m, f in ((maps[:T], made), (maps[T:], other)))
        assert first == second
        assert len(first) == 1


def test_frames_of_one_folder_and_time_are_of_different_cameras():
    frames = [Frame(f"{i}.png", Path(f"{i}.png"), camera(t)) for i, t in enumerate((0.5, 0.0, 0.5, 0.0, 1.0))]
    assert sequences(frames) == [[1, 0, 4], [3, 2]]


def test_things_of_videos_are_joined_one_to_one():
    vectors = np.eye(4)[[0, 1, 2, 1, 3, 0]]
    assert join_videos(vectors, np.array([0, 0, 0, 1, 1, 2]), 0.9).tolist() == [0, 1, 2, 1, 3, 0]
    assert join_videos(np.zeros((0, 3)), np.zeros(0, int), 0.9).tolist() == []


def test_pictures_without_times_are_refused(scene: Scene, tmp_path):
    frames = [replace(f, camera=camera(None)) for f in scene[0]]
    with pytest.raises(FormatError, match="times"):
        make_tracks(frames, scene[1], SETTINGS, Cache(tmp_path))
