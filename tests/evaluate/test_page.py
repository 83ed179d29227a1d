"""The gallery page: whole in itself, escaped, one card per failure, parts that add up."""

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from langfield.evaluate.labels import Query
from langfield.evaluate.langsplat2d import Score
from langfield.evaluate.page import MAX_FAILURES, MAX_RIGHT, make_page
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.report import summarise
from langfield.evaluate.thumbnails import BOTH, MISSED, TOO_MUCH, draw_three
from langfield.evaluate.types import Look, Losses, Outcome

EVIL = '<script>alert("x")</script>\'&'
BOX = (np.array([[10.0, 10], [20, 10], [20, 20], [10, 20]]),)


def score(iou, text="mug", frame="a.png"):
    mask = np.zeros((48, 64), bool)
    mask[10:21, 10:21] = iou >= 0.5
    return Score(Query(frame, text, BOX), iou >= 0.5, (3, 1), 0.6, 0, iou, 2, mask, np.full((48, 64), 0.55, np.float32))


def page_of(scores, losses=()):
    rules = PROTOCOLS["lerf-ovs-2d"]
    summary = summarise(rules, scores, "field", (EVIL,), losses)
    outcome = Outcome({"field": scores}, losses=tuple(losses))
    return make_page(EVIL, [summary], outcome, lambda _: np.full((48, 64, 3), 90, np.uint8))


class Tags(HTMLParser):
    """Collects tags with their attributes, and checks that what opens closes."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_nothing_from_labels_becomes_markup_and_nothing_is_fetched():
    text = page_of([score(0.1, EVIL, EVIL), score(0.9)], [Losses(EVIL, EVIL, 0.8, 0.1, 0.1)])
    tags = Tags(text)
    assert not tags.open
    assert "script" not in {name for name, _ in tags.tags}
    links = [v for _, attributes in tags.tags for k, v in attributes.items() if k in ("src", "href")]
    assert links
    assert all(v.startswith("data:image/jpeg;base64,") for v in links)
    assert "default-src 'none'" in text


def test_pictures_decode():
    images = re.findall(r"base64,([A-Za-z0-9+/=]+)", page_of([score(0.1)]))
    assert len(images) == 3
    assert {Image.open(io.BytesIO(base64.b64decode(i))).size for i in images} == {(360, 270)}


def test_failures_stand_first_and_are_bounded():
    scores = [score(0.001 * i, f"n{i}") for i in range(MAX_FAILURES + 5)] + [score(0.6 + 0.01 * i) for i in range(9)]
    tags = Tags(page_of(scores)).tags
    kinds = [a["class"] for name, a in tags if name == "article"]
    assert kinds == ["failed"] * MAX_FAILURES + ["right"] * MAX_RIGHT
    assert len([name for name, _ in tags if name == "tr"]) == 2 + 1 + len(scores)


def test_a_gain_through_3d_is_said():
    text = page_of([score(0.9)], [Losses("a.png", "mug", 0.95, 0.4, 0.9)])
    assert "A negative loss is a gain" in text
    assert "<b>-0.500</b> lifting: lost" in text
    assert "<b>+0.900</b> is left" in text


@pytest.mark.parametrize("shape", [(48, 64), (24, 32)])
def test_right_too_much_and_missed_have_their_colours(shape):
    """Whatever the maps' size, the photo's shape decides."""
    answer, truth = np.zeros(shape, bool), np.zeros(shape, bool)
    h, w = shape
    answer[:, : w // 2] = True
    truth[h // 2 :, :] = True
    photo = np.full((480, 640, 3), 128, np.uint8)
    _, _, compared = draw_three(photo, Look(answer, truth, np.full(shape, 0.5, np.float32)))
    grey = 128 * 0.55 * 0.3
    for (y, x), colour in (((230, 90), BOTH), ((40, 90), TOO_MUCH), ((230, 300), MISSED)):
        np.testing.assert_allclose(compared[y, x], np.round(np.array(colour) * 0.7 + grey), atol=1)
    np.testing.assert_allclose(compared[40, 300], round(128 * 0.55), atol=1)
