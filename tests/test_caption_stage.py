"""Captions of tracks: files matched by name or number, a server asked once for each, and where their vectors land."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from langfield.cache import Cache
from langfield.caption_stage import Spoken, embed_captions, make_captions
from langfield.capture.types import Camera, Frame
from langfield.errors import FormatError, SettingsError
from langfield.suite import sentences
from langfield.suite.captions.matching import match_names
from langfield.suite.captions.plan import PlanSettings
from langfield.suite.captions.settings import CaptionSettings
from langfield.suite.captions.store import Captions, ObjectCaptions, write_captions
from langfield.tracks import Tracks
from tests.blobs import DIM
from tests.sayings import Sentences, tracks_of
from tests.suite.captions.server import Asked, Reply, chat_server, says

T, SIDE = 6, 24
Scene = tuple[list[Frame], Tracks]
TOWER = "tests.blobs:Words"
SETTINGS = CaptionSettings(sentences="hashed", width=16, plan=PlanSettings(min_frames=3, min_pixels=4))


@pytest.fixture(autouse=True)
def hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sentences.SENTENCE_ENCODERS, "hashed", "tests.sayings")


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A cube (thing 0) and a ball (thing 1) in six pictures, the last two of a time that was there before."""
    times = [0.0, 0.1, 0.2, 0.3, 0.0, 0.1]
    K, T4 = torch.eye(3, dtype=torch.float64), torch.eye(4, dtype=torch.float64)
    frames, maps = [], []
    for i, time_s in enumerate(times):
        path = tmp_path / f"{i:03d}.png"
        Image.fromarray(np.random.default_rng(i).integers(0, 255, (SIDE, SIDE, 3), np.uint8)).save(path)
        frames.append(Frame(path.name, path, Camera(K, SIDE, SIDE, T4, time_s=time_s)))
        ids = np.zeros((SIDE, SIDE), int)
        ids[2:8, 2:8], ids[12:20, 12:20] = 1, 2
        maps.append(ids)
    vectors = normalize(torch.eye(DIM)[[1, 0]] + 0.2 * torch.eye(DIM)[[6, 7]], dim=1)
    return frames, tracks_of(tmp_path, maps, vectors, times)


def ball_and_cube(**more: str) -> Captions:
    frames = {f"{i:03d}.png": f"state {i}" for i in range(4)}
    rows = [ObjectCaptions(7, "ball", "it rolls", frames), ObjectCaptions(9, "cube", "", {"001.png": "at rest"})]
    rows += [ObjectCaptions(11, name, "", frames) for name in more.values()]
    return Captions(tuple(rows))


def from_file(scene: Scene, captions: Captions, cache: Cache, **settings: object) -> Spoken:
    path = cache.root / "said.json"
    write_captions(path, captions)
    chosen = replace(SETTINGS, source=f"file:{path}", **settings)
    found = make_captions(*scene, chosen, cache, TOWER)
    assert found is not None
    return found


def test_captions_find_their_tracks_by_name(scene: Scene, tmp_path):
    found = from_file(scene, ball_and_cube(third="zebra"), Cache(tmp_path / "cache"))
    assert [(o.instance, o.name) for o in found.captions.objects] == [(2, "ball"), (1, "cube")]
    assert any("zebra" in note for note in found.captions.notes)
    assert found.times_s.tolist() == [0.0, 0.1, 0.2, 0.3]
    assert found.said.tolist() == [[False, True, False, False], [True] * 4]
    encoder = Sentences()
    for t in range(4):
        torch.testing.assert_close(found.vectors[1, t], encoder.encode_texts([f"state {t}"])[0])
    torch.testing.assert_close(found.video[1], encoder.encode_texts(["it rolls"])[0])
    assert not found.video[0].any()
    assert not found.vectors[~found.said].any()
    assert found.captions.provenance["encoder"] == Sentences.provenance


def test_captions_of_these_tracks_go_by_number(scene: Scene, tmp_path):
    swapped = replace(ball_and_cube(), provenance={"tracks": scene[1].key})
    swapped = replace(swapped, objects=tuple(replace(o, instance=i) for i, o in enumerate(swapped.objects, 1)))
    found = from_file(scene, swapped, Cache(tmp_path / "cache"))
    assert [(o.instance, o.name) for o in found.captions.objects] == [(1, "ball"), (2, "cube")]


def test_captions_of_strangers_are_refused(scene: Scene, tmp_path):
    strangers = Captions((ObjectCaptions(1, "zebra", "", {"000.png": "asleep"}),))
    with pytest.raises(FormatError, match="zebra"):
        from_file(scene, strangers, Cache(tmp_path / "cache"))
    elsewhere = Captions((ObjectCaptions(1, "ball", "", {"999.png": "asleep"}),))
    with pytest.raises(FormatError, match="picture"):
        from_file(scene, elsewhere, Cache(tmp_path / "cache"))


def test_names_take_the_best_assignment_not_the_best_track_each():
    axes = np.eye(6)
    names = np.stack([axes[0], (axes[0] + 0.9 * axes[1]) / np.hypot(1, 0.9)])
    tracks = np.stack([axes[0], axes[1], axes[5]])
    assert match_names(names, axes[3:4], tracks) == [0, 1]  # both names are nearest to track 0
    assert match_names(names[:1], axes[:1], tracks) == [None]
    assert match_names(axes[:4], axes[4:5], axes[:1]) == [0, None, None, None]


@pytest.mark.parametrize("compress", ["pca", "identity"])
def test_codes_answer_as_vectors_do(scene: Scene, tmp_path, compress):
    cache = Cache(tmp_path / "cache")
    captions = replace(ball_and_cube(), provenance={"tracks": scene[1].key})
    captions = replace(captions, objects=tuple(replace(o, instance=i) for i, o in enumerate(captions.objects, 1)))
    found = embed_captions(captions, scene[1], replace(SETTINGS, compress=compress), cache)
    codes = found.codes()
    assert not codes[~found.said].any()
    questions = Sentences().encode_texts([f"state {t}" for t in range(4)])
    scores = found.codec.inner(codes[0], questions)
    torch.testing.assert_close(scores, found.vectors[0] @ questions.T, atol=1e-4, rtol=0)
    assert scores.argmax(1).tolist() == list(range(4))


def test_a_server_is_asked_once_for_each_caption_whoever_is_killed_when(scene: Scene, tmp_path):
    cache, answers = Cache(tmp_path / "cache"), iter(range(1000))
    broken_at = 7

    def answer(_: Asked, number: int) -> Reply:
        return Reply({"error": "no"}, 400) if number == broken_at else says(f"state {next(answers)}")

    with chat_server(answer) as server:
        where = tmp_path / "endpoint.json"
        where.write_text(json.dumps({"base_url": server.url, "model": "tiny", "parallel": 1}))
        settings = replace(SETTINGS, source=f"endpoint:{where}")
        with pytest.raises(SettingsError):
            make_captions(*scene, settings, cache)
        found = make_captions(*scene, settings, cache)
        again = make_captions(*scene, settings, cache)
    assert found is not None
    assert again is not None
    assert len(server.paid) == len(set(server.paid)) == 2 * (1 + 4)
    assert len(server.asked) == len(server.paid) + 1
    assert found.captions.objects == again.captions.objects
    assert found.said.all()
    assert found.captions.provenance["tracks"] == scene[1].key


def test_a_thing_is_captioned_in_the_video_that_shows_most_of_it(scene: Scene, tmp_path):
    frames, tracks = scene
    large = tracks.ids(4).copy()
    large[:, 22:] = 1
    large[0:22, 0:11] = 1
    maps = [tracks.ids(i) for i in range(4)] + [large] * 2
    tracks = tracks_of(tmp_path, maps, tracks.vectors, list(tracks.times_s))
    with chat_server(lambda *_: says("somehow")) as server:
        where = tmp_path / "endpoint.json"
        where.write_text(json.dumps({"base_url": server.url, "model": "tiny"}))
        plan = PlanSettings(min_frames=2, min_pixels=4)
        found = make_captions(frames, tracks, replace(SETTINGS, source=f"endpoint:{where}", plan=plan), Cache(tmp_path))
    assert found is not None
    first, second = found.captions.objects
    assert list(first.frames) == ["004.png", "005.png"]
    assert list(second.frames) == [f"{i:03d}.png" for i in range(4)]
    assert found.said.tolist() == [[True, True, False, False], [True] * 4]


def test_nobody_says_anything_unless_asked(scene: Scene, tmp_path):
    assert make_captions(*scene, CaptionSettings(source="none"), Cache(tmp_path)) is None
    assert CaptionSettings().beside(tmp_path / "nowhere").source == "none"
    (tmp_path / "captions.json").write_text("{}")
    assert CaptionSettings().beside(tmp_path).source == f"file:{tmp_path / 'captions.json'}"
    assert CaptionSettings(source="none").beside(tmp_path).source == "none"
    with pytest.raises(SettingsError):
        make_captions(*scene, CaptionSettings(source="parrot:x"), Cache(tmp_path))
