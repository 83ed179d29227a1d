"""4D LangSplat's protocols on balls whose outlines and states are known, and the page with strips of time."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from langfield.capture.types import Frame
from langfield.commands.evaluate import evaluate_protocol
from langfield.errors import FormatError, QueryError
from langfield.evaluate.dynamic_score import overlaps, score_agnostic, score_never, score_timed
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.types import Subject
from langfield.field.at_time import at_time
from langfield.query.event import EventAsker
from langfield.query.relevancy import CANONICALS
from langfield.suite.sentences import MiniLmSentences
from tests.events import SAID, TIMES, TURNS, cameras, captions, event_field, sinking
from tests.suite.conftest import minilm, stored  # noqa: F401
from tests.tiny import draw, tiny_gaussians

EVERY = 4
"""Every fourth time is labelled."""
BOTH = [
    {"text": "shining red ball", "object": "red ball", "kind": "keyword", "intervals": [[0, 7]]},
    {"text": "Show me when the red ball has gone out.", "object": "red ball", "kind": "sentence",
     "intervals": [[8, 19]]},
]  # fmt: skip
NEVER = {"text": "the red ball is folded", "object": "red ball", "kind": "sentence", "intervals": []}


class Axes:
    """Names of balls are axes, other words an axis of their own."""

    name, dim = "axes", 16
    provenance = {"weights": "none"}  # noqa: RUF012

    def encode_texts(self, texts):
        known = [*SAID, *CANONICALS]
        return torch.eye(16)[[known.index(t) if t in known else 15 for t in texts]]


def labels(folder: Path, deformation) -> Path:
    """Write outlines of the balls as they are at each labelled time, and questions."""
    field = event_field(Encoder(), deformation)
    images, rows = [], []
    thing = tiny_gaussians()[1]
    for number, (name, camera) in enumerate(list(cameras().items())[::EVERY]):
        images.append({"id": number, "file_name": name, "width": camera.width, "height": camera.height})
        for at, mask in enumerate(draw(at_time(field, camera.time_s).gaussians, thing, camera)[1].values()):
            outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            shapes = [o.reshape(-1).tolist() for o in outlines if len(o) >= 3]
            if shapes:
                rows.append({"image_id": number, "category_id": at, "segmentation": shapes})
    coco = {
        "images": images, "annotations": rows, "categories": [{"id": i, "name": n} for i, n in enumerate(SAID)]
    }  # fmt: skip
    (folder / "train").mkdir(parents=True)
    (folder / "train" / "_annotations.coco.json").write_text(json.dumps(coco))
    (folder / "queries.json").write_text(json.dumps({"queries": [*BOTH, NEVER]}))
    return folder


class Encoder:
    """Needs no weights: a vector per sentence, for fields whose states are not asked."""

    name, dim = "any", 8
    provenance = {"name": "any"}  # noqa: RUF012

    def encode_texts(self, texts):
        return torch.stack([torch.eye(8)[sum(map(ord, t)) % 8] for t in texts])

    encode_queries = encode_texts


def subject(field, events=None) -> Subject:
    frames = [Frame(name, Path(name), camera) for name, camera in cameras().items()]
    return Subject(field, frames, frozenset(f.name for f in frames), Axes(), lambda frame: None, events)


@pytest.fixture(scope="module")
def asked(minilm, tmp_path_factory) -> tuple[Subject, Path]:  # noqa: F811
    encoder = MiniLmSentences(minilm)
    field = event_field(encoder, sinking())
    asker = EventAsker(field, captions(encoder), encoder)
    return subject(field, lambda: asker), labels(tmp_path_factory.mktemp("annotations"), sinking())


def test_things_are_found_at_every_time_as_they_sink(tmp_path):
    folder = labels(tmp_path / "a", sinking())
    moving = score_agnostic(subject(event_field(Encoder(), sinking())), folder).scores["field"]
    still = score_agnostic(subject(event_field(Encoder())), folder).scores["field"]
    assert [s.text for s in moving] == sorted(SAID)
    assert min(s.iou for s in moving) > 0.8
    assert max(s.iou for s in still) < 0.7  # the same field that does not follow
    assert all(s.values()["mAcc"] > s.iou for s in moving)


def test_times_and_masks_of_states(asked):
    whole, folder = asked
    found = score_timed(whole, folder)
    assert list(found.scores) == ["field", "field, keywords", "field, sentences"]
    for score in found.scores["field"]:
        assert score.values()["Acc"] >= 0.95
        assert score.values()["vIoU"] > 0.75
        assert score.columns()["answered_thing"] == 0
    never = score_never(whole, folder).scores["field"]
    assert [s.values() for s in never] == [{"false active": 0.0, "answered absent": 1.0}]
    assert never[0].iou == 1.0


def test_a_wrong_answer_costs_both(asked, tmp_path):
    whole, folder = asked
    turned = [{**BOTH[0], "intervals": [[TURNS["red ball"], TIMES - 1]]}]
    (tmp_path / "train").symlink_to(folder / "train")
    (tmp_path / "queries.json").write_text(json.dumps({"queries": turned}))
    (score,) = score_timed(whole, tmp_path).scores["field"]
    assert score.values()["Acc"] < 0.1
    assert score.values()["vIoU"] < 0.1


def test_the_page_shows_when(asked, tmp_path):
    whole, folder = asked
    found = evaluate_protocol(PROTOCOLS["4d-langsplat"], whole, folder, tmp_path)
    page = found.report.read_text()
    assert page.count("when the answer holds, and when it is so</figcaption>") == len(BOTH)
    assert (tmp_path / "field" / "queries.csv").read_text().count("\n") == len(BOTH) + 1


def test_what_is_missing_is_said(asked, tmp_path):
    whole, folder = asked
    with pytest.raises(QueryError, match="no states"):
        score_timed(replace(whole, events=None), folder)
    with pytest.raises(FormatError, match="no file of questions"):
        score_timed(whole, tmp_path)
    (tmp_path / "queries.json").write_text(json.dumps({"queries": BOTH}))
    with pytest.raises(FormatError, match="never occurs"):
        score_never(whole, tmp_path)


def test_overlap_of_a_step_is_the_mean_of_its_frames():
    left, right = np.zeros((2, 4), bool), np.zeros((2, 4), bool)
    left[:, :2] = right[:, 1:3] = True
    drawn = {("a", 0): left, ("b", 0): left, ("c", 0): left}
    truth = {("a", "x"): left, ("b", "x"): right, ("c", "y"): left}
    found = overlaps(drawn, truth, (0, "x"), {"a": 0, "b": 0, "c": 1})
    assert found == pytest.approx([2 / 3, 2 / 3])
