"""Label pictures: names, ids, frames they belong to, the frame's pixels, and the best of a vocabulary."""

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from langfield.capture.lens import map_points_to_frame, pinhole_for
from langfield.capture.types import Camera, Distortion, Frame
from langfield.errors import LangfieldError
from langfield.evaluate.classes import (
    RunningBest,
    classify_pixels,
    fit_to_frame,
    match_frames,
    read_class_names,
    read_id_picture,
)
from tests.blobs import CAMERAS, WORDS, Words, blob_ids
from tests.evaluate.scored import blob_field

K = torch.tensor([[60.0, 0, 50], [0, 60.0, 40], [0, 0, 1]], dtype=torch.float64)


def frame(name: str) -> Frame:
    return Frame(name, Path(name), Camera(K, 100, 80, torch.eye(4)))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("names.json", '{"1": "mug", "20": "red apple"}'),
        ("info_semantic.json", '{"classes": [{"id": 1, "name": "mug"}, {"id": 20, "name": "red apple"}]}'),
        ("classes.txt", "1 mug\n\n20 red apple\n"),
    ],
)
def test_names_of_ids(tmp_path, file, text):
    (tmp_path / file).write_text(text)
    assert read_class_names(tmp_path) == {1: "mug", 20: "red apple"}


def test_names_alone_are_counted_from_zero(tmp_path):
    (tmp_path / "classes.txt").write_text("mug\n7 dwarfs statue\nlamp")
    assert read_class_names(tmp_path) == {0: "mug", 1: "7 dwarfs statue", 2: "lamp"}


@settings(deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(), lambda c: st.lists(
    c, max_size=3) | st.dictionaries(st.sampled_from(["classes", "id", "name", "1"]), c, max_size=3)))  # fmt: skip
def test_any_json_is_names_or_our_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("names")
    (folder / "names.json").write_text(json.dumps(data))
    with suppress(LangfieldError):
        assert read_class_names(folder)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_names_or_our_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("names")
    (folder / "classes.txt").write_bytes(data)
    (folder / "label.png").write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    with suppress(LangfieldError):
        assert read_class_names(folder)
    with pytest.raises(LangfieldError):
        read_id_picture(folder / "label.png")


@pytest.mark.parametrize("mode", ["L", "P", "I;16"])
def test_ids_are_read_as_stored(tmp_path, mode):
    ids = np.arange(12).reshape(3, 4) * (20 if mode != "I;16" else 2000)
    picture = Image.fromarray(ids.astype(np.uint16 if mode == "I;16" else np.uint8))
    if mode == "P":
        picture.putpalette(list(range(256)) * 3)
    picture.save(tmp_path / "ids.png")
    assert np.array_equal(read_id_picture(tmp_path / "ids.png"), ids)


def test_colours_are_no_ids(tmp_path):
    Image.new("RGB", (4, 4)).save(tmp_path / "ids.png")
    with pytest.raises(LangfieldError, match="colours"):
        read_id_picture(tmp_path / "ids.png")


def test_frames_by_name_then_by_number():
    frames = [frame("rgb_0.png"), frame("rgb_11.png"), frame("rgb_2.png")]
    assert match_frames(["rgb_11"], frames) == {"rgb_11": frames[1]}
    found = match_frames(["semantic_class_2", "semantic_class_00", "semantic_class_7"], frames)
    assert found == {"semantic_class_2": frames[2], "semantic_class_00": frames[0]}
    assert match_frames(["x_1"], [frame("a/1.png"), frame("b_1.png")]) == {}


def test_label_pictures_of_another_size_or_shape():
    ids = np.arange(20).reshape(4, 5)
    large = fit_to_frame(np.kron(ids, np.ones((40, 40), int)), frame("a"), -1, Path("x"))
    assert np.array_equal(large, np.kron(ids, np.ones((20, 20), int)))
    with pytest.raises(LangfieldError, match="does not fit"):
        fit_to_frame(np.zeros((100, 80), int), frame("a"), -1, Path("x"))


def test_labels_follow_an_undistorted_frame():
    """The twin: points of the original picture carried over by the lens code land on their own id."""
    source = Camera(K, 100, 80, torch.eye(4), Distortion("opencv", (-0.15, 0.02)))
    plain = pinhole_for(source, "here")
    ids = np.arange(8000).reshape(80, 100)
    made = fit_to_frame(ids, Frame("a", Path("a"), plain, source), -1, Path("x"))
    xy = np.random.default_rng(0).uniform([25, 20], [75, 60], size=(50, 2))
    there = map_points_to_frame(Frame("a", Path("a"), plain, source), xy)
    values = made[there[:, 1].astype(int), there[:, 0].astype(int)]
    assert np.abs(values % 100 - np.floor(xy[:, 0])).max() <= 1
    assert np.abs(values // 100 - np.floor(xy[:, 1])).max() <= 1


@settings(deadline=None)
@given(st.integers(1, 7), st.integers(0, 1000))
def test_the_vocabulary_may_come_in_any_parts(step, seed):
    scores = np.random.default_rng(seed).integers(0, 3, size=(7, 20)).astype(np.float32)
    running = RunningBest()
    for start in range(0, 7, step):
        running.add(scores[start : start + step])
    alike = (scores == scores[0]).all(axis=0)
    assert np.array_equal(running.classes(), np.where(alike, -1, scores.argmax(axis=0)))
    assert np.array_equal(running.best, scores.max(axis=0))


def test_pixels_of_the_blobs_get_their_words():
    camera = CAMERAS["view_1.png"]
    classes, best = classify_pixels(blob_field(), camera, ["cube", "lamp", "ball"], Words())
    truth = blob_ids(camera)[0]
    assert (classes[truth == 0] == 2).mean() > 0.99
    assert (classes[truth == 1] == 0).mean() > 0.99
    assert classes[0, 0] == -1
    assert best[truth >= 0].min() > 0.9
    assert WORDS == ("ball", "cube")
