"""The three losses against sets of pixels, and in words."""

import dataclasses

import numpy as np
import pytest
import torch

from langfield.evaluate.labels import Query, draw_mask
from langfield.evaluate.langsplat2d import score_query
from langfield.evaluate.losses import best_available, explain, find_losses, overlaps
from langfield.evaluate.types import Losses
from tests.blobs import CAMERAS, DIM, blob_ids, blob_vectors
from tests.evaluate.scored import NAMES, blob_subject


def square(x0, y0, x1, y1):
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], dtype=float)


def pixels(mask):
    return {(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)}


def test_overlaps_against_sets():
    rng = np.random.default_rng(0)
    level = rng.integers(-1, 4, size=(3, 9, 11))
    ids = np.where(level >= 0, level + 4 * np.arange(3)[:, None, None], -1).astype(np.int16)
    truth = rng.random((9, 11)) > 0.6
    found = overlaps(ids, 14, truth)
    for i in range(14):
        segment = pixels((ids == i).any(axis=0))
        assert found[i] == pytest.approx(len(segment & pixels(truth)) / len(segment | pixels(truth)))


def test_a_label_of_two_outlines_may_take_two_masks():
    two = Query("a.png", "shoes", (square(1, 1, 4, 4), square(10, 10, 14, 14)))
    ids = np.full((3, 20, 20), -1, np.int16)
    for i, polygon in enumerate(two.polygons):
        ids[0][draw_mask([polygon], 20, 20)] = i
    assert overlaps(ids, 2, draw_mask(two.polygons, 20, 20)).max() < 0.7
    assert best_available(ids, 2, two) == 1.0


def query_of(frame, word):
    ids = blob_ids(CAMERAS[frame])
    ys, xs = np.nonzero(ids[0] == (0 if word == "ball" else 1))
    return Query(frame, word, (square(xs.min(), ys.min(), xs.max(), ys.max()),))


def answer(query, iou):
    maps = np.full((3, 72, 96), 0.5, np.float32)
    return dataclasses.replace(score_query(query, maps), iou=iou)


def test_losses_add_up_and_only_frames_with_features_have_them():
    queries = [query_of(NAMES[1], "ball"), query_of(NAMES[3], "ball")]
    found = find_losses(blob_subject(), queries, [answer(q, 0.25) for q in queries])
    assert [one.frame for one in found] == [NAMES[1]]
    assert found[0].best == found[0].chosen > 0.6
    assert found[0].choice == 0
    assert found[0].segmentation + found[0].choice + found[0].lifting + found[0].answer == pytest.approx(1)


def test_a_text_that_fits_the_wrong_segment_is_a_loss_of_choice():
    subject = blob_subject()
    vectors = blob_vectors(0)[[1, 0, 3, 2, 5, 4]]
    swapped = dataclasses.replace(subject, features=lambda f: (blob_ids(f.camera), vectors))
    query = query_of(NAMES[1], "ball")
    (one,) = find_losses(swapped, [query], [answer(query, 0.0)])
    assert one.chosen == 0
    assert one.choice == one.best > 0.6


def test_no_segments_no_losses():
    subject = blob_subject()
    ids = np.full((3, 72, 96), -1, np.int16)
    empty = dataclasses.replace(subject, features=lambda _: (ids, torch.zeros(0, DIM)))
    query = query_of(NAMES[1], "ball")
    assert find_losses(empty, [query], [answer(query, 0.0)]) == ()


@pytest.mark.parametrize(
    ("best", "chosen", "iou", "said"),
    [
        (0.2, 0.1, 0.05, "no mask covers it: the best one reaches 0.20"),
        (0.9, 0.1, 0.05, "the text chose another segment: 0.10 where 0.90"),
        (0.9, 0.85, 0.05, "lost on the way through 3D: the best-scoring segment has 0.85"),
        (0.9, 0.85, 0.6, "right"),
    ],
)
def test_the_largest_loss_is_named(best, chosen, iou, said):
    query = query_of(NAMES[1], "ball")
    assert explain(answer(query, iou), Losses(query.frame, query.text, best, chosen, iou)).startswith(said)


@pytest.mark.parametrize(
    ("box", "said"),
    [((0, 0, 90, 70), "too large"), ((42, 32, 44, 34), "too small"), ((0, 0, 5, 5), "lies elsewhere"), (None, "empty")],
)
def test_how_an_answer_lies_to_its_label(box, said):
    query = Query("a.png", "mug", (square(40, 30, 60, 45),))
    mask = np.zeros((72, 96), bool) if box is None else draw_mask([square(*box)], 72, 96)
    assert said in explain(dataclasses.replace(answer(query, 0.0), mask=mask), None)
