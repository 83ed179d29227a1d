"""The language fit: it finds the codes that were painted, goes on after a kill bit for bit, and paints ids rightly."""

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import FormatError, SettingsError
from langfield.field.language import LanguageFit, LanguageSettings, latent_targets, unit_codes
from tests.blobs import CAMERAS, EACH, blob_gaussians, blob_ids

CODES = normalize(torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [1, 1, 0], [1, 0, -1], [-1, 0, 0.2]]), dim=-1)
SETTINGS = LanguageSettings(steps=24, gather_steps=8)


@pytest.fixture(scope="module")
def views():
    return [(c, *latent_targets(torch.from_numpy(blob_ids(c)), CODES)) for c in CAMERAS.values()]


def run(fit: LanguageFit, views, steps: range) -> list[dict[str, float]]:
    return [fit.step(i, *views[i % len(views)]) for i in steps]


@pytest.mark.parametrize("gather", [0, 8])
def test_each_blob_takes_the_code_painted_on_it(views, gather):
    fit = LanguageFit(blob_gaussians(), 3, 3, LanguageSettings(steps=32, gather_steps=gather, lr=0.04))
    reports = run(fit, views, range(32))
    wanted = CODES.reshape(3, 2, 3).repeat_interleave(EACH, dim=1)  # level, Gaussian
    cosine = (fit.codes * wanted).sum(-1)
    assert cosine.mean() > 0.95
    assert reports[-1]["loss"] < 0.5 * reports[0]["loss"]
    assert reports[-1]["cosine"] > 0.97


def test_gathering_is_the_weighted_sum_of_targets(views):
    """The twin: alpha-blend weights of every Gaussian per pixel from one-hot channels, times targets, summed."""
    from langfield.raster import rasterize

    gaussians = blob_gaussians()
    fit = LanguageFit(gaussians, 3, 3, SETTINGS)
    run(fit, views, range(2))
    sums = torch.zeros(3, len(gaussians), 3)
    for camera, targets, valid in views[:2]:
        weights = rasterize(gaussians, camera, channels=torch.eye(len(gaussians))).channels
        assert weights is not None
        sums += torch.einsum("hwn,hwlc->lnc", weights, targets * valid[..., None])
    torch.testing.assert_close(fit.codes, unit_codes(sums), atol=1e-3, rtol=0)


def test_only_masked_pixels_count(views):
    camera, targets, valid = views[0]
    noise = torch.where(valid[..., None], targets, torch.randn_like(targets))
    one, two = (LanguageFit(blob_gaussians(), 3, 3, SETTINGS) for _ in range(2))
    for i in (0, 8, 9):
        assert one.step(i, camera, targets, valid) == two.step(i, camera, noise, valid)
    assert torch.equal(one.codes, two.codes)


def test_unseen_gaussians_stay_zero(views):
    gaussians = blob_gaussians()
    gaussians.means[3] = torch.tensor([0.0, 0.0, -50.0])
    fit = LanguageFit(gaussians, 3, 3, SETTINGS)
    run(fit, views, range(12))
    assert fit.codes[:, 3].abs().max() == 0
    assert torch.isfinite(fit.codes).all()


@pytest.mark.parametrize("stop", [3, 8, 15])
def test_resuming_equals_never_stopping(views, stop):
    whole = LanguageFit(blob_gaussians(), 3, 3, SETTINGS)
    run(whole, views, range(24))
    first = LanguageFit(blob_gaussians(), 3, 3, SETTINGS)
    run(first, views, range(stop))
    second = LanguageFit(blob_gaussians(), 3, 3, SETTINGS)
    second.load_state(first.state())
    run(second, views, range(stop, 24))
    assert torch.equal(whole.codes, second.codes)
    assert all(torch.equal(a, b) for a, b in zip(whole.state().values(), second.state().values(), strict=True))


def test_state_of_another_shape_is_refused():
    state = LanguageFit(blob_gaussians(), 3, 3, SETTINGS).state()
    with pytest.raises(FormatError, match="does not fit"):
        LanguageFit(blob_gaussians(), 3, 4, SETTINGS).load_state(state)
    with pytest.raises(FormatError, match=r"adam\.exp_avg: missing"):
        LanguageFit(blob_gaussians(), 3, 3, SETTINGS).load_state({k: state[k] for k in ("codes", "adam.step")})


def test_targets_against_a_loop():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(-1, 4, (3, 6, 8), generator=generator).to(torch.int16)
    table = torch.randn(4, 2, generator=generator)
    targets, valid = latent_targets(ids, table, (3, 4))
    for y in range(3):
        for x in range(4):
            for level in range(3):
                row = int(ids[level, 2 * y + 1, 2 * x + 1])  # nearest-exact takes the pixel at the centre
                assert valid[y, x, level] == (row >= 0)
                assert torch.equal(targets[y, x, level], table[row] if row >= 0 else torch.zeros(2))


def test_targets_of_a_frame_without_masks():
    targets, valid = latent_targets(torch.full((3, 4, 5), -1, dtype=torch.int16), torch.zeros(0, 3))
    assert targets.shape == (4, 5, 3, 3)
    assert not valid.any()
    fit = LanguageFit(blob_gaussians(), 3, 3, SETTINGS)
    camera = next(iter(CAMERAS.values())).resized(5, 4)
    assert fit.step(0, camera, targets, valid)["loss"] == 0
    assert fit.step(9, camera, targets, valid)["loss"] == 0
    assert torch.isfinite(fit.codes).all()


def test_ids_beyond_the_table_are_refused():
    with pytest.raises(FormatError, match="segment ids run from 0 to 7"):
        latent_targets(torch.tensor([[[0, 7]]], dtype=torch.int16), torch.zeros(7, 3))
    with pytest.raises(FormatError, match="segment ids run from -2"):
        latent_targets(torch.tensor([[[0, -2]]], dtype=torch.int16), torch.zeros(7, 3))


def test_unit_codes_at_zero_pass_gradients_unscaled():
    codes = torch.zeros(1, 2, 3, requires_grad=True)
    unit_codes(codes).sum().backward()
    assert codes.grad is not None
    assert torch.equal(codes.grad, torch.ones(1, 2, 3))
    some = torch.tensor([[[3.0, 0.0, 4.0]]], dtype=torch.float64, requires_grad=True)
    assert torch.allclose(unit_codes(some), some / 5)
    assert torch.autograd.gradcheck(unit_codes, some)


def test_settings_out_of_range():
    for bad in (LanguageSettings(steps=0), LanguageSettings(lr=0), LanguageSettings(gather_steps=-1)):
        with pytest.raises(SettingsError):
            LanguageFit(blob_gaussians(), 3, 3, bad)
