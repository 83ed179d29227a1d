"""Questions to shards: the same answers as from the whole field, from a part of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.codec import fit_pca
from langfield.errors import QueryError
from langfield.field.shard_write import ShardSettings, write_shards
from langfield.field.shards import Shards, load_shards
from langfield.query.answer import AskSettings, answer
from langfield.query.calibrate import Calibrator
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.relevancy import encode_phrases
from langfield.query.sharded import ShardAsker, ShardAskSettings
from langfield.query.things import thing_scores
from langfield.query.vocabulary import encode_vocabulary
from tests.scattered import DIM, NAMES, Names, lanes, scattered, stand

VIEWS = {frame.name: frame.camera for frame in lanes()}
WHOLE = ShardAskSettings(budget=10**9, views=len(VIEWS), ask=AskSettings(max_views=len(VIEWS)))


def questions(*texts: str):
    return encode_phrases(Names(), texts, DIM)


def vocabulary():
    return encode_vocabulary(Names(), DIM, tuple(f"word {i}" for i in range(60)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("sharded")
    write_shards(out, scattered(), "a", ShardSettings(each=100, fewest=20))
    return out


def test_relevancy_of_all_gaussians_is_the_wholes(folder):
    asker, whole = ShardAsker(Shards(folder), VIEWS), load_shards(folder)
    for texts in (("car", "a lamp"), ("tent",), ("car",)):
        found = torch.cat(list(asker.relevancy(questions(*texts))), dim=2)
        torch.testing.assert_close(found, gaussian_relevancy(whole, questions(*texts)))
    other = encode_phrases(Names(), ["car"], DIM, ["bench"])
    torch.testing.assert_close(torch.cat(list(asker.relevancy(other)), dim=2), gaussian_relevancy(whole, other))


def test_things_are_scored_without_any_gaussian(folder, monkeypatch):
    asker, whole = ShardAsker(Shards(folder), VIEWS), load_shards(folder)
    phrases = questions(*NAMES)
    monkeypatch.setattr(Shards, "codes", None)
    monkeypatch.setattr(Shards, "field", None)
    found = asker.things(phrases)
    torch.testing.assert_close(found, thing_scores(whole, phrases))
    assert found.argmax(dim=1).tolist() == list(range(len(NAMES)))


@pytest.mark.parametrize("name", NAMES)
def test_with_room_for_all_the_answer_is_the_wholes(folder, name):
    asker, whole = ShardAsker(Shards(folder), VIEWS), load_shards(folder)
    judge = Calibrator(whole, vocabulary())
    found, wanted = asker.answer(questions(name), judge, WHOLE), answer(whole, VIEWS, questions(name), judge)
    assert found.selection.rows.tolist() == wanted.selection.rows.tolist()
    assert found.selection.box == pytest.approx(wanted.selection.box)
    assert (found.view, found.level, found.instance, found.verdict) == (
        wanted.view, wanted.level, wanted.instance, wanted.verdict,
    )  # fmt: skip
    assert found.score == pytest.approx(wanted.score)
    assert found.position == pytest.approx(wanted.position, abs=1e-3)
    assert (found.mask != wanted.mask).mean() < 1e-3
    assert found.relevancy == pytest.approx(wanted.relevancy, abs=1e-4)


def test_with_little_room_the_thing_is_still_found_where_it_is(folder):
    shards, whole = Shards(folder), load_shards(folder)
    asker = ShardAsker(shards, VIEWS)
    judge = asker.calibrator(vocabulary())
    for name in NAMES:
        found = asker.answer(questions(name), judge, ShardAskSettings(budget=150, views=2))
        wanted = answer(whole, VIEWS, questions(name), Calibrator(whole, vocabulary()))
        assert found.selection.rows.tolist() == wanted.selection.rows.tolist()
        assert found.mask.any()
        assert found.verdict == "found"
    assert asker.answer(questions("word 7"), judge).verdict != "found"


def test_of_a_thing_that_is_everywhere_only_what_may_be_drawn_is_read(tmp_path, monkeypatch):
    field = scattered()
    ground = (field.gaussians.means[:, 2] < 0.03).nonzero()[:, 0].int()
    things = field.instances
    assert things is not None
    first = torch.cat([torch.tensor([0]), len(ground) + things.first])
    every = replace(
        things, vectors=torch.cat([Names().encode_texts(["floor"]).half(), things.vectors]), first=first,
        views=torch.full((7,), 5).int(), reliability=torch.ones(7), rows=torch.cat([ground, things.rows]),
        members=torch.tensor([[i, 0, i] for i in range(7)]).int(),
    )  # fmt: skip
    write_shards(tmp_path, replace(field, instances=every), "a", ShardSettings(each=100, fewest=20))
    shards, read = Shards(tmp_path), []
    part = shards.field
    monkeypatch.setattr(shards, "field", lambda number, level: read.append((number, level)) or part(number, level))
    asker = ShardAsker(shards, VIEWS)
    found = asker.answer(
        questions("floor"), asker.calibrator(vocabulary()), ShardAskSettings(budget=0, whole=250, views=2)
    )
    assert len({n for n, level in read if level == 0}) == 2 < len(shards.split(found.selection.rows))
    assert found.instance == 0
    assert len(found.selection.rows) == len(ground)
    assert found.mask.any()


def test_a_view_needs_only_what_it_sees(folder):
    shards = Shards(folder)
    asker, camera = ShardAsker(shards, VIEWS), stand((0.5, -1.0, 2.0), (0.5, 0.5, 0.0))
    small, large = asker.local([camera], 50), asker.local([camera], 10**9)
    assert len(small.field.gaussians) < len(large.field.gaussians) < shards.count
    for shard, start in large.first.items():
        own = shards.field(shard).gaussians
        assert torch.equal(large.field.gaussians.means[start : start + len(own)], own.means)
    nothing = asker.local([], 100)
    assert len(nothing.field.gaussians) == 0


def test_without_things_the_most_relevant_place_answers(tmp_path):
    field = replace(scattered(), instances=None)
    write_shards(tmp_path, field, "a", ShardSettings(each=100, fewest=20))
    asker, whole = ShardAsker(Shards(tmp_path), VIEWS), load_shards(tmp_path)
    found = asker.answer(questions("house"), asker.calibrator(vocabulary()), WHOLE)
    wanted = answer(whole, VIEWS, questions("house"), Calibrator(whole, vocabulary()))
    assert found.position == pytest.approx(wanted.position, abs=1e-3)
    assert found.selection.rows.tolist() == wanted.selection.rows.tolist()
    assert found.view == wanted.view
    little = asker.answer(questions("house"), asker.calibrator(vocabulary()), ShardAskSettings(budget=150, views=2))
    meant = gaussian_relevancy(whole, questions("house"))[0, 2] > 0.9
    assert len(little.selection.rows)
    assert meant[torch.from_numpy(little.selection.rows)].any()
    with pytest.raises(QueryError, match="no instances"):
        asker.things(questions("house"))


def test_codes_that_are_no_words_are_asked_too(tmp_path):
    field = scattered()
    assert field.codes is not None
    assert field.codec is not None
    vectors = field.codec.decode(field.codes)
    pca = fit_pca(torch.nn.functional.normalize(torch.randn(99, DIM), dim=-1), 8)
    write_shards(
        tmp_path,
        replace(field, codec=pca, codes=pca.encode(vectors.flatten(0, 1)).unflatten(0, vectors.shape[:2])),
        "a",
    )
    found = torch.cat(list(ShardAsker(Shards(tmp_path), VIEWS).relevancy(questions("car"))), dim=2)
    torch.testing.assert_close(found, gaussian_relevancy(load_shards(tmp_path), questions("car")))


def test_a_field_without_language_says_so(tmp_path):
    bare = replace(scattered(), codec=None, codes=None, reliability=None, instances=None)
    write_shards(tmp_path, bare, "a")
    with pytest.raises(QueryError, match="no language part"):
        list(ShardAsker(Shards(tmp_path), VIEWS).relevancy(questions("car")))


def test_the_sample_is_spread_over_the_scene(folder):
    sample, whole = ShardAsker(Shards(folder), VIEWS).sample(), load_shards(folder)
    assert len(sample.gaussians) == (torch.sigmoid(whole.gaussians.logit_opacities) >= 0.3).sum()
    assert np.isin(sample.gaussians.means.numpy(), whole.gaussians.means.numpy()).all()
