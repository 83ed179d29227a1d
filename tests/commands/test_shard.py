"""`langfield shard`, and `langfield query` on what it writes: the run's own answer."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from langfield.artefacts import write_json
from langfield.capture.points import no_points
from langfield.capture.types import Capture
from langfield.commands.query import query
from langfield.commands.shard import shard
from langfield.errors import SettingsError
from langfield.field.store import save_field
from langfield.run import frames_to_json, open_run
from langfield.sharded import open_sharded
from tests.scattered import Names, lanes, scattered


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr("langfield.suite.text_encoder", lambda _: Names())
    folder = tmp_path / "run"
    save_field(folder, replace(scattered(), provenance={"image_encoder": {"name": "names"}}))
    write_json(folder / "capture.json", frames_to_json(Capture(folder, lanes(), no_points())))
    about = {"settings": {"text_encoder": "names"}, "training_views": [f.name for f in lanes()]}
    write_json(folder / "manifest.json", {"version": 1, "state": "finished", **about})
    return folder


def test_a_run_in_shards_answers_as_the_run(run, tmp_path, capsys):
    shard(run, tmp_path / "shards", each=200, json=True)
    made = json.loads(capsys.readouterr().out)
    assert (made["gaussians"], made["shards"], made["levels"][0]) == (540, 3, 540)
    answers = []
    for folder in (run, tmp_path / "shards"):
        query(folder, ("tent",), json=True)
        answers.append(json.loads(capsys.readouterr().out))
    one, other = answers
    assert (other["view"], other["instance"], other["gaussians"]) == (one["view"], one["instance"], one["gaussians"])
    assert other["score"] == pytest.approx(one["score"], abs=1e-3)
    assert other["box_world"][0] == pytest.approx(one["box_world"][0], abs=1e-5)
    assert open_sharded(run) is None
    assert len(open_run(tmp_path / "shards").field.gaussians) == 540


def test_a_run_is_not_cut_up_where_it_lies(run):
    with pytest.raises(SettingsError, match="its own folder"):
        shard(run, run)
