"""A scene's things as a corpus: pictures cut from the right place of the right view, with vectors and names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.query.gather_pairs import PairSettings, Shot, chosen, label_things, pairs_from_scene
from langfield.query.heads import ask_head, head_of
from langfield.query.relevancy import encode_phrases
from langfield.segment.types import Segments
from langfield.suite.corpus import Caption
from tests.things import DIM, NAMES, VIEWS, Axes, id_maps, table_of, things_camera, things_field
from tests.tiny import draw, tiny_gaussians


@pytest.fixture(scope="module")
def field():
    return things_field()


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory) -> list[Shot]:
    folder, scene = tmp_path_factory.mktemp("shots"), tiny_gaussians()
    return [_shot(folder, scene, view) for view in range(VIEWS)]


def _shot(folder: Path, scene, view: int) -> Shot:
    path = folder / f"{view}.png"
    Image.fromarray(draw(scene[0], scene[1], things_camera(view))[0]).save(path)
    ids = id_maps(scene, view).numpy()
    levels, boxes = np.repeat([0, 1, 2], [8, 4, 4]).astype(np.int16), np.zeros((16, 4), np.int32)
    for row, level in enumerate(levels):
        y, x = np.nonzero(ids[level] == row)
        boxes[row] = (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else (0, 0, 1, 1)
    return Shot(path, lambda: (Segments(ids, boxes, levels, np.ones(16, np.float32)), table_of(view)))


def names_of(field) -> dict[int, tuple[Caption, ...]]:
    return label_things(field, encode_phrases(Axes(), NAMES, DIM))


def test_things_get_the_name_that_fits_best(field):
    said = names_of(field)
    truth = field.instances.vectors.float().argmax(dim=1).tolist()
    assert {i: caption.text for i, (caption,) in said.items()} == {i: NAMES[row] for i, row in enumerate(truth)}
    assert all(caption.source == "axes" for (caption,) in said.values())
    head = head_of(encode_phrases(Axes(), NAMES, DIM))
    assert {i: c.text for i, (c,) in label_things(field, ask_head(head, DIM)).items()} == {
        i: c.text for i, (c,) in said.items()
    }
    assert label_things(field, encode_phrases(Axes(), ["gnu"], DIM), 0.6) == {}


def test_pictures_show_their_thing(field, shots):
    pairs = pairs_from_scene(field, shots, names_of(field))
    assert pairs.pictures is not None
    assert pairs.vectors is not None
    colours = {"red ball": 0, "green ball": 1, "blue ball": 2}
    for row, picture in enumerate(pairs.pictures):
        name = pairs.captions[row][0].text
        assert int(pairs.vectors[row].argmax()) == NAMES.index(name)
        if name in colours:
            shown = picture[picture.sum(axis=-1) > 30].mean(axis=0)
            assert int(shown.argmax()) == colours[name], (row, name, shown)
    torch.testing.assert_close(pairs.vectors, normalize(pairs.vectors, dim=1))
    assert pairs.instances is not None
    assert (pairs.instances.diff() >= 0).all()


def test_views_are_few_and_spread_and_context_keeps_what_is_around(field, shots):
    said = names_of(field)
    few = pairs_from_scene(field, shots, said, PairSettings(views=2, context=True))
    assert few.instances is not None
    assert few.pictures is not None
    assert torch.bincount(few.instances).max() == 2
    masked = pairs_from_scene(field, shots, said, PairSettings(views=2)).pictures
    assert masked is not None
    ball = next(row for row, (caption,) in enumerate(few.captions) if caption.text == "red ball")
    assert (few.pictures[ball] > 0).mean() > (masked[ball] > 0).mean() + 0.1


def test_some_rows_of_a_corpus(field, shots):
    pairs = pairs_from_scene(field, shots, names_of(field))
    some = chosen(pairs, torch.tensor([3, 0]))
    assert some.captions == (pairs.captions[3], pairs.captions[0])
    assert some.pictures is not None
    assert pairs.pictures is not None
    assert np.array_equal(some.pictures[0], pairs.pictures[3])


def test_views_without_features_are_left_out(field, shots):
    said = names_of(field)
    some = pairs_from_scene(field, [shots[0], None, shots[2]], said)
    assert 0 < len(some) < len(pairs_from_scene(field, shots, said))
    for shots_, captions in (([None] * VIEWS, said), (shots, {99: (Caption("x"),)}), (shots, {})):
        with pytest.raises(QueryError):
            pairs_from_scene(field, shots_, captions)
