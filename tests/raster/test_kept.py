"""Weights that are kept give what drawing gives, whatever the picture's size and the number of threads."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from langfield.errors import FormatError
from langfield.raster import (
    KeptWeights,
    RasterOptions,
    Screen,
    blend_kept,
    blend_kept_against,
    blend_kept_relevancy,
    keep_weights,
    splat_channels,
    to_screen,
)
from langfield.raster.measure.bench import threads
from tests.raster.scenes import camera, channels, gaussians

SIZES = [(40, 24), (16, 16), (17, 33), (1, 1), (3, 50)]


def kept_of(screen: Screen) -> KeptWeights:
    found = keep_weights(screen)
    assert found is not None
    return found


def dense(kept: KeptWeights) -> Tensor:
    """Read the lists row by row into [H, W, N], by the order of blocks that the header states."""
    (width, height), whole = kept.size, torch.zeros(kept.size[1] + 16, kept.size[0] + 16, kept.many)
    across = -(-width // 16)
    starts, counts = kept.start.tolist(), kept.count.tolist()
    for block, (start, count) in enumerate(zip(starts, counts, strict=True)):
        tile, p = divmod(block, 32)
        x = tile % across * 16 + (p >> 3 & 1) * 8 + (p & 1) * 4
        y = tile // across * 16 + (p >> 4) * 8 + (p >> 1 & 3) * 2
        for row in range(start, start + count):
            own = kept.weight[row].to(torch.float32).reshape(2, 4) / 65535
            whole[y : y + 2, x : x + 4, kept.gaussian[row]] += own
    assert not whole[height:].any()
    assert not whole[:, width:].any()
    return whole[:height, :width]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("n", [0, 1, 60, 500])
def test_kept_weights_are_those_of_the_reference(n, smooth, size):
    options = RasterOptions(smooth_cutoff=smooth)
    slow, fast = (to_screen(gaussians(n, n + 1), camera(*size), options, b) for b in ("reference", "cpu"))
    wanted = splat_channels(slow, torch.eye(n)) if n else torch.zeros(size[1], size[0], 0)
    off = (dense(kept_of(fast)) - wanted).abs() > 3e-5
    assert off.sum() <= 1e-3 * off.numel()  # contributions of 1/255 may be in one only
    assert (dense(kept_of(fast)) - wanted).abs().sum() <= 1e-2 * (1 + wanted.sum())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("many", [1, 3, 8, 21])
def test_blending_them_is_drawing(many, size):
    screen = to_screen(gaussians(300, 5), camera(*size), backend="cpu")
    chans = channels(300, many, 3)
    drawn = splat_channels(screen, chans).movedim(-1, 0)
    kept = kept_of(screen)
    off = float(kept.count.max()) * 0.5 / 65535 * float(chans.abs().max()) + 1e-6  # were every rounding at its worst
    torch.testing.assert_close(blend_kept(kept, chans), drawn, atol=off, rtol=0)


def test_what_is_compared_and_how_steeply():
    screen, levels = to_screen(gaussians(300, 6), camera(33, 21), backend="cpu"), 3
    kept, asked = kept_of(screen), channels(300, 2 * levels, 1)
    general = torch.cat([channels(300, 4 * levels, 2), torch.rand(300, levels)], 1)
    planes = blend_kept(kept, general).unflatten(0, (5, levels))
    nearest, gain = blend_kept_against(kept, general, levels, (0.3, 10.0))
    assert nearest.equal(planes[:4].amax(0))
    covered = planes[4] > 0.3
    assert 0 < covered.sum() < covered.numel()
    torch.testing.assert_close(gain, torch.where(covered, 10 / planes[4].clamp_min(0.3), 0.0))
    wanted = torch.sigmoid(gain * (blend_kept(kept, asked).unflatten(0, (2, levels)) - nearest)).flatten(0, 1)
    torch.testing.assert_close(blend_kept_relevancy(kept, asked, nearest, gain), wanted, atol=2e-6, rtol=0)


def test_any_number_of_threads_gives_the_same_bits():
    scene, cam, found = gaussians(6000, 4, size=-3.0), camera(150, 100), []
    general, asked = channels(6000, 10, 2), channels(6000, 2, 1)
    for many in (1, 2, 5):
        with threads(many):
            kept = kept_of(to_screen(scene, cam, backend="cpu"))
            nearest, gain = blend_kept_against(kept, general, 2, (0.3, 10.0))
            found.append([nearest, gain, blend_kept(kept, general), blend_kept_relevancy(kept, asked, nearest, gain)])
            assert kept.nbytes == 20 * len(kept.gaussian)
    assert all(a.equal(b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_too_much_memory_and_views_that_are_not_compiled_are_not_kept():
    screen = to_screen(gaussians(300, 5), camera(), backend="cpu")
    whole = kept_of(screen).nbytes
    assert keep_weights(screen, whole) is not None
    assert keep_weights(screen, whole - 1) is None
    assert keep_weights(screen, 0) is None
    assert keep_weights(to_screen(gaussians(3, 5), camera(), backend="reference")) is None


def test_what_does_not_fit_is_refused():
    kept, plane = kept_of(to_screen(gaussians(30, 5), camera(), backend="cpu")), torch.zeros(2, 24, 40)
    good = torch.zeros(30, 4)
    for bad in (good[:29], good[0], good[:, :0], good.double()):
        with pytest.raises(FormatError, match="channels"):
            blend_kept(kept, bad)
        with pytest.raises(FormatError, match="channels"):
            blend_kept_against(kept, bad, 2, (0.3, 10.0))
    for levels in (0, 3, 4):
        with pytest.raises(FormatError, match="levels"):
            blend_kept_against(kept, good, levels, (0.3, 10.0))
    for bad in (plane[:0], plane[:, :23], plane.double()):
        with pytest.raises(FormatError, match="nearest"):
            blend_kept_relevancy(kept, good, bad, plane)
    with pytest.raises(FormatError, match="levels"):
        blend_kept_relevancy(kept, good[:, :3], plane, plane)


def test_a_kept_view_needs_no_screen():
    screen = to_screen(gaussians(30, 5), camera(), backend="cpu")
    kept, chans = kept_of(screen), channels(30, 2, 1)
    before = blend_kept(kept, chans)
    other = kept_of(replace(screen, smooth=True))
    assert blend_kept(kept, chans).equal(before)
    assert not blend_kept(other, chans).equal(before)
