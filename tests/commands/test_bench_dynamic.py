"""bench dynamic: rows answer their own way where states are known; what was measured is not measured again."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import Identity
from langfield.commands import bench_dynamic as module
from langfield.commands.bench_dynamic import bench_dynamic, means, table
from langfield.commands.bench_options import DynamicBench
from langfield.commands.dynamic_bench.rows import Row, answers, held, names, states_of
from langfield.errors import SettingsError
from langfield.field.status import StatusTracks, thing_status
from langfield.field.types import Field
from langfield.query.states import per_time, thing_means
from langfield.suite.sentences import MiniLmSentences
from tests.blobs import blob_gaussians
from tests.events import STEP_S, TIMES, TURNS, captions, event_field
from tests.suite.conftest import minilm, stored  # noqa: F401

QUESTION = "When is the red ball shining?"
TRUTH = np.arange(TIMES) < TURNS["red ball"]


@pytest.fixture(scope="module")
def encoder(minilm):  # noqa: F811
    return MiniLmSentences(minilm)


def source(encoder) -> Any:
    """What was said of the balls, as the stage gives it."""
    said = captions(encoder)
    vectors = torch.stack([encoder.encode_texts(list(o.frames.values())) for o in said.objects])
    everywhere = torch.ones(vectors.shape[:2], dtype=torch.bool)
    times = STEP_S * torch.arange(TIMES).double()
    spoken = SimpleNamespace(captions=said, times_s=times, said=everywhere, codec=Identity(384), codes=lambda: vectors)
    return SimpleNamespace(spoken=spoken)


def way(row: Row, encoder):
    """What answers one row's way."""
    given, field = source(encoder), event_field(encoder)
    return answers(row, given, replace(field, status_tracks=states_of(row, given, field, 0)), encoder)


def test_each_row_answers_its_own_way(encoder):
    ours = way(Row("closed form", "ours", 2), encoder)
    thing, active, times = ours(QUESTION)
    assert thing == 0
    assert (active == TRUTH).mean() >= 0.95
    assert times.tolist() == (STEP_S * np.arange(TIMES)).tolist()
    assert not ours("the red ball is folded up")[1].any()
    raw = way(Row("captions", "ours"), encoder)(QUESTION)[1]
    assert (raw == TRUTH).mean() >= 0.95  # lone wrong captions are smoothed away
    rule = way(Row("closed form", "mean rule, as asked", 2), encoder)
    assert rule("the red ball is lit")[1].tolist() == TRUTH.tolist()
    assert rule("the red ball is folded up")[1].any()  # it never says never
    rewritten = way(Row("closed form", "mean rule", 2), encoder)
    assert rewritten("the red ball is folded up")[1].any()


def test_one_state_knows_no_times(encoder):
    active = way(Row("closed form", "ours", 1), encoder)(QUESTION)[1]
    assert active.all() or not active.any()


def test_gaps_take_what_was_said_nearest():
    codes = torch.arange(10.0).reshape(1, 5, 2)
    said = torch.tensor([[False, True, False, False, True]])
    assert held(codes, said)[0, :, 0].tolist() == [2.0, 2.0, 2.0, 8.0, 8.0]
    assert held(codes, torch.zeros_like(said)).equal(codes)


def test_a_state_per_time_is_that_time(encoder):
    tracks = cast(StatusTracks, event_field(encoder).status_tracks)
    codes = normalize(torch.randn(3, TIMES, 384, generator=torch.Generator().manual_seed(0)), dim=-1)
    made = per_time(tracks.owner, tracks.times_s, codes)
    assert torch.allclose(thing_status(made, 5 * STEP_S), codes[:, 5], atol=1e-6)


def test_means_of_things_leave_out_what_belongs_to_none():
    codes = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [5.0, 5.0]])
    found = thing_means(codes, torch.tensor([0, 0, 1, -1]), 3)
    assert torch.allclose(found, torch.tensor([[0.5**0.5, 0.5**0.5], [0.0, 1.0], [0.0, 0.0]]))


@pytest.fixture
def counted(monkeypatch):
    """Stages and training left out; counts what is measured."""
    made: list[str] = []
    provenance = {"encoder": {"name": "any"}}
    given = SimpleNamespace(key="k", spoken=SimpleNamespace(captions=SimpleNamespace(provenance=provenance)))
    monkeypatch.setattr(module, "open_dynamic", lambda data, settings: given)
    monkeypatch.setattr(module, "sentence_encoder", lambda name: None)
    trained = SimpleNamespace(about={"gaussians": 7}, field=Field(blob_gaussians(), None, None, {}))
    monkeypatch.setattr(module, "train", lambda s, seed: trained)
    monkeypatch.setattr(module, "states_of", lambda row, s, f, seed: seed)
    monkeypatch.setattr(module, "things_of", lambda s, t: {"mIoU": 0.5, "mAcc": 0.9})
    monkeypatch.setattr(module, "answers", lambda row, s, f, e: made.append(f"{f.status_tracks} {row.key}"))
    values = {"Acc (keyword)": 0.5, "false active": 0.0, "queries": []}
    monkeypatch.setattr(module, "score_row", lambda s, t, ask, o: {**values, "Acc (keyword)": 0.25 * len(made)})
    return made


def test_what_is_there_is_not_measured_again(counted, tmp_path):
    two = tuple(list(names())[:2])
    what = DynamicBench(seeds=2, only=two[:1], out=tmp_path)
    found = bench_dynamic(tmp_path, what)
    assert counted == [f"{seed} {two[0]}" for seed in (0, 1)]
    assert found["means"][two[0]]["Acc (keyword)"] == {"mean": 0.375, "low": 0.25, "high": 0.5}
    assert "0.375 (0.250–0.500)" in found["table"]
    bench_dynamic(tmp_path, replace(what, only=two))
    assert counted[2:] == [f"{seed} {two[1]}" for seed in (0, 1)]
    kept = json.loads((tmp_path / "dynamic.json").read_text())
    assert set(kept["seeds"]["seed 1"]["rows"]) == set(two)
    with pytest.raises(SettingsError, match="no such row"):
        bench_dynamic(tmp_path, replace(what, only=("nothing",)))


def test_a_table_shows_what_differs():
    rows = {"a": {"Acc (keyword)": 0.9}, "b": {"Acc (keyword)": 0.5, "vIoU (keyword)": 0.25}}
    seeds = {"seed 0": {"rows": rows, "things": {"mIoU": 0.5, "mAcc": 0.9}, "field": {}}}
    drawn = table(means(seeds, ["a", "b"]), seeds)
    assert "| a | 0.900 |  |" in drawn
    assert "| b | 0.500 | 0.250 |" in drawn
