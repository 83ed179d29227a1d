"""`langfield bench shards` at a small size: copies of a scene side by side are what it says they are."""

from __future__ import annotations

import numpy as np
import torch

from langfield.commands.bench_options import ShardBench
from langfield.commands.bench_shards import ask, decode_all, measure_page
from langfield.commands.bench_shards_scene import prepare
from langfield.field.shards import load_shards
from langfield.query.relevancy import encode_phrases
from langfield.sharded import open_sharded
from langfield.viewer.measure import Hashes


def test_a_small_one(tmp_path):
    what = ShardBench(gaussians=40_000, shards=2, folder=tmp_path, questions=2)
    made = prepare(what)
    assert (made["gaussians"], made["shards"], made["copies"]) == (40_000, 2, 2)
    whole = load_shards(tmp_path)
    assert whole.instances is not None
    one, other = whole.instances.gaussians(5).long(), whole.instances.gaussians(5 + len(whole.instances) // 2).long()
    apart = whole.gaussians.means[other].mean(0) - whole.gaussians.means[one].mean(0)
    rows = [np.unique(whole.gaussians.means[r].numpy().round(3), axis=0) for r in (one, other)]
    np.testing.assert_allclose(rows[0] + apart.numpy(), rows[1], atol=0.01)  # the same thing, elsewhere
    assert whole.codes is not None
    assert torch.equal(whole.codes[:, one].unique(dim=1), whole.codes[:, other].unique(dim=1))
    run = open_sharded(tmp_path)
    assert run is not None
    run.encoder = Hashes()
    phrases = encode_phrases(Hashes(), ["thing 3"], run.dim)
    many, lit = ask(run, phrases)
    assert 0 < many <= lit < 40_000
    assert decode_all(run, phrases) > 0
    found = measure_page(what)
    assert 0 < found["page_first_bytes"] < found["page_bytes"]
    assert found["page_gaussians"] <= 40_000
    stamp = (tmp_path / "shards" / "index.json").stat().st_mtime_ns
    assert prepare(what) == made
    assert (tmp_path / "shards" / "index.json").stat().st_mtime_ns == stamp  # kept for the next time
