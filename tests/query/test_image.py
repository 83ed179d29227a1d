"""Maps: chunks change nothing, the filter is LangSplat's, peaks and masks follow their rules."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as hnp

from langfield.codec import Identity
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query import image
from langfield.query.image import cut_mask, find_peak, innermost, majority, mean_filter, relevancy_of_latents
from langfield.query.relevancy import encode_phrases, relevancy
from tests.blobs import DIM, Words, blob_gaussians, look


def test_chunks_change_nothing(monkeypatch):
    latents = torch.randn(2, 5, 7, DIM)
    latents[0, 0] = 0
    phrases = encode_phrases(Words(), ["ball", "cube"], DIM)
    latents[1] *= 0.5 / latents[1].norm(dim=-1, keepdim=True)
    whole = relevancy_of_latents(latents, Identity(DIM), phrases)
    monkeypatch.setattr(image, "CHUNK_FLOATS", 3 * DIM)
    parts = relevancy_of_latents(latents, Identity(DIM), phrases)
    unit = latents / latents.norm(dim=-1, keepdim=True).clamp_min(1e-9)
    torch.testing.assert_close(whole, relevancy(unit, phrases.positives, phrases.canonicals))
    torch.testing.assert_close(whole, parts)
    assert torch.equal(whole[:, 0, 0], torch.full((2, 7), 0.5))


def test_partly_covered_pixels_count_by_direction():
    phrases = encode_phrases(Words(), ["ball"], DIM)
    thin, full = (relevancy_of_latents(s * torch.eye(DIM)[:1], Identity(DIM), phrases) for s in (0.4, 1.0))
    torch.testing.assert_close(thin, full)
    assert relevancy_of_latents(0.2 * torch.eye(DIM)[:1], Identity(DIM), phrases).item() == 0.5


def test_field_without_language_cannot_be_asked():
    with pytest.raises(QueryError, match="no language part"):
        image.render_latents(Field(blob_gaussians(), None, None, {}), look(0.0))


@pytest.mark.parametrize("size", [1, 3, 14])
def test_mean_filter_against_a_loop(size):
    maps = np.random.default_rng(0).random((2, 21, 26)).astype(np.float32)
    found = mean_filter(maps, size)
    mirrored = np.pad(maps, ((0, 0), (size, size), (size, size)), mode="reflect")
    for y, x in ((0, 0), (3, 25), (20, 10), (12, 12)):
        top, left = size + y - size // 2, size + x - size // 2
        wanted = mirrored[:, top : top + size, left : left + size].mean(axis=(1, 2))
        np.testing.assert_allclose(found[:, y, x], wanted, atol=1e-5)
    assert found.shape == maps.shape


def test_mean_filter_is_the_published_one():
    import cv2

    one = np.random.default_rng(1).random((80, 90)).astype(np.float32)
    published = cv2.filter2D(one, -1, np.ones((30, 30)) / 900)
    np.testing.assert_allclose(mean_filter(one[None])[0], published, atol=2e-6)


def test_peak_takes_the_middle_of_a_plateau_and_the_lowest_level():
    maps = np.zeros((3, 20, 30), np.float32)
    maps[1, 4:11, 6:17] = 0.8
    maps[2, 4:11, 6:17] = 0.8 + 1e-7
    peak = find_peak(maps)
    assert (peak.level, peak.y) == (1, 7)
    assert 9 <= peak.x <= 13
    assert peak.score == pytest.approx(0.8)
    noisy = maps + np.random.default_rng(0).uniform(0, 2e-6, maps.shape).astype(np.float32)
    assert (find_peak(noisy).level, find_peak(noisy).x, find_peak(noisy).y) == (peak.level, peak.x, peak.y)


@given(hnp.arrays(bool, (9, 12)))
def test_innermost_lies_inside_and_deepest(mask):
    if not mask.any():
        return
    y, x = innermost(mask)
    assert mask[y, x]
    outside = np.argwhere(~np.pad(mask, 1)) - 1
    depth = [np.sqrt(((outside - p) ** 2).sum(1)).min() for p in np.argwhere(mask)]
    own = np.sqrt(((outside - (y, x)) ** 2).sum(1)).min()
    assert own == pytest.approx(max(depth), abs=1e-3)


def slow_majority(mask):
    """The published loop, as it stands: windows stop short of the last row and column."""
    h, w = mask.shape
    out = np.zeros_like(mask)
    for i in range(h):
        for j in range(w):
            window = mask[max(0, i - 3) : min(i + 4, h - 1), max(0, j - 3) : min(j + 4, w - 1)]
            out[i, j] = 2 * window.sum() > window.size
    return out


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=14)))
def test_majority_against_the_loop(mask):
    np.testing.assert_array_equal(majority(mask), slow_majority(mask))


def test_mask_hand_computed():
    """Values 0.4 to 0.6: cut at 0.7 of the range, 0.54, after averaging raw and filtered."""
    raw = np.full((40, 40), 0.4, np.float32)
    raw[:, 10:] = 0.5
    raw[:, 20:] = 0.545
    raw[:, 30:] = 0.6
    mask = cut_mask(raw, raw)
    assert mask[:, 22:].all()
    assert not mask[:, :18].any()
    darker = raw.copy()
    darker[:, 20:30] = 0.535
    assert not cut_mask(darker, darker)[:, :28].any()


def test_blended_scores_are_expected_relevancies():
    """The twin: one drawing of blend weights, then a sum over Gaussians."""
    from langfield.raster import rasterize

    gaussians = blob_gaussians()
    scores = torch.rand(3, len(gaussians), generator=torch.Generator().manual_seed(0))
    found = image.blend_scores(Field(gaussians, None, None, {}), look(0.1), scores)
    weights = rasterize(gaussians, look(0.1), channels=torch.eye(len(gaussians))).channels
    assert weights is not None
    wanted = torch.einsum("hwn,ln->lhw", weights, scores) + 0.5 * (1 - weights.sum(-1))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    assert float(found[0, 0, 0]) == 0.5
