"""The autoencoder: it separates what differs, repeats itself, goes on after a kill, and refuses what is crafted."""

import dataclasses

import pytest
import torch
from torch.nn.functional import normalize

from langfield.artefacts import read_tensors, write_tensors
from langfield.codec import autoencoder as module
from langfield.codec import fit_autoencoder, load_codec
from langfield.codec.autoencoder import AutoencoderSettings, _Fit
from langfield.errors import FormatError, SettingsError

SMALL = AutoencoderSettings(encoder=(32, 16), decoder=(16, 32), latent=3, epochs=60, batch=16, lr=5e-3)


@pytest.fixture(scope="module")
def vectors() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    centres = normalize(torch.randn(4, 24, generator=generator), dim=-1)
    return normalize(centres.repeat(16, 1) + 0.02 * torch.randn(64, 24, generator=generator), dim=-1)


@pytest.fixture(scope="module")
def fitted(vectors):
    return fit_autoencoder(vectors, SMALL)


def test_four_clusters_come_back_through_three_numbers(fitted, vectors):
    codes = fitted.encode(vectors)
    restored = fitted.decode(codes)
    assert codes.shape == (64, 3)
    torch.testing.assert_close(codes.norm(dim=-1), torch.ones(64))
    torch.testing.assert_close(restored.norm(dim=-1), torch.ones(64))
    assert (restored @ vectors.T).argmax(dim=1).remainder(4).tolist() == [i % 4 for i in range(64)]
    assert fitted.fidelity["mean_cosine"] > 0.97
    assert fitted.fidelity["mean_cosine"] == pytest.approx(float((restored * vectors).sum(-1).mean()), abs=1e-5)


def test_zero_code_gives_zero_vector_and_shapes_are_free(fitted):
    out = fitted.decode(torch.zeros(2, 3, 5, 3))
    assert out.shape == (2, 3, 5, 24)
    assert out.abs().max() == 0


def test_loss_compares_features_not_the_batch(vectors):
    """Turning one wrong row must change the loss by that row's own distance; over the batch axis it would not."""
    fit = _Fit(vectors, SMALL)
    wanted, restored = vectors[:5], normalize(torch.randn(5, 24, generator=torch.Generator().manual_seed(2)), dim=-1)
    fit.network.eval()
    fit.network.decoder = torch.nn.Sequential(_Constant(restored))
    expected = sum(
        1 - float(w @ r) + float((w - r).abs().mean()) * 24**0.5 for w, r in zip(wanted, restored, strict=True)
    )
    assert float(fit._loss(wanted)) == pytest.approx(expected / 5, rel=1e-5)


class _Constant(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = value

    def forward(self, _):
        return self.value


def test_same_seed_same_result_and_other_seed_another(vectors, fitted):
    again = fit_autoencoder(vectors, SMALL)
    assert all(torch.equal(a, b) for a, b in zip(fitted.tensors().values(), again.tensors().values(), strict=True))
    other = fit_autoencoder(vectors, dataclasses.replace(SMALL, seed=1))
    assert not torch.equal(other.encode(vectors), fitted.encode(vectors))


def test_killed_fit_goes_on_to_the_same_result(vectors, fitted, tmp_path, monkeypatch):
    path = tmp_path / "state.safetensors"
    run_epoch = _Fit.run_epoch

    def killed(self, epoch):
        if epoch == 47:
            raise KeyboardInterrupt
        run_epoch(self, epoch)

    monkeypatch.setattr(_Fit, "run_epoch", killed)
    with pytest.raises(KeyboardInterrupt):
        fit_autoencoder(vectors, SMALL, path)
    seen = []
    monkeypatch.setattr(_Fit, "run_epoch", lambda self, epoch: (seen.append(epoch), run_epoch(self, epoch)))
    resumed = fit_autoencoder(vectors, SMALL, path)
    assert seen[0] == 40
    assert all(torch.equal(a, b) for a, b in zip(fitted.tensors().values(), resumed.tensors().values(), strict=True))


def test_state_of_other_vectors_or_a_damaged_one_is_ignored(vectors, fitted, tmp_path):
    path = tmp_path / "state.safetensors"
    fit_autoencoder(vectors.flip(1), SMALL, path)
    assert torch.equal(fit_autoencoder(vectors, SMALL, path).encode(vectors), fitted.encode(vectors))
    path.write_bytes(path.read_bytes()[:1000])
    assert torch.equal(fit_autoencoder(vectors, SMALL, path).encode(vectors), fitted.encode(vectors))


def test_a_last_batch_of_one_never_happens(vectors):
    short = dataclasses.replace(SMALL, epochs=1, batch=3)
    assert fit_autoencoder(vectors[:7], short).width == 3
    assert fit_autoencoder(vectors[:2], short).width == 3


def test_file_round_trip(fitted, vectors, tmp_path):
    write_tensors(tmp_path / "codec.safetensors", fitted.tensors(), fitted.about())
    loaded = load_codec(*read_tensors(tmp_path / "codec.safetensors"))
    assert torch.equal(loaded.encode(vectors), fitted.encode(vectors))
    assert loaded.about() == fitted.about()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "pickle"}, "unknown kind"),
        ({"kind": ["autoencoder"]}, "unknown kind"),
        ({"dim": 10**12}, "not usable"),
        ({"dim": 23}, "shape"),
        ({"settings": {"encoder": [10**9] * 1000}}, "not usable"),
        ({"settings": {"evil": 1}}, "not usable"),
        ({"settings": 7}, "not usable"),
        ({"fidelity": 7}, "not usable"),
    ],
)
def test_crafted_descriptions_are_refused(fitted, change, message):
    with pytest.raises(FormatError, match=message):
        load_codec(fitted.tensors(), {**fitted.about(), **change})


def test_crafted_tensors_are_refused(fitted):
    tensors = fitted.tensors()
    name = next(iter(tensors))
    for bad in (torch.zeros(3), torch.full_like(tensors[name], torch.nan), tensors[name].int(), tensors[name].double()):
        with pytest.raises(FormatError, match="not finite or not"):
            load_codec({**tensors, name: bad}, fitted.about())
    with pytest.raises(FormatError, match="missing or unknown"):
        load_codec({k: v for k, v in tensors.items() if k != name}, fitted.about())


@pytest.mark.parametrize("bad", [{"batch": 1}, {"epochs": 0}, {"lr": 0.0}, {"latent": 0}, {"encoder": (0,)}])
def test_settings_out_of_range(vectors, bad):
    with pytest.raises(SettingsError):
        fit_autoencoder(vectors, dataclasses.replace(SMALL, **bad))


def test_unusable_vectors():
    for bad in (torch.zeros(1, 8), torch.full((4, 8), torch.nan)):
        with pytest.raises(SettingsError, match="two finite vectors"):
            fit_autoencoder(bad, SMALL)


def test_langsplats_sizes_are_a_setting():
    paper = module.AutoencoderSettings(**module.LANGSPLAT_SIZES)
    assert paper.encoder == (256, 128, 64, 32)
    assert paper.decoder == (16, 32, 64, 128, 256, 256)
    assert paper.latent == 3
