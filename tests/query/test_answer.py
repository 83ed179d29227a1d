"""From embeddings to an answer: encode, fit, ask; the right blob in the picture and in space."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra import numpy as hnp

from langfield.codec import AutoencoderSettings, fit_autoencoder
from langfield.errors import QueryError
from langfield.field.language import LanguageFit, LanguageSettings, latent_targets
from langfield.field.types import Field
from langfield.query.answer import Answer, AskSettings, ask, run_lengths
from tests.blobs import CAMERAS, CENTRES, EACH, Words, blob_gaussians, blob_ids, blob_vectors

SMALL = AutoencoderSettings(encoder=(32, 16), decoder=(16, 32), latent=3, epochs=60, batch=8, lr=5e-3)


@pytest.fixture(scope="module")
def field() -> Field:
    tables = [blob_vectors(i) for i in range(len(CAMERAS))]
    codec = fit_autoencoder(torch.cat(tables), SMALL)
    fit = LanguageFit(blob_gaussians(), 3, 3, LanguageSettings(steps=12, gather_steps=8))
    views = [
        (camera, *latent_targets(torch.from_numpy(blob_ids(camera)), codec.encode(table)))
        for camera, table in zip(CAMERAS.values(), tables, strict=True)
    ]
    for step in range(12):
        fit.step(step, *views[step % 4])
    return Field(blob_gaussians(), fit.codes, codec, {"image_encoder": "made up"})


@pytest.fixture(scope="module")
def answers(field) -> dict[str, Answer]:
    return {text: ask(field, CAMERAS, Words(), text) for text in ("ball", "cube", "gnu", "things")}


@pytest.mark.parametrize(("text", "blob"), [("ball", 0), ("cube", 1)])
def test_the_right_blob_is_found(answers, text, blob):
    answer = answers[text]
    assert answer.verdict == "found"
    assert answer.score > 0.6
    assert answer.presence > 0.9
    ids = blob_ids(CAMERAS[answer.view])
    assert ids[0, answer.peak_px[1], answer.peak_px[0]] == blob
    seen = ids[0] == blob
    assert (answer.mask & seen).sum() / (answer.mask | seen).sum() > 0.5
    assert answer.position is not None
    assert np.linalg.norm(np.array(answer.position) - CENTRES[blob].numpy()) < 0.4
    rows = answer.selection.rows
    assert len(rows) > 0.8 * EACH
    assert ((rows // EACH) == blob).all()


def test_boxes_hold_mask_and_selection(answers):
    answer = answers["cube"]
    assert answer.box_px is not None
    x0, y0, x1, y1 = answer.box_px
    inside = answer.mask[y0:y1, x0:x1]
    assert inside.sum() == answer.mask.sum()
    assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()  # noqa: PT018
    assert answer.selection.box is not None
    assert (answer.selection.box[0] < CENTRES[1].numpy()).all()
    assert (answer.selection.box[1] > CENTRES[1].numpy()).all()


def test_what_is_not_there_is_not_claimed(answers):
    assert answers["gnu"].verdict != "found"
    answer = answers["things"]
    assert (answer.verdict, answer.presence) == ("not in this scene", 0)
    assert "object, things, stuff, texture" in answer.note


def test_answer_is_json(answers):
    data = json.loads(json.dumps(answers["ball"].data()))
    assert data["view"] in CAMERAS
    assert data["encoders"]["image"] == "made up"
    assert data["encoders"]["text"]["name"] == "two-words"
    assert data["gaussians"] == len(answers["ball"].selection.rows)
    counts = data["mask"]["counts"]
    values = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    height, width = data["mask"]["size"]
    np.testing.assert_array_equal(values.reshape(width, height).T, answers["ball"].mask)


def test_searching_small_answers_large(field):
    answer = ask(field, CAMERAS, Words(), "cube", AskSettings(max_views=2, search_side_px=48))
    assert answer.mask.shape == (72, 96)
    assert answer.view in {"view_0.png", "view_3.png"}
    assert blob_ids(CAMERAS[answer.view])[0, answer.peak_px[1], answer.peak_px[0]] == 1


def test_questions_that_cannot_be_answered(field):
    with pytest.raises(QueryError, match="no view"):
        ask(field, {}, Words(), "ball")
    with pytest.raises(QueryError, match="empty"):
        ask(field, CAMERAS, Words(), " ")
    with pytest.raises(QueryError, match="no language part"):
        ask(Field(blob_gaussians(), None, None, {}), CAMERAS, Words(), "ball")


@given(hnp.arrays(bool, (4, 5)))
def test_run_lengths_come_back(mask):
    coded = run_lengths(mask)
    values = np.repeat(np.arange(len(coded["counts"])) % 2 == 1, coded["counts"])
    np.testing.assert_array_equal(values.reshape(5, 4).T, mask)
