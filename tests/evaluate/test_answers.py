"""Answers scored: things and segments where the truth is known."""

import cv2
import numpy as np
import pytest
import torch

from langfield.capture.types import Frame
from langfield.evaluate.answers import score_segments, score_things
from langfield.evaluate.labels import Query
from langfield.evaluate.types import Features, Subject
from tests.things import CAMERAS, NAMES, VIEWS, Axes, id_maps, table_of, things_field
from tests.tiny import tiny_gaussians


def outline(mask: np.ndarray) -> tuple[np.ndarray, ...]:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return tuple(part[:, 0].astype(float) for part in found if len(part) > 2)


@pytest.fixture(scope="module")
def maps() -> list[torch.Tensor]:
    return [id_maps(tiny_gaussians(), view) for view in range(VIEWS)]


@pytest.fixture(scope="module")
def subject(maps, tmp_path_factory) -> Subject:
    folder = tmp_path_factory.mktemp("frames")
    frames = [Frame(name, folder / name, camera, None) for name, camera in CAMERAS.items()]
    tables = {name: (maps[i].numpy(), table_of(i)) for i, name in enumerate(CAMERAS)}

    def features(frame: Frame) -> Features:
        return tables[frame.name]

    return Subject(things_field(), frames, frozenset(CAMERAS), Axes(), features)


def queries(maps: list[torch.Tensor]) -> list[Query]:
    found = []
    for view, frame in enumerate(CAMERAS):
        order = torch.randperm(4, generator=torch.Generator().manual_seed(view))
        truth = [(maps[view][2] == 12 + int(order[i])).numpy() for i in range(3)]
        found += [Query(frame, NAMES[i], outline(truth[i])) for i in range(3)]
    return found


def test_things_answer_what_is_asked(subject, maps):
    scores = score_things(subject, queries(maps))
    assert [(s.frame, s.text) for s in scores] == [(q.frame, q.text) for q in queries(maps)]
    assert all(s.hit for s in scores)
    assert min(s.iou for s in scores) > 0.75
    assert (scores[0].columns()["peak_x"], scores[0].columns()["peak_y"]) == scores[0].sight.peak_px
    assert scores[0].look().truth.any()


def test_a_thing_stands_by_its_name_where_a_view_garbles_it(subject, maps):
    ids, table = subject.features(subject.frames[0])
    garbled = table[torch.randperm(len(table), generator=torch.Generator().manual_seed(2))]
    own = [q for q in queries(maps) if q.frame == subject.frames[0].name]
    assert not all(s.hit for s in score_segments(subject, own, lambda _: (ids, garbled)))
    assert all(s.hit for s in score_things(subject, own))


def test_a_label_that_is_elsewhere_is_a_miss(subject, maps):
    own = [Query(q.frame, "red ball", q.polygons) for q in queries(maps) if q.text == "blue ball"]
    scores = score_things(subject, own)
    assert not any(s.hit for s in scores)
    assert max(s.iou for s in scores) < 0.3
    assert scores[0].values() == {"localisation": 0.0, "mIoU": scores[0].iou}
