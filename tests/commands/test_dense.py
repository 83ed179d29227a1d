"""The committed upsampler on the scene in the repository that it never saw, and what the command refuses."""

import shutil
from pathlib import Path

import pytest

from langfield.commands.dense import measure, pictures_of, train_dense_weights
from langfield.errors import EnvironmentProblem, SettingsError
from langfield.settings import RunSettings
from langfield.suite.dense import FILE, FOLDER, read_upsampler, tower
from langfield.suite.dense_train import Recipe

LOOP = Path(__file__).parents[2] / "scenes" / "loop"


def test_it_beats_bilinear_patches_on_a_scene_it_never_saw(tmp_path):
    for label in sorted((LOOP / "label").glob("*.json"))[::3]:
        for kept in (label, LOOP / "rgb" / f"{label.stem}.jpg"):
            (tmp_path / kept.parent.name).mkdir(exist_ok=True)
            shutil.copy(kept, tmp_path / kept.parent.name)
    net, about = read_upsampler(FOLDER / FILE)
    assert LOOP.name not in about["scenes"]
    try:
        rough, learned = measure(tmp_path, tower(), [net], RunSettings())
    except EnvironmentProblem as problem:
        pytest.skip(str(problem))
    assert learned > rough + 0.05


def test_pictures_are_found_in_either_layout():
    assert len(pictures_of(LOOP)) == 360
    assert len(pictures_of(LOOP.parent / "tabletop")) == 36


def test_a_scene_is_not_learned_from_and_measured_on(tmp_path):
    with pytest.raises(SettingsError, match="learned from and measured on"):
        train_dense_weights([LOOP], [LOOP.parent / "loop"], tmp_path, Recipe(), "cpu")
