"""`langfield bench suite` on a run whose things are known: truth from labels, scores that reach it, resumable."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import langfield
from langfield.commands.bench_options import SuiteBench
from langfield.commands.bench_suite import bench_suite
from langfield.commands.use_bench.parts import Lesson, draw_clicks, located, named, taught
from langfield.commands.use_bench.truth import NO_NAME, Truth, truth_of
from langfield.errors import SettingsError
from langfield.query.things import things_of
from langfield.scene import Scene
from tests.suite_run import NAMES, suite_run
from tests.things import things_camera
from tests.tiny import draw, tiny_gaussians, write_labels

BALLS: dict[str, str] = dict(zip(("red ball", "green ball", "blue ball"), NAMES[:3], strict=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The balls are labelled in three views, the table in none."""
    run = suite_run(tmp_path_factory.mktemp("run"))
    for view in range(3):
        masks = draw(*tiny_gaussians(), things_camera(view))[1]
        named = {BALLS[name]: mask for name, mask in masks.items()}
        write_labels(run / "label" / f"view_{view}.json", f"view_{view}.png", named)
    return run


@pytest.fixture(scope="module")
def scene(folder: Path) -> Scene:
    return langfield.load(folder)


@pytest.fixture(scope="module")
def truth(scene: Scene, folder: Path) -> Truth:
    return truth_of(scene, folder / "label")


def test_labels_say_what_things_are(truth):
    assert set(truth.names) == set(BALLS.values())
    assert [truth.names[name] for name in truth.owner[1:]] == list(NAMES[:3])
    assert truth.owner[0] == NO_NAME
    assert truth.reach > 0.7


def test_right_scores_are_perfect_and_turned_ones_are_not(truth):
    right = np.zeros((3, 4))
    right[truth.owner[1:], [1, 2, 3]] = 0.9
    found = located(truth, right) | named(truth, right)
    assert (found["localisation"], found["accuracy"], found["AUROC not here"]) == (1.0, 1.0, 1.0)
    assert found["mIoU"] == pytest.approx(truth.reach)
    turned = np.roll(right, 1, axis=0)
    assert located(truth, turned)["mIoU"] < 0.05
    assert named(truth, turned)["accuracy"] == 0.0
    assert named(truth, right[:, ::1] * 0 + 0.5)["AUROC not here"] == 0.5


def test_clicks_lie_on_what_they_name(scene, truth):
    for seed in range(3):
        drawn = draw_clicks(truth, 2, seed, things_of(scene.run.field))
        assert {thing for thing, _ in drawn} == {1, 2, 3}
        assert all(truth.owner[thing] == name for thing, name in drawn)
    found = taught(scene, truth, Lesson("gda", 1, False, 0, 0))
    assert (found["localisation"], found["examples"]) == (1.0, 3)


def test_what_is_measured_is_not_measured_again(folder, tmp_path, monkeypatch):
    what = SuiteBench(only=("find",), seeds=1, out=tmp_path)
    first = bench_suite((folder,), what)
    values = first["runs"][folder.name]["rows"]["find"]
    assert set(values) == {"plain", "cross-gap", "lexiclip", "clippings"}
    assert "| plain |" in first["table"]
    monkeypatch.setattr("langfield.commands.bench_suite.truth_of", lambda *_: pytest.fail("measured again"))
    assert bench_suite((folder,), what)["runs"] == first["runs"]
    file = tmp_path / f"suite_{folder.name}.json"
    assert json.loads(file.read_text())["rows"]["find"] == json.loads(json.dumps(values))
    with pytest.raises(SettingsError, match="no such part"):
        bench_suite((folder,), SuiteBench(only=("xyz",)))
    with pytest.raises(SettingsError, match="no labels"):
        bench_suite((folder,), SuiteBench(labels=tmp_path / "none", out=tmp_path))
