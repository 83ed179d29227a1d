"""Selecting Gaussians: the thing at the anchor, all of it, nothing else."""

import numpy as np
import pytest
import torch

from langfield.codec import Identity
from langfield.field.types import Field
from langfield.query.gaussians import gaussian_relevancy, select_gaussians
from langfield.query.relevancy import encode_phrases
from tests.blobs import CENTRES, DIM, EACH, Words, blob_gaussians


@pytest.fixture(scope="module")
def field() -> Field:
    codes = torch.eye(DIM)[[0, 1]].repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    codes[:, 5] = 0
    return Field(blob_gaussians(), codes, Identity(DIM), {})


def test_relevancy_of_every_gaussian(field):
    scores = gaussian_relevancy(field, encode_phrases(Words(), ["ball", "cube"], DIM))
    assert scores.shape == (2, 3, 2 * EACH)
    assert scores[0, 0, :5].min() > 0.99
    assert float(scores[0, 0, 5]) == 0.5
    assert scores[0, 0, EACH:].max() <= 0.5


def test_selection_is_the_blob(field):
    scores = gaussian_relevancy(field, encode_phrases(Words(), ["cube"], DIM))[0, 1]
    found = select_gaussians(field.gaussians, scores, CENTRES[1].numpy(), float(scores.max()))
    assert set(found.rows.tolist()) <= set(range(EACH, 2 * EACH))
    assert len(found.rows) > 0.9 * EACH
    assert found.box is not None
    assert (found.box[0] < CENTRES[1].numpy()).all()
    assert (found.box[1] > CENTRES[1].numpy()).all()
    assert (found.box[1] - found.box[0] < 0.7).all()


def test_only_the_part_at_the_anchor(field):
    scores = torch.full((2 * EACH,), 0.9)
    scores[:3] = 0.2
    found = select_gaussians(field.gaussians, scores, CENTRES[0].numpy(), 0.9)
    assert found.rows.max() < EACH
    assert 0 not in found.rows


def test_nothing_stands_out(field):
    flat = torch.full((2 * EACH,), 0.5)
    found = select_gaussians(field.gaussians, flat, np.zeros(3), 0.5)
    assert len(found.rows) == 0
    assert found.box is None


def test_transparent_gaussians_are_left_out(field):
    gaussians = blob_gaussians()
    gaussians.logit_opacities[10] = -9.0
    scores = torch.full((2 * EACH,), 0.9)
    scores[-3:] = 0.1
    assert 10 not in select_gaussians(gaussians, scores, CENTRES[0].numpy(), 0.9).rows
