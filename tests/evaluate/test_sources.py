"""Field and 2D features scored on the two-blob scene."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from langfield.capture.types import Frame
from langfield.codec import Identity
from langfield.evaluate.labels import Labels, Query
from langfield.evaluate.sources import score_features, score_field, segment_maps
from langfield.field.types import Field
from langfield.query.relevancy import encode_phrases, relevancy
from tests.blobs import CAMERAS, DIM, EACH, WORDS, Words, blob_gaussians, blob_ids, blob_vectors

FRAMES = [Frame(name, Path(name), camera) for name, camera in CAMERAS.items()]


@pytest.fixture(scope="module")
def labels() -> Labels:
    queries = []
    for frame in FRAMES[1:3]:
        for i, word in enumerate(WORDS):
            outline, _ = cv2.findContours((blob_ids(frame.camera)[0] == i).astype(np.uint8), 0, 1)
            queries.append(Query(frame.name, word, (max(outline, key=cv2.contourArea)[:, 0].astype(float),)))
    return Labels(tuple(queries), ())


def test_field_finds_both_blobs(labels):
    codes = torch.eye(DIM)[[0, 1]].repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    scores = score_field(Field(blob_gaussians(), codes, Identity(DIM), {}), FRAMES, labels, Words())
    assert [s.hit for s in scores] == [True] * 4
    assert [s.query for s in scores] == list(labels.queries)
    assert min(s.iou for s in scores) > 0.5


def test_features_alone_find_both_blobs_and_fill_matters(labels):
    def load(frame):
        return blob_ids(frame.camera), blob_vectors(0)

    scores = score_features(load, FRAMES, labels, Words())
    assert [s.hit for s in scores] == [True] * 4
    other = score_features(load, FRAMES, labels, Words(), fill=0.0)
    assert {float(s.relevancy[0, 0]) for s in scores} == {0.5}
    assert {float(s.relevancy[0, 0]) for s in other} == {0.0}


def test_segment_maps_against_a_loop():
    rng = np.random.default_rng(0)
    ids = rng.integers(-1, 6, size=(3, 7, 9)).astype(np.int16)
    phrases = encode_phrases(Words(), list(WORDS), DIM)
    vectors = blob_vectors(0)
    maps = segment_maps(ids, vectors, phrases, 0.25)
    scores = relevancy(vectors, phrases.positives, phrases.canonicals)
    for q in range(2):
        for place in np.ndindex(3, 7, 9):
            wanted = 0.25 if ids[place] < 0 else float(scores[q, ids[place]])
            assert maps[(q, *place)] == pytest.approx(wanted)
