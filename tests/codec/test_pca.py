"""Principal axes: nothing lies nearer in so few numbers, codes sum, and crafted files are refused."""

import pytest
import torch
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import Identity, fit_autoencoder, fit_pca, load_codec
from langfield.codec.autoencoder import AutoencoderSettings
from langfield.errors import FormatError, SettingsError


@pytest.fixture(scope="module")
def vectors():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(80, 5, generator=generator) @ torch.randn(5, 20, generator=generator)
    return normalize(3 + spread + 0.1 * torch.randn(80, 20, generator=generator), dim=-1)


def test_no_other_subspace_keeps_more(vectors):
    codec = fit_pca(vectors, 4)
    kept = (vectors @ codec.axes.T).square().sum()
    assert float(kept) == pytest.approx(float(torch.linalg.svdvals(vectors)[:4].square().sum()), rel=1e-5)
    for seed in range(20):
        other = torch.linalg.qr(torch.randn(20, 4, generator=torch.Generator().manual_seed(seed)))[0]
        assert (vectors @ other).square().sum() < kept


def test_all_axes_lose_nothing_and_the_mean_is_the_first(vectors):
    codec = fit_pca(vectors, 20)
    torch.testing.assert_close(codec.decode(codec.encode(vectors)), vectors, atol=1e-5, rtol=0)
    assert abs(float(codec.axes[0] @ normalize(vectors.mean(0), dim=0))) > 0.99
    assert codec.fidelity["recall_at_1"] == 1
    assert (codec.axes.amax(dim=1) == codec.axes.abs().amax(dim=1)).all()  # of two opposite axes always the same


def test_a_sum_of_codes_is_the_code_of_the_sum(vectors):
    codec = fit_pca(vectors, 6)
    measured = vectors @ codec.axes.T
    masses = torch.rand(9, 80)
    torch.testing.assert_close(normalize(masses @ measured, dim=-1), codec.encode(masses @ vectors))


def _tiny(vectors):
    return fit_autoencoder(vectors, AutoencoderSettings(encoder=(16,), decoder=(16,), latent=3, epochs=2))


@pytest.mark.parametrize("make", [lambda v: fit_pca(v, 6), lambda v: Identity(20), _tiny])
def test_inner_is_decoding_and_a_product_for_every_dense_codec(vectors, make):
    codec = make(vectors)
    codes = codec.encode(vectors)[:12].reshape(3, 4, -1).clone()
    codes[0, 0] = 0
    queries = torch.randn(5, 20)
    assert codec.linear == (codec.kind != "autoencoder")
    torch.testing.assert_close(codec.inner(codes, queries), codec.decode(codes) @ queries.T)
    assert codec.inner(codes, queries)[0, 0].abs().max() == 0


def test_file_round_trip(vectors, tmp_path):
    codec = fit_pca(vectors, 6)
    write_tensors(tmp_path / "codec.safetensors", codec.tensors(), codec.about())
    loaded = load_codec(*read_tensors(tmp_path / "codec.safetensors"))
    assert torch.equal(loaded.encode(vectors), codec.encode(vectors))
    assert loaded.about() == codec.about()
    assert torch.equal(fit_pca(vectors, 6).axes, codec.axes)


@pytest.mark.parametrize(
    ("tensors", "about", "message"),
    [
        ({}, {}, "not a pca"),
        ({"more": torch.ones(1)}, {}, "not a pca"),
        ({"axes": torch.eye(3, 20).double()}, {}, "not a pca"),
        ({}, {"fidelity": 3}, "not a pca"),
        ({}, {"dim": 10**9}, "not of shape"),
        ({"axes": torch.ones(3)}, {}, "not of shape"),
        ({"axes": torch.zeros(0, 20)}, {"width": 0}, "not of shape"),
        ({"axes": torch.ones(6, 20)}, {}, "right angles"),
        ({"axes": torch.full((6, 20), torch.nan)}, {}, "right angles"),
    ],
)
def test_crafted_files_are_refused(vectors, tensors, about, message):
    codec = fit_pca(vectors, 6)
    stored = {**codec.tensors(), **tensors} if tensors or about else {}
    with pytest.raises(FormatError, match=message):
        load_codec(stored, {**codec.about(), **about})


@pytest.mark.parametrize("width", [0, 21, True, 2.0])
def test_width_out_of_range(vectors, width):
    with pytest.raises(SettingsError, match="width from 1 to 20"):
        fit_pca(vectors, width)
