"""`langfield shard`, and `langfield query` and `langfield eval` on what it writes: what they say of the run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from langfield.artefacts import read_json, write_json
from langfield.capture.points import no_points
from langfield.capture.types import Capture
from langfield.commands.evaluate import EvalOptions, ProtocolName, evaluate
from langfield.commands.query import query
from langfield.commands.shard import shard
from langfield.errors import SettingsError
from langfield.field.store import save_field
from langfield.run import frames_to_json, open_run
from langfield.sharded import open_sharded
from tests.scattered import Names, lanes, scattered
from tests.suite_run import NAMES, suite_run
from tests.tiny import draw, tiny_gaussians, write_labels

NUMBERS = {"metrics", "losses"}


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


PROTOCOLS: tuple[ProtocolName, ...] = ("lerf-ovs-2d", "lerf-ovs-3d", "lerf-ovs-3d-held-out")


def test_eval_says_of_shards_what_it_says_of_the_run(tmp_path):
    folder, shards = suite_run(tmp_path / "run"), tmp_path / "shards"
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", manifest | {"training_views": manifest["training_views"][:-2]})
    shard(folder, shards, each=300)
    field, parts = open_run(folder).field, open_run(shards).field
    assert not torch.equal(parts.gaussians.means, field.gaussians.means), "shards have an order of their own"
    labels, gaussians = tmp_path / "label", tiny_gaussians()
    for frame in open_run(folder).frames[-3:]:
        masks = draw(*gaussians, frame.camera)[1]
        named = {name: mask for name, mask in zip(NAMES, masks.values(), strict=False) if mask.any()}
        write_labels(labels / f"{frame.name}.json", frame.name, named)
    found = []
    for path in (folder, shards):
        evaluate(path, labels, EvalOptions(PROTOCOLS, absent=True))
        found.append(read_json(path / "eval" / "summary.json"))
    one, other = found
    assert [s["protocol"] for s in one["summaries"] if s["source"] == "field"] == list(PROTOCOLS)
    for mine, whole in zip(other["summaries"], one["summaries"], strict=True):
        assert {k: mine[k] for k in mine.keys() - NUMBERS} == {k: whole[k] for k in whole.keys() - NUMBERS}
        for name, number in (whole["metrics"] | whole["losses"]).items():
            assert (mine["metrics"] | mine["losses"])[name]["value"] == pytest.approx(number["value"], abs=1e-6), name
    assert 0.1 < one["summaries"][0]["metrics"]["mIoU"]["value"] < 0.9, "there is something to get wrong"
    assert [a["auroc"] for a in other["absent"]] == pytest.approx([a["auroc"] for a in one["absent"]], abs=1e-6)
