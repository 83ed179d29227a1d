"""`langfield query --when` on a run whose balls change: words, JSON with masks, a strip of times, errors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import langfield
from langfield.cli import main
from langfield.errors import QueryError
from langfield.query.strip import Band, draw_bands
from langfield.suite.sentences import MiniLmSentences
from tests.events import TIMES, TURNS, event_run
from tests.suite.conftest import minilm, stored  # noqa: F401

QUESTION = "When is the red ball shining?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, minilm) -> Path:  # noqa: F811
    return event_run(tmp_path_factory.mktemp("run"), MiniLmSentences(minilm))


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as end:
        main(["query", *words])
    assert end.value.code == 0


def decoded(mask: dict) -> np.ndarray:
    values = np.repeat(np.arange(len(mask["counts"])) % 2 == 1, mask["counts"])
    return values.reshape(mask["size"][::-1]).T


def test_words_json_and_picture(folder, tmp_path, capsys):
    run(str(folder), QUESTION, "--when", "--picture", str(tmp_path / "strip.png"), "--json")
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["thing"], found["name"]) == ("found", 0, "red ball")
    assert [m["view"] for m in found["masks"]] == [f"{t:03d}.png" for t in range(TURNS["red ball"])]
    scene = langfield.load(folder)
    drawn = scene.gaussians
    for mask in found["masks"][:2]:
        inside = decoded(mask["mask"])
        camera = scene.views[mask["view"]]
        centre = np.linalg.inv(camera.T_world_camera.numpy()) @ [*drawn.means[:250].mean(0).tolist(), 1.0]
        u, v, w = camera.K.numpy() @ centre[:3]
        assert inside[int(v / w), int(u / w)]
    strip = np.asarray(Image.open(tmp_path / "strip.png"))
    assert strip.shape[1] == 6 * 200
    run(str(folder), QUESTION, "wet green ball", "--when", "--out", str(tmp_path / "all.json"))
    out = capsys.readouterr().out
    assert "found" in out
    assert "0.000 s to 1.750 s" in out
    assert [a["verdict"] for a in json.loads((tmp_path / "all.json").read_text())] == ["found", "never"]


def test_a_scene_is_asked_as_it_is_at_a_time(folder, capsys):
    run(str(folder), "ball", "--time", "1.0", "--json")
    assert json.loads(capsys.readouterr().out)["instance"] == 0
    scene = langfield.load(folder).at(1.0)
    assert scene.run.field.status_tracks is None
    assert scene.at(2.0) is scene


def test_a_run_without_states_says_so(folder):
    with pytest.raises(QueryError, match="no states"):
        langfield.load(folder).at(0.0).when("red ball lit")
    with pytest.raises(SystemExit) as end:
        main(["query", str(folder), "--when"])
    assert end.value.code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((QUESTION, "--when", "--time", "1.0"), "--when takes texts alone (--time)"),
        ((QUESTION, "--when", "--list"), "--when takes texts alone (--list)"),
        ((" ", "--when"), "the question is empty"),
        (("ball", "--states", "net"), "add --when"),
        (("ball", "--time", "99"), "give one from 0 to "),
        (("ball", "--time", "nan"), "give one from 0 to "),
    ],
)
def test_what_would_be_ignored_is_refused(folder, capsys, words, said):
    with pytest.raises(SystemExit) as end:
        main(["query", str(folder), *words])
    assert end.value.code == 1
    assert said in capsys.readouterr().err


def test_bands_are_as_long_as_what_they_show():
    times = np.arange(TIMES) * 0.5
    on = (times >= 2.0) & (times < 6.0)
    bands = draw_bands(times, [Band("a", on, (255, 0, 0)), Band("b", ~on, (0, 255, 0))], 600)
    red = (bands == (255, 0, 0)).all(-1).any(axis=0)
    green = (bands == (0, 255, 0)).all(-1).any(axis=0)
    assert abs(int(red.sum()) + int(green.sum()) - (600 - 96 - 12)) < 6
    assert red.sum() / (red.sum() + green.sum()) == pytest.approx(8 / 19, abs=0.03)
