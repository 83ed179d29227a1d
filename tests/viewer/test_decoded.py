"""Decoding once gives what decoding every Gaussian gives."""

import torch
from torch.nn.functional import normalize

from langfield.codec.autoencoder import AutoencoderSettings, fit_autoencoder
from langfield.codec.identity import Identity
from langfield.field.types import Field
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.relevancy import encode_phrases
from langfield.viewer.decoded import STEPS, DecodedCodes
from tests.viewer.scene import DIM, Encoder, balls, made_up_run

PHRASES = encode_phrases(Encoder(), ["red ball", "floor"], DIM)


def test_three_numbers_are_tabled_without_visible_error():
    generator = torch.Generator().manual_seed(0)
    vectors = normalize(torch.randn(200, DIM, generator=generator), dim=1)
    codec = fit_autoencoder(vectors, AutoencoderSettings(encoder=(16,), decoder=(16,), latent=3, epochs=30))
    gaussians, _ = balls(4000, 8000)
    codes = normalize(torch.randn(2, len(gaussians), 3, generator=generator), dim=-1) * 0.7
    codes[:, :50] = 0
    decoded = DecodedCodes(codes, codec)
    ours, slow = decoded.relevancy(PHRASES), gaussian_relevancy(Field(gaussians, codes, codec, {}), PHRASES)
    assert ours.shape == slow.shape
    assert (ours - slow).abs().max() < 0.05
    assert (ours - slow).abs().mean() < 0.01
    assert (ours[:, :, :50] == 0.5).all()
    assert len(decoded) < 2 * len(gaussians)
    assert len(decoded) < 16 * STEPS**2


def test_few_different_codes_are_decoded_once_each():
    field = made_up_run().field
    assert field.codes is not None
    assert field.codec is not None
    decoded = DecodedCodes(field.codes, field.codec)
    assert len(decoded) <= 12
    torch.testing.assert_close(decoded.relevancy(PHRASES), gaussian_relevancy(field, PHRASES), atol=1e-4, rtol=0)


def test_wide_codes_are_taken_as_they_are():
    gaussians, _ = balls(20, 20)
    codec = Identity(32)
    codes = normalize(torch.randn(3, len(gaussians), 32, generator=torch.Generator().manual_seed(1)), dim=-1)
    assert len(DecodedCodes(codes, codec)) == 3 * len(gaussians)
