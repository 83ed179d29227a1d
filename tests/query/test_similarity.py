"""Codes asked without decoding: the same numbers as with vectors in hand; the still view is the moving one."""

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from langfield.codec import AutoencoderSettings, Identity, fit_autoencoder, fit_codebook, fit_pca
from langfield.field.types import Field
from langfield.query.answer import ask
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.image import relevancy_maps, relevancy_view
from langfield.query.relevancy import encode_phrases, relevancy
from langfield.query.similarity import Similarity, StillView
from langfield.raster import rasterize
from tests.blobs import DIM, EACH, Words, blob_gaussians, look

LINEAR = ("codebook", "identity", "pca")


def vectors(n: int) -> torch.Tensor:
    g = torch.Generator().manual_seed(3)
    things = torch.eye(DIM)[[0, 1]].repeat_interleave(EACH, dim=0).repeat(3, 1, 1)
    return normalize(things + 0.1 * torch.randn(3, n, DIM, generator=g), dim=-1)


@pytest.fixture(params=LINEAR)
def field(request: pytest.FixtureRequest) -> Field:
    gaussians = blob_gaussians()
    wanted = vectors(len(gaussians))
    flat = wanted.flatten(0, 1)
    codec = {"identity": lambda: Identity(DIM), "pca": lambda: fit_pca(flat, 3), "codebook": lambda: fit_codebook(flat)}
    codec = codec[request.param]()
    wanted[:, 5] = 0
    return Field(gaussians, codec.encode(wanted.flatten(0, 1)).unflatten(0, wanted.shape[:2]), codec, {})


def test_every_gaussian_scores_as_its_decoded_vector(field: Field):
    phrases = encode_phrases(Words(), ["ball", "cube"], DIM)
    assert field.codes is not None
    assert field.codec is not None
    slow = relevancy(field.codec.decode(field.codes), phrases.positives, phrases.canonicals)
    fast = gaussian_relevancy(field, phrases)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-5)
    assert (fast[:, :, 5] == 0.5).all()
    rows = np.array([7, 5, 90])
    torch.testing.assert_close(gaussian_relevancy(field, phrases, rows), fast[:, :, rows], rtol=0, atol=1e-6)


def test_pixels_get_the_cosine_expected_along_their_ray(field: Field):
    camera, phrases = look(0.0), encode_phrases(Words(), ["ball", "cube"], DIM)
    assert field.codes is not None
    assert field.codec is not None
    both = torch.cat([phrases.positives, phrases.canonicals])
    for level, found in enumerate(relevancy_maps(field, camera, phrases).unbind(1)):
        seen = (field.codes[level] != 0).any(-1).float()
        products = field.codec.decode(field.codes[level]) @ both.T
        drawn = rasterize(
            field.gaussians, camera, torch.cat([products, seen[:, None]], 1), backend="reference"
        ).channels
        assert drawn is not None
        cosine = drawn[..., :-1] / drawn[..., -1:].clamp_min(1e-6)
        expected = torch.sigmoid(10 * (cosine[..., :2] - cosine[..., 2:].amax(-1, keepdim=True))).movedim(-1, 0)
        covered = drawn[..., -1]
        assert (covered > 0.35).any()
        torch.testing.assert_close(found[:, covered > 0.35], expected[:, covered > 0.35], rtol=0, atol=1e-3)
        assert (found[:, covered < 0.25] == 0.5).all()


def test_a_still_view_gives_the_same_maps_and_asks_again(field: Field):
    camera, similarity = look(0.3), Similarity(field)
    still = StillView(field, camera, similarity)
    for texts in (["ball"], ["cube", "ball"]):
        phrases = encode_phrases(Words(), texts, DIM)
        torch.testing.assert_close(still.maps(phrases), relevancy_maps(field, camera, phrases), rtol=0, atol=1e-5)


def test_any_of_several_is_one_row_everywhere(field: Field):
    camera, several = look(0.2), encode_phrases(Words(), ["ball", "cube"], DIM)
    one, still = several.any_of(), StillView(field, camera)
    assert torch.equal(gaussian_relevancy(field, one)[0], gaussian_relevancy(field, several).amax(dim=0))
    best = relevancy_maps(field, camera, several).amax(dim=0)
    for maps in (relevancy_maps(field, camera, one), still.maps(one), still.maps(one)):
        torch.testing.assert_close(maps[0], best, rtol=0, atol=1e-5)


def test_a_still_view_without_memory_draws_every_question(field: Field):
    camera, phrases = look(0.3), encode_phrases(Words(), ["cube", "ball"], DIM)
    drawn = StillView(field, camera, most_bytes=0).maps(phrases)
    assert (drawn == 0.5).any()
    assert drawn.max() > 0.6
    torch.testing.assert_close(StillView(field, camera).maps(phrases), drawn, rtol=0, atol=3e-4)


def test_one_level_and_the_picture(field: Field):
    camera, phrases = look(0.0), encode_phrases(Words(), ["ball"], DIM)
    every, without = relevancy_view(field, camera, phrases)
    one, view = relevancy_view(field, camera, phrases, level=1, colour=True)
    torch.testing.assert_close(one[:, 0], every[:, 1], rtol=0, atol=1e-6)
    assert without.colour is None
    assert view.colour is not None


def test_the_answer_is_the_thing(field: Field):
    answer = ask(field, {"a": look(0.0), "b": look(0.5)}, Words(), "cube")
    assert answer.verdict == "found"
    rows = answer.selection.rows
    assert len(rows) > EACH / 2
    assert (rows >= EACH).mean() > 0.9


def test_codes_that_must_be_decoded_are_refused():
    codec = fit_autoencoder(vectors(2 * EACH)[0], AutoencoderSettings(encoder=(4,), decoder=(4,), latent=2, epochs=1))
    with pytest.raises(ValueError, match="without decoding"):
        Similarity(Field(blob_gaussians(), torch.zeros(3, 2 * EACH, 2), codec, {}))
