"""Selections drawn alone: nothing hides them, thresholds are strict, what is not selected does not count."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.evaluate.labels import Query
from langfield.evaluate.lerf3d import Score, draw_selection, score_selections, select_by_range
from langfield.query.relevancy import encode_phrases
from langfield.raster import rasterize
from langfield.raster.types import Gaussians
from tests.blobs import CAMERAS, DIM, EACH, WORDS, Words, blob_gaussians, look
from tests.evaluate.scored import blob_field, blob_subject

BALL, CUBE = np.arange(EACH), np.arange(EACH, 2 * EACH)
EVERYWHERE = Query("view_1.png", "ball", (np.array([[0.0, 0], [95, 0], [95, 71], [0, 71]]),))


def test_a_selection_is_drawn_as_if_the_rest_were_not_there():
    camera = CAMERAS["view_1.png"]
    drawn = draw_selection(blob_gaussians(), BALL, camera)
    faint = blob_gaussians()
    opacities = faint.logit_opacities.clone()
    opacities[EACH:] = -30
    twin = rasterize(Gaussians(faint.means, faint.quats, faint.log_scales, opacities, faint.sh), camera).alpha > 0.7
    assert np.array_equal(drawn, twin.numpy())
    assert drawn.any()


def test_what_hides_a_selection_is_taken_away():
    """Seen along the line through both blobs, the one behind is drawn whole."""
    camera = look(np.pi / 2 + 0.1)
    both = draw_selection(blob_gaussians(), np.arange(2 * EACH), camera)
    front, back = draw_selection(blob_gaussians(), BALL, camera), draw_selection(blob_gaussians(), CUBE, camera)
    assert (front & back).any()
    assert (both | front | back == both).all()


def test_nothing_selected_scores_nothing():
    scores = score_selections(blob_subject(), [EVERYWHERE], lambda *_: [np.zeros(0, np.int64)])
    assert (scores[0].iou, scores[0].gaussians) == (0.0, 0)
    assert dict(scores[0].values()) == {"mIoU": 0.0, "Acc@0.25": 0.0, "Acc@0.5": 0.0}


def test_one_selection_per_text_serves_all_frames():
    asked = []

    def select(field, phrases):
        asked.append(phrases.texts)
        return [BALL, CUBE]

    queries = [Query(name, word, EVERYWHERE.polygons) for name in CAMERAS for word in WORDS]
    scores = score_selections(blob_subject(), queries, select)
    assert asked == [WORDS]
    assert [s.gaussians for s in scores] == [EACH] * 8
    for s in scores:
        drawn = draw_selection(blob_gaussians(), BALL if s.text == "ball" else CUBE, CAMERAS[s.frame])
        assert s.iou == pytest.approx(drawn.sum() / drawn.size)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_accuracies_are_strict(iou):
    empty = np.zeros((2, 2), np.float32)
    values = Score(EVERYWHERE, iou, empty > 1, empty, 3).values()
    assert values["Acc@0.25"] == (1.0 if iou > 0.25 else 0.0)
    assert values["Acc@0.5"] == (1.0 if iou > 0.5 else 0.0)
    assert Score(EVERYWHERE, 0.25, empty > 1, empty, 3).values()["Acc@0.25"] == 0.0


def test_the_upper_range_is_the_blob():
    rows = select_by_range(blob_field(), encode_phrases(Words(), list(WORDS), DIM))
    assert np.array_equal(rows[0], BALL)
    assert np.array_equal(rows[1], CUBE)


def test_permuting_gaussians_permutes_the_selection():
    field, phrases = blob_field(), encode_phrases(Words(), list(WORDS), DIM)
    order = torch.randperm(2 * EACH, generator=torch.Generator().manual_seed(1))
    assert field.codes is not None
    turned = type(field)(
        Gaussians(*(t[order] for t in field.gaussians.tensors())), field.codes[:, order], field.codec, {}
    )
    for before, after in zip(select_by_range(field, phrases), select_by_range(turned, phrases), strict=True):
        assert sorted(order[after].tolist()) == before.tolist()
