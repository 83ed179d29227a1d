"""Exported splats: what another reader finds in the PLY, what the JSON beside it keeps, and what is refused."""

import json
from pathlib import Path

import numpy as np
import plyfile
import pytest
import torch

from langfield.adopt import adopt
from langfield.artefacts import file_key, write_json
from langfield.commands.export import export
from langfield.errors import FormatError, QueryError, SettingsError
from langfield.field.ply import read_ply, write_ply
from langfield.query.answer import ask
from langfield.run import open_run
from tests.test_adopt import settings
from tests.tiny import ball_centres, tiny_gaussians, write_tiny_scene


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    write_tiny_scene(folder / "scene")
    write_ply(folder / "splats.ply", tiny_gaussians()[0])
    return adopt(folder / "splats.ply", folder / "scene", folder / "outputs", settings(folder))


def side_car(path: Path) -> dict:
    return json.loads(path.with_suffix(".json").read_text())


def test_all_of_them_in_the_frame_of_the_capture(run, tmp_path, capsys):
    export(run, tmp_path / "a.ply")
    vertex = plyfile.PlyData.read(str(tmp_path / "a.ply"))["vertex"]
    truth = tiny_gaussians()[0]
    assert np.array_equal(np.stack([vertex[c] for c in "xyz"], 1), truth.means.numpy())
    assert np.array_equal(vertex["opacity"], truth.logit_opacities.numpy())
    about = side_car(tmp_path / "a.ply")
    assert about["rows"] is None
    assert about["world"]["name"] == "nerfstudio transforms"
    assert about["world"]["T_field_capture"] == np.eye(4).tolist()
    assert about["source"]["field_sha256"] == file_key(run / "field.safetensors")
    assert not Path(about["source"]["run"]).is_absolute()
    assert "1650 Gaussians" in capsys.readouterr().out


def test_a_scene_that_stands_still_has_no_times(run, tmp_path):
    with pytest.raises(SettingsError, match="stands still"):
        export(run, tmp_path / "then.ply", time=1.0)


def test_what_a_text_selects_lies_where_the_thing_is(run, tmp_path, capsys):
    export(run, tmp_path / "red.ply", text="red ball", json=True)
    vertex = plyfile.PlyData.read(str(tmp_path / "red.ply"))["vertex"]
    xyz = np.stack([vertex[c] for c in "xyz"], 1)
    near = np.linalg.norm(xyz - ball_centres()[0], axis=1) < 0.45
    assert 100 < len(xyz) < 600
    assert near.mean() > 0.6  # a sixth of all Gaussians are the ball's
    about = side_car(tmp_path / "red.ply")
    printed = json.loads(capsys.readouterr().out)
    assert printed.pop("ply") == str(tmp_path / "red.ply")
    assert printed == {name: value for name, value in about.items() if name != "rows"}
    assert about["selected_by"]["text"] == "red ball"
    assert torch.equal(read_ply(tmp_path / "red.ply").sh, tiny_gaussians()[0].sh[about["rows"]])


def test_the_rows_of_an_answer_are_those_of_its_text(run, tmp_path):
    opened = open_run(run)
    found = ask(opened.field, opened.views, opened.text_encoder(), "blue ball")
    write_json(tmp_path / "answer.json", found.data())
    export(run, tmp_path / "a.ply", answer=tmp_path / "answer.json")
    export(run, tmp_path / "b.ply", text="blue ball")
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()
    assert side_car(tmp_path / "a.ply")["rows"] == found.selection.rows.tolist()


@pytest.mark.parametrize("rows", [None, "all", [1.0], [True], [-1], [1650], [10**30], [[1]], {"1": 2}])
def test_answers_without_rows_of_this_field_are_refused(run, tmp_path, rows):
    write_json(tmp_path / "answer.json", {"rows": rows})
    with pytest.raises(FormatError, match="row"):
        export(run, tmp_path / "a.ply", answer=tmp_path / "answer.json")
    assert not (tmp_path / "a.ply").exists()


def test_nothing_both_and_another_suffix_are_refused(run, tmp_path):
    write_json(tmp_path / "answer.json", {"rows": []})
    with pytest.raises(QueryError, match="no Gaussian"):
        export(run, tmp_path / "a.ply", answer=tmp_path / "answer.json")
    with pytest.raises(SettingsError, match="not both"):
        export(run, tmp_path / "a.ply", answer=tmp_path / "answer.json", text="red")
    with pytest.raises(SettingsError, match=r"\.ply"):
        export(run, tmp_path / "a.json")
