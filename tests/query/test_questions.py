"""Questions by picture, region and vector: the thing shown, the segment meant, the same as by text."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import Identity
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.questions import (
    Region,
    ask_pictures,
    ask_sights,
    ask_vectors,
    find_segment,
    read_region,
)
from langfield.query.relevancy import encode_phrases
from langfield.segment.types import Segments
from tests.blobs import DIM, EACH, Pictures, Words, blob_gaussians

BLUE = np.full((9, 7, 3), (0, 0, 255), np.uint8)


@pytest.fixture(scope="module")
def field() -> Field:
    shared = torch.zeros(DIM)
    shared[8] = 3
    codes = normalize(torch.eye(DIM)[[0, 1]] + shared, dim=-1).repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    return Field(blob_gaussians(), codes, Identity(DIM), {})


def test_a_picture_finds_what_it_shows(field: Field):
    asked = ask_pictures(field, Pictures(), [BLUE, BLUE[..., ::-1]], ["blue", "red"])
    scores = gaussian_relevancy(field, asked)[:, 0]
    assert (asked.texts, asked.space, asked.encoder["name"]) == (("blue", "red"), "image", "two-colours")
    assert scores[0, EACH:].min() > 0.5 > scores[0, :EACH].max()  # blob 1 is the blue one
    assert scores[1, :EACH].min() > 0.5 > scores[1, EACH:].max()


def test_a_vector_that_is_a_texts_answers_as_the_text(field: Field):
    by_text = encode_phrases(Words(), ["ball", "cube"], DIM, ("things", "gnu"))
    by_vector = ask_vectors(by_text, 7 * Words().encode_texts(["ball", "cube"]), ["a", "b"])
    assert by_vector.texts == ("a", "b")
    assert torch.equal(gaussian_relevancy(field, by_vector), gaussian_relevancy(field, by_text))


@pytest.mark.parametrize("bad", [torch.zeros(1, DIM), torch.ones(1, 3), torch.full((1, DIM), torch.nan), torch.ones(4)])
def test_vectors_that_cannot_be_asked(field: Field, bad: torch.Tensor):
    with pytest.raises(QueryError, match="vector"):
        ask_sights(field, bad, ["x"])
    with pytest.raises(QueryError, match="vector"):
        ask_vectors(encode_phrases(Words(), ["ball"], DIM), bad, ["x"])


def test_pictures_that_cannot_be_asked(field: Field):
    for bad in ([], [BLUE[..., 0]], [BLUE.astype(np.float32)], [BLUE[:0]]):
        with pytest.raises(QueryError, match="picture"):
            ask_pictures(field, Pictures(), bad, ["x"] * len(bad))


def two_levels() -> Segments:
    """Rows 0 and 1 at the finest level, left and right; row 2 over both at the largest; a margin of nothing."""
    ids = np.full((3, 8, 12), -1, np.int16)
    ids[0, 2:6, 1:5], ids[0, 2:6, 6:10] = 0, 1
    ids[2, 2:6, 1:10] = 2
    boxes = np.array([[1, 2, 5, 6], [6, 2, 10, 6], [1, 2, 10, 6]], np.int32)
    return Segments(ids, boxes, np.array([0, 0, 2], np.int16), np.ones(3, np.float32))


@pytest.mark.parametrize(
    ("region", "row"),
    [
        (Region("v", pixel=(7, 3)), 2),
        (Region("v", pixel=(7, 3), level=0), 1),
        (Region("v", box=(0, 2, 5, 6)), 0),
        (Region("v", box=(1, 1, 11, 7)), 2),
        (Region("v", box=(1, 1, 7, 7), level=2), 2),
        (Region("v", segment=1), 1),
    ],
)
def test_the_segment_a_region_means(region: Region, row: int):
    assert find_segment(two_levels(), region) == row


@pytest.mark.parametrize(
    ("region", "message"),
    [
        (Region("v", pixel=(0, 0)), "no segment"),
        (Region("v", pixel=(12, 0)), "outside the view of 12 x 8"),
        (Region("v", pixel=(7, 3), level=1), "no segment"),
        (Region("v", box=(3, 3, 3, 5)), "box is empty"),
        (Region("v", box=(0, 0, 1, 1)), "box is empty"),
        (Region("v", segment=3), "segments 0 to 2"),
        (Region("v"), "region is empty"),
    ],
)
def test_regions_that_mean_nothing(region: Region, message: str):
    with pytest.raises(QueryError, match=message):
        find_segment(two_levels(), region)


def test_regions_are_read_as_they_are_written():
    for region in (Region("a b:c.png", pixel=(3, 4)), Region("v.png", box=(1, 2, 30, 40))):
        assert read_region(str(region)) == region
    for wrong in ("", "v.png", "v.png:1", "v.png:1,2,3", "v.png:a,b", ":1,2", "v.png:-1,2", "v.png:1.5,2"):
        with pytest.raises(QueryError, match="not a region"):
            read_region(wrong)
