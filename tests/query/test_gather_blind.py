"""Blind pairs whose truth is known: balls that an encoder cannot tell apart but colour, size or another encoder can."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gather_blind import blind_pairs, colours_of, gather_blind, looks_of, shapes_of
from langfield.query.linking import thing_items
from langfield.query.relevancy import encode_phrases
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.diagnose.mmvp import Settings, diagnose
from tests.things import DIM, NAMES, Axes, things_field


@pytest.fixture(scope="module")
def field() -> Field:
    """The encoder takes the red and the green ball for one."""
    found = things_field()
    assert found.instances is not None
    vectors = found.instances.vectors.float()
    vectors[:, 0], vectors[:, 1] = vectors[:, 0] + vectors[:, 1], 0
    return dataclasses.replace(found, instances=dataclasses.replace(found.instances, vectors=vectors.half()))


def kinds(field: Field) -> list[int]:
    """Which thing of the scene each instance is, by where its Gaussians are."""
    assert field.instances is not None
    owner = np.repeat([0, 1, 2, 3], [250, 250, 250, 900])
    return [int(np.bincount(owner[field.instances.gaussians(i).long()]).argmax()) for i in range(len(field.instances))]


def test_what_colour_tells_apart_is_found(field):
    kind = kinds(field)
    names = thing_items(field, encode_phrases(Axes(), NAMES, DIM)).texts
    items = dataclasses.replace(gather_blind(field, colours_of(field)), texts=names)
    rows = blind_pairs(field, items, lambda these: diagnose(these, Settings(0.95, 0.6, 1000)))
    assert rows
    assert all({kind[row["a"]], kind[row["b"]]} == {0, 1} for row in rows)
    assert all(set(row["texts"]) == {"red ball"} for row in rows)


def test_what_lies_inside_another_is_no_pair(field):
    often = torch.full_like(field.instances.views, 9)
    field = dataclasses.replace(field, instances=dataclasses.replace(field.instances, views=often))
    items = gather_blind(field, torch.eye(len(field.instances)))
    large = field.instances.sizes >= 64
    every = [row for row in diagnose(items, Settings(0.95, 0.6, 1000)) if large[row["a"]] and large[row["b"]]]
    kept = blind_pairs(field, items, lambda these: diagnose(these, Settings(0.95, 0.6, 1000)), 1000)
    held = [set(field.instances.gaussians(i).tolist()) for i in range(len(field.instances))]
    shared = [len(held[r["a"]] & held[r["b"]]) / min(len(held[r["a"]]), len(held[r["b"]])) for r in every]
    assert max(shared) > 0.5
    assert kept == [row for row, share in zip(every, shared, strict=True) if share <= 0.1]


def test_what_few_views_or_gaussians_show_is_no_pair(field):
    items = gather_blind(field, torch.eye(len(field.instances)))
    settings, things = Settings(0.95, 0.6, 1000), field.instances
    a, b = (blind_pairs(field, items, lambda these: diagnose(these, settings), 1)[0][key] for key in "ab")

    def pairs(views: torch.Tensor) -> list[set[int]]:
        seen = dataclasses.replace(field, instances=dataclasses.replace(things, views=views))
        return [{row["a"], row["b"]} for row in blind_pairs(seen, items, lambda these: diagnose(these, settings), 1000)]

    often = torch.full_like(things.views, 9)
    assert {a, b} in pairs(often)
    once = often.clone()
    once[a] = 1
    assert not any(a in pair for pair in pairs(once))
    assert {a, b} in pairs(torch.ones_like(often)), "where nothing was seen more often"
    assert all(min(things.sizes[[*pair]]) >= 64 for pair in pairs(often))
    assert int(things.sizes.min()) < 64


def test_colours_and_shapes_of_things_are_alike_where_they_are(field):
    kind, colours, shapes = kinds(field), colours_of(field), shapes_of(field)
    ball, other, table = (kind.index(k) for k in (0, 1, 3))
    assert float(colours[ball] @ colours[other]) < 0.5
    assert float(shapes[ball] @ shapes[other]) > 0.9
    assert float(shapes[ball] @ shapes[table]) < 0.7
    for vectors in (colours, shapes):
        assert (vectors >= 0).all()
        torch.testing.assert_close(vectors, normalize(vectors, dim=1))
    assert torch.equal(shapes, shapes_of(field))


def test_another_encoder_looks_at_pictures():
    class Brightness:
        name, dim, provenance = "brightness", 2, {}

        def encode_images(self, images):
            return torch.tensor([[float(image.mean()), 1.0] for image in images])

    pictures = [np.full((4, 4, 3), v, np.uint8) for v in (0, 2, 200)]
    said = ((Caption("a"),),) * 3
    found = looks_of(Pairs(said, pictures, None, torch.tensor([0, 0, 2])), Brightness(), 4)
    torch.testing.assert_close(found[0], normalize(torch.tensor([2.0, 2.0]), dim=0))
    assert found[2, 0] > 0.99
    assert (found[[1, 3]] == 0).all()
    with pytest.raises(QueryError):
        looks_of(Pairs(said, None, torch.eye(3)), Brightness(), 4)


def test_vectors_of_other_things_are_refused(field):
    with pytest.raises(QueryError):
        gather_blind(field, torch.eye(2))
