"""Things asked for: the right ones, in any view, counted, clicked and named."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.answer import ask
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.query.things import (
    Thing,
    best_in_view,
    find_things,
    name_things,
    see,
    select,
    selection_of,
    thing_scores,
    things_at,
    which_names,
)
from tests.things import CAMERAS, DIM, NAMES, Axes, id_maps, things_field
from tests.tiny import ball_centres, tiny_gaussians

BALLS = NAMES[:3]


@pytest.fixture(scope="module")
def field() -> Field:
    return things_field()


@pytest.fixture(scope="module")
def thing() -> np.ndarray:
    return tiny_gaussians()[1]


def phrases(*texts: str) -> Phrases:
    return encode_phrases(Axes(), texts, DIM)


def truth(view: int, wanted: int) -> np.ndarray:
    """Where a thing is seen: its id at the level of balls and table."""
    order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
    return (id_maps(tiny_gaussians(), view)[2] == 12 + int(order[wanted])).numpy()


def test_without_instances_relevant_gaussians_that_touch_are_selected(field, thing):
    bare = Field(field.gaussians, field.codes, field.codec, {})
    for wanted, selection in enumerate(select(bare, phrases(*BALLS))):
        assert np.bincount(thing[selection.rows], minlength=4)[:3].argmax() == wanted
        assert (thing[selection.rows] == wanted).sum() > 0.5 * (thing == wanted).sum()


def test_a_phrase_selects_the_thing_in_space(field, thing):
    for wanted, selection in enumerate(select(field, phrases(*BALLS))):
        assert (thing[selection.rows] == wanted).mean() > 0.9
        assert len(selection.rows) > 0.5 * (thing == wanted).sum()
        assert selection.box is not None
        assert selection.centroid is not None
        assert np.linalg.norm(selection.centroid - ball_centres()[wanted]) < 0.15
        assert (selection.box[0] < selection.centroid).all()
        assert (selection.box[1] > selection.centroid).all()


def test_a_batch_of_phrases_is_the_phrases_one_by_one(field):
    together = thing_scores(field, phrases(*NAMES))
    for row, name in zip(together, NAMES, strict=True):
        torch.testing.assert_close(row, thing_scores(field, phrases(name))[0])


def test_selections_are_seen_in_any_view(field):
    for view, camera in enumerate(CAMERAS.values()):
        for wanted, sight in enumerate(see(field, select(field, phrases(*BALLS)), camera)):
            expected = truth(view, wanted)
            assert (sight.mask & expected).sum() > 0.8 * (sight.mask | expected).sum()
            assert sight.peak_px is not None
            assert expected[sight.peak_px[1], sight.peak_px[0]]
            assert sight.box_px is not None
            x0, y0, x1, y1 = sight.box_px
            assert sight.mask[y0:y1, x0:x1].sum() == sight.mask.sum()
    assert see(field, [], camera) == []


def test_what_is_hidden_is_not_seen(field):
    away = next(iter(CAMERAS.values()))
    back = away.T_world_camera.clone()
    back[:3, :3] = back[:3, :3] @ torch.diag(torch.tensor([-1.0, 1.0, -1.0], dtype=back.dtype))
    turned = type(away)(away.K, away.width, away.height, back)
    assert see(field, select(field, phrases("red ball")), turned)[0].box_px is None
    assert best_in_view(field, turned, phrases("red ball", "table")) == [None, None]


def test_the_best_thing_of_a_view_is_the_things(field):
    for camera in CAMERAS.values():
        found = best_in_view(field, camera, phrases(*NAMES))
        assert all(one is not None and one.views >= 4 for one in found)
        assert len({one.instance for one in found if one is not None}) == 4


def test_things_are_counted(field):
    balls, none, every = find_things(field, phrases("ball", "object", "blue ball"))
    assert len(balls) == 3
    assert [one.score for one in balls] == sorted((one.score for one in balls), reverse=True)
    assert len({one.instance for one in balls}) == 3
    assert none == []
    assert len(every) == 1


def test_a_click_finds_the_thing_and_what_it_is_part_of(field, thing):
    for view, camera in enumerate(CAMERAS.values()):
        for wanted, sight in enumerate(see(field, select(field, phrases(*BALLS)), camera)):
            assert sight.peak_px is not None
            found = things_at(field, camera, *sight.peak_px)
            assert found, (view, wanted)
            assert np.bincount(thing[field.instances.gaussians(found[0]).numpy()]).argmax() == wanted
            often = [one for one in found if field.instances.often[one]]
            assert found[: len(often)] == often, "what many views saw comes first"
            assert int(select(field, phrases(BALLS[wanted]))[0].rows[0]) in field.instances.gaussians(often[-1])
            for part in (often, found[len(often) :]):
                assert (field.instances.sizes[part].diff() >= 0).all()
    assert things_at(field, camera, 0, 0) == []
    with pytest.raises(QueryError, match="outside the view"):
        things_at(field, camera, camera.width, 0)


def test_things_get_names(field, thing):
    named = name_things(field, phrases(*NAMES))
    assert len(named) == len(field.instances)
    for one in named:
        owners = thing[one.selection.rows]
        assert one.name == NAMES[np.bincount(owners).argmax()]
    assert json.loads(json.dumps([one.data() for one in named]))[0]["name"] in NAMES


def test_what_few_views_saw_is_drawn_towards_chance(field):
    plain = field.instances.score(phrases("red ball").positives)
    best = int(plain.argmax())
    shy = torch.ones(len(plain))
    shy[best] = 0.0
    doubtful = Field(
        field.gaussians,
        field.codes,
        field.codec,
        {},
        None,
        type(field.instances)(**{**field.instances.tensors(), "reliability": shy}),
    )
    scores = thing_scores(doubtful, phrases("red ball"))[0]
    assert float(scores[best]) == pytest.approx(float(scores.logit().mean().sigmoid()), abs=0.2)
    assert int(scores.argmax()) != best


def test_answers_come_from_things(field):
    answer = ask(field, CAMERAS, Axes(), "green ball")
    assert answer.instance is not None
    chosen = selection_of(field, answer.instance)
    assert np.array_equal(answer.selection.rows, chosen.rows)
    expected = truth(list(CAMERAS).index(answer.view), 1)
    assert (answer.mask & expected).sum() > 0.8 * (answer.mask | expected).sum()
    assert answer.position is not None
    assert np.linalg.norm(np.array(answer.position) - ball_centres()[1]) < 0.4
    assert json.loads(json.dumps(answer.data()))["instance"] == answer.instance


def test_a_field_without_instances_says_so(field):
    bare = Field(field.gaussians, field.codes, field.codec, {})
    for call in (
        lambda: find_things(bare, phrases("ball")),
        lambda: things_at(bare, next(iter(CAMERAS.values())), 1, 1),
    ):
        with pytest.raises(QueryError, match="language mode lift"):
            call()


def test_a_thing_is_plain_data(field):
    one = find_things(field, phrases("table"))[0][0]
    assert isinstance(one, Thing)
    data = json.loads(json.dumps(one.data()))
    assert data["gaussians"] == len(one.selection.rows)
    assert len(data["box_world"]) == 2
    assert len(data["centroid_world"]) == 3


def test_a_name_near_everything_is_not_everybodys_where_the_list_is_long(field):
    many = dataclasses.replace(field.instances, views=torch.full_like(field.instances.views, 9))
    rows = torch.arange(24) % len(many)
    sizes = many.sizes[rows]
    crowd = dataclasses.replace(
        many, vectors=many.vectors[rows], views=many.views[rows], reliability=many.reliability[rows],
        first=torch.cat([sizes.new_zeros(1), sizes.cumsum(0)]), rows=torch.cat([many.gaussians(int(i)) for i in rows]),
    )  # fmt: skip
    scores = torch.rand(120, 24, generator=torch.Generator().manual_seed(0)) * 0.1
    fits = torch.arange(24)
    scores[fits, fits] += 0.3
    scores[60] += 0.5  # a hub
    crowded = dataclasses.replace(field, instances=crowd)
    assert which_names(crowded, scores).tolist() == fits.tolist()
    few = which_names(crowded, scores[50:70])
    assert (few == 10).all(), "of a short list the best is taken as it is"
    assert (which_names(field, scores[:, : len(many)]) == 60).all(), "where there are few things, too"
