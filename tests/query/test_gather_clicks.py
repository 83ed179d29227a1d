"""Clicks on things whose names are known: the vectors the field holds, labels, and clicks that mean nothing."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.query.gather_clicks import (
    Click,
    clicked_gaussians,
    gather_clicks,
    names_of,
    read_clicks,
    thing_vectors,
    unlabelled,
    vector_at,
    with_others,
)
from langfield.query.image import innermost
from langfield.query.questions import Region
from langfield.query.relevancy import encode_phrases
from langfield.query.things import things_at
from tests.things import CAMERAS, DIM, Axes, id_maps, things_field
from tests.tiny import tiny_gaussians

ASKED = encode_phrases(Axes(), ["red ball", "table"], DIM)


@pytest.fixture(scope="module")
def field():
    return things_field()


def pixel_of(row: int, view: int = 0) -> Region:
    """A pixel in the middle of a thing: 0 to 2 balls, 3 the table."""
    order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
    y, x = innermost((id_maps(tiny_gaussians(), view)[2] == 12 + int(order[row])).numpy())
    return Region(f"view_{view}", pixel=(x, y))


def test_clicks_are_read_as_they_are_written():
    found = read_clicks(["red mug=3,17,a/view_1.png:120,80,4", "globe=view_2:7,9"], ["5,view_3:1,2", "6"])
    assert [(c.name, c.thing, c.at and (c.at.view, c.at.pixel)) for c in found] == [
        ("red mug", 3, None), ("red mug", 17, None), ("red mug", None, ("a/view_1.png", (120, 80))),
        ("red mug", 4, None),
        ("globe", None, ("view_2", (7, 9))), (None, 5, None), (None, None, ("view_3", (1, 2))), (None, 6, None),
    ]  # fmt: skip
    assert names_of(found) == ("red mug", "globe")


@pytest.mark.parametrize("text", ["mug", "=3", "mug=", "mug=x", "mug=-1", "mug=view:1", "mug=view:1,2,3,", "mug=1,,2"])
def test_what_is_no_click_is_refused(text: str):
    with pytest.raises(QueryError):
        read_clicks([text])


def test_a_thing_and_a_point_of_it_are_one_example(field):
    for row, name in ((0, "red ball"), (1, "table")):
        at = pixel_of(row)
        thing = things_at(field, CAMERAS[at.view], *at.pixel)[0]  # type: ignore[misc]
        one = gather_clicks(field, CAMERAS, [Click("red ball", thing)], ASKED)
        other = gather_clicks(field, CAMERAS, [Click("red ball", at=at), Click("red ball", thing)], ASKED)
        assert torch.equal(one.vectors, other.vectors)
        assert int(one.vectors[0].argmax()) == row, name
        torch.testing.assert_close(one.vectors.norm(dim=1), torch.ones(1))


def test_labels_names_and_negatives(field):
    clicks = [Click("table", 0), Click(None, 1), Click("red ball", 2)]
    task = gather_clicks(field, CAMERAS, clicks, ASKED)
    assert task.labels.tolist() == [1, -1, 0]
    assert (task.names, len(task.vectors)) == (("red ball", "table"), 3)
    assert torch.equal(task.texts, ASKED.positives)
    assert torch.equal(task.negatives, ASKED.canonicals)
    assert len(gather_clicks(field, CAMERAS, [], ASKED).vectors) == 0


def test_gaussians_of_a_thing_are_what_it_is_made_of(field):
    for thing in range(len(field.instances)):
        vectors = thing_vectors(field, thing, spread=5)
        assert vectors.shape == (6, DIM)
        assert (vectors @ vectors[0] > 0.9).float().mean() > 0.7  # some at the rim belong to a neighbour too
        assert torch.equal(vectors[:1], thing_vectors(field, thing))


def test_a_field_without_things_gives_the_gaussian_in_front(field):
    bare = dataclasses.replace(field, instances=None)
    for row in range(4):
        task = gather_clicks(bare, CAMERAS, [Click("red ball", at=pixel_of(row))], ASKED)
        assert int(task.vectors[0].argmax()) == row
    codes = torch.where(torch.arange(3)[:, None, None] == 2, 0.0, field.codes)
    lower = dataclasses.replace(bare, codes=codes)
    found = vector_at(lower, CAMERAS["view_0"], pixel_of(1))
    torch.testing.assert_close(found, normalize(found, dim=1))
    assert int(found[0].argmax()) == 1


@pytest.mark.parametrize(
    ("clicks", "message"),
    [
        ([Click("mug", 0)], "none of the names"),
        ([Click("table", 99)], "no thing 99"),
        ([Click("table")], "names a thing or a point"),
        ([Click("table", 0), Click("red ball", 0)], "two names"),
        ([Click("table", at=Region("view_9", pixel=(1, 1)))], "no view"),
        ([Click("table", at=Region("view_0", pixel=(999, 1)))], "outside"),
        ([Click("table", at=Region("view_0", pixel=(0, 0)))], "nothing"),
        ([Click("table", at=Region("view_0", box=(0, 0, 9, 9)))], "not a box"),
    ],
)
def test_clicks_that_mean_nothing(field, clicks: list[Click], message: str):
    with pytest.raises(QueryError, match=message):
        gather_clicks(field, CAMERAS, clicks, ASKED)


def test_other_things_are_none_of_the_names(field):
    thing = things_at(field, CAMERAS["view_0"], *pixel_of(0).pixel)[0]  # type: ignore[misc]
    for click in (Click("red ball", thing), Click("red ball", at=pixel_of(0))):
        task = gather_clicks(field, CAMERAS, [click], ASKED)
        clicked = clicked_gaussians(field, CAMERAS, [click])
        more, told = with_others(field, clicked, task)
        assert more.labels.tolist() == [0, *[-1] * (len(more.labels) - 1)]
        assert len(more.labels) > 2
        assert (more.vectors[1:, 0] < 0.5).all(), "what was clicked is taken for what it is not"
        assert str(len(more.labels) - 1) in dict(told)["taken for none"]
    assert len(with_others(field, clicked, task, 1)[0].labels) == 2
    cosines = (more.vectors[1:] @ task.vectors[0]).tolist()
    assert cosines == sorted(cosines, reverse=True), "the most alike bound a name best"
    assert with_others(dataclasses.replace(field, instances=None), clicked, task) == (task, ())
    assert with_others(field, clicked, more) == (more, ()), "all others are among them already"
    some = dataclasses.replace(task, vectors=more.vectors[:2], labels=more.labels[:2])
    filled = with_others(field, clicked, some, 2)[0]
    assert filled.labels.tolist() == [0, -1, -1], "a single click of what it is not does not bound a name"
    assert torch.equal(filled.vectors[:2], some.vectors)
    assert (filled.vectors[2] @ some.vectors.T < 0.9).all(), "it is another thing than those clicked"
    assert (unlabelled(field, task).labels == -1).all()
