"""Heads asked of a field: a text is one case; a bias is the same on codes and on decoded vectors."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import AutoencoderSettings, Identity, fit_autoencoder, fit_codebook, fit_pca
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.heads import head_maps, head_of, head_scores, head_things
from langfield.query.image import relevancy_maps
from langfield.query.relevancy import encode_phrases
from langfield.query.things import thing_scores
from langfield.raster import rasterize
from langfield.suite.head import Head
from tests.blobs import DIM, EACH, Words, blob_gaussians, look
from tests.things import DIM as THING_DIM
from tests.things import Axes, things_field

SMALL = AutoencoderSettings(encoder=(8,), latent=3, decoder=(8,), epochs=2)
CODECS = {
    "identity": lambda rows: Identity(DIM),
    "pca": lambda rows: fit_pca(rows, 3),
    "codebook": fit_codebook,
    "autoencoder": lambda rows: fit_autoencoder(rows, SMALL),
}


@pytest.fixture(params=CODECS, scope="module")
def field(request: pytest.FixtureRequest) -> Field:
    gaussians, generator = blob_gaussians(), torch.Generator().manual_seed(3)
    axes = torch.eye(DIM)[[0, 1]].repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    vectors = normalize(axes + 0.1 * torch.randn(axes.shape, generator=generator), dim=-1)
    codec = CODECS[request.param](vectors.flatten(0, 1))
    codes = codec.encode(vectors.flatten(0, 1)).unflatten(0, axes.shape[:2])
    codes[:, 5] = 0
    return Field(gaussians, codes, codec, {})


def taught() -> Head:
    generator = torch.Generator().manual_seed(1)
    rows = (0, 1, 0, -1)
    weight, bias = torch.randn(4, DIM, generator=generator), torch.randn(4, generator=generator)
    return Head(("one", "other"), weight, bias, rows, 2.0, rivals=True)


def test_a_text_is_a_head(field):
    phrases, camera = encode_phrases(Words(), ["ball", "cube"], DIM), look(0.1)
    torch.testing.assert_close(
        head_scores(field, head_of(phrases)), gaussian_relevancy(field, phrases), rtol=0, atol=1e-5
    )
    maps = head_maps(field, camera, head_of(phrases))
    torch.testing.assert_close(maps, relevancy_maps(field, camera, phrases), rtol=0, atol=1e-4)
    either = phrases.any_of()
    torch.testing.assert_close(
        head_scores(field, head_of(either)), gaussian_relevancy(field, either), rtol=0, atol=1e-5
    )


def test_gaussians_score_as_their_decoded_vectors(field):
    assert field.codec is not None
    decoded = field.codec.decode(field.codes)
    found = head_scores(field, taught())
    torch.testing.assert_close(found, taught().relevancy(decoded), rtol=0, atol=1e-4)
    assert (found[:, :, 5] == 0.5).all()
    assert found.std() > 0.01


def test_pixels_get_the_form_expected_along_their_ray(field):
    assert field.codec is not None
    assert field.codes is not None
    if not field.codec.linear:
        pytest.skip("codes of this codec are decoded per pixel")
    head, camera = taught(), look(0.1)
    maps = head_maps(field, camera, head)
    level = 1
    seen = (field.codes[level] != 0).any(-1).float()[:, None]
    forms = (field.codec.decode(field.codes[level]) @ head.weight.T + head.bias) * seen
    drawn = rasterize(field.gaussians, camera, torch.cat([forms, seen], 1), backend="reference").channels
    assert drawn is not None
    expected = drawn[..., :-1] / drawn[..., -1:].clamp_min(1e-6)
    one, other, against = expected[..., [0, 2]].amax(-1), expected[..., 1], expected[..., 3]
    clear = drawn[..., -1] > 0.31
    wanted = torch.sigmoid(2 * (one - torch.maximum(other, against)))
    torch.testing.assert_close(maps[0, level][clear], wanted[clear], rtol=0, atol=1e-3)
    assert (maps[:, level][:, drawn[..., -1] < 0.29] == 0.5).all()


def test_things_score_as_texts_do():
    field = things_field()
    phrases = encode_phrases(Axes(), ["red ball", "table"], THING_DIM)
    torch.testing.assert_close(head_things(field, head_of(phrases)), thing_scores(field, phrases))
    shifted = dataclasses.replace(head_of(phrases), bias=torch.tensor([1.0, *[0.0] * 5]))
    assert (head_things(field, shifted)[0] > head_things(field, head_of(phrases))[0]).all()
    assert np.argmax(head_things(field, shifted)[1]) == np.argmax(thing_scores(field, phrases)[1])


def test_another_width_is_refused(field):
    head = Head(("a",), torch.ones(2, DIM + 1), torch.zeros(2), (0, -1), 1.0)
    with pytest.raises(QueryError, match="width"):
        head_scores(field, head)
