# pyright: reportOptionalMemberAccess=false, reportOptionalOperand=false, reportOptionalSubscript=false
"""Scatter, top contributors, sparse codes and scores: against each other, the picture, and naive twins."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from langfield.errors import FormatError, LangfieldError, SettingsError
from langfield.raster import (
    Gate,
    Gaussians,
    RasterOptions,
    Screen,
    SegmentWeights,
    gaussian_scores,
    rasterize,
    scatter_segments,
    splat_codes,
    splat_scores,
    to_screen,
    top_contributors,
)
from langfield.raster import ops_contributions as ops
from langfield.raster.contributions import _walk
from langfield.raster.cpu import Tiles
from langfield.raster.dispatch import Backend
from langfield.raster.ops import bin_tiles
from langfield.raster.reference import ALPHA_CUT, Splats
from tests.raster.scenes import camera, gaussians

BACKENDS: list[Backend] = ["reference", "cpu"]
OPEN = Gate(coverage=1.0, floor=0.0)
SIZES = [(40, 24), (16, 16), (17, 33)]


def screens(n: int, seed: int, size: tuple[int, int] = (40, 24), smooth: bool = False) -> list[Screen]:
    options = RasterOptions(smooth_cutoff=smooth)
    return [to_screen(gaussians(n, seed), camera(*size), options, backend) for backend in BACKENDS]


def integers(low: int, high: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


def floats(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def blocks(height: int, width: int, seed: int, levels: int = 1) -> Tensor:
    """Maps [L, H, W] of patches, coarser from level to level, some of them no segment."""
    maps = []
    for level in range(levels):
        side = 5 + 4 * level
        coarse = integers(-1, 6, -(-height // side), -(-width // side), seed=seed + level)
        maps.append(coarse.repeat_interleave(side, 0).repeat_interleave(side, 1)[:height, :width])
    return torch.stack(maps)


def dense(found: SegmentWeights, name: str, segments: int, level: int = 0) -> Tensor:
    """Give the pairs of one level as a matrix [N, segments]."""
    own = found.of_level(level)
    whole = torch.zeros(len(found.total), segments, dtype=own.weight.dtype)
    return whole.index_put((own.gaussian, own.segment.long()), getattr(own, name))


def same(a: SegmentWeights, b: SegmentWeights) -> None:
    """Compare two matrices; pairs at a discontinuity (a contribution of 1/255) may be in one only."""
    top = int(max(a.segment.max(), b.segment.max())) + 1 if len(a.segment) and len(b.segment) else 1
    assert abs(len(a.gaussian) - len(b.gaussian)) <= 1 + 1e-3 * len(a.gaussian)
    for level in range(3):
        for name in ("weight", "weight_all"):
            one, other = (dense(found, name, top, level) for found in (a, b))
            off = (one - other).abs() > 1e-4 * (1 + one.abs())
            assert off.sum() <= 1e-3 * off.numel(), name
    torch.testing.assert_close(a.total, b.total, atol=2 * ALPHA_CUT, rtol=1e-3)


def one_hot(segments: Tensor, many: int) -> Tensor:
    return torch.stack([(segments == s).float() for s in range(many)], -1)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("n", [0, 1, 60, 500])  # 500: several batches a tile
def test_backends_agree(n, smooth, size):
    slow, fast = screens(n, n + 1, size, smooth)
    a, b = (top_contributors(s, 5) for s in (slow, fast))
    torch.testing.assert_close(a[1], b[1], atol=2e-5, rtol=1e-4)
    assert (a[0] != b[0]).float().mean() <= 2e-3
    maps = blocks(size[1], size[0], seed=n, levels=3)
    same(*(scatter_segments(s, maps, Gate(0.7, 0.02)) for s in (slow, fast)))
    index, weight = integers(0, 70, n, 4), floats(n, 4).requires_grad_()
    codes = [splat_codes(s, index, weight, 70) for s in (slow, fast)]
    torch.testing.assert_close(*codes, atol=2e-4, rtol=1e-4)
    upstream = floats(size[1], size[0], 70, seed=5)
    slopes = [torch.autograd.grad((c * upstream).sum(), weight)[0] for c in codes]
    torch.testing.assert_close(*slopes, atol=5e-3, rtol=1e-3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("pairs", range(1, 9))
def test_codes_are_the_picture_of_what_they_stand_for(backend, pairs):
    atoms = (3, 64, 1000, 2100)[pairs % 4]
    scene, cam = gaussians(60, pairs), camera()
    index, weight = integers(0, atoms, 60, pairs, seed=pairs), floats(60, pairs)
    index[:, -1] = index[:, 0]  # an atom that is named twice
    codes = torch.zeros(60, atoms).scatter_add(1, index, weight)
    weight, codes = weight.requires_grad_(), codes.requires_grad_()
    picture = rasterize(scene, cam, codes, backend="cpu").channels
    drawn = splat_codes(to_screen(scene, cam, backend=backend), index.to(torch.int16), weight, atoms)
    torch.testing.assert_close(drawn, picture, atol=2e-5, rtol=1e-4)
    upstream = floats(24, 40, atoms, seed=2)
    (slope,) = torch.autograd.grad((drawn * upstream).sum(), weight)
    (whole,) = torch.autograd.grad((picture * upstream).sum(), codes)
    torch.testing.assert_close(slope, whole.gather(1, index), atol=1e-4, rtol=1e-4)


def test_gradients_of_codes_match_numerical_ones_in_double():
    screen = to_screen(gaussians(8, 3, torch.float64, size=-1.2), camera(8, 8), backend="reference")
    index, weight = integers(0, 3, 8, 2), floats(8, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda w: splat_codes(screen, index, w, 3), (weight,))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("queries", [1, 5, 40])
def test_scores_are_codes_times_tables(backend, queries):
    screen = to_screen(gaussians(60, queries), camera(), backend=backend)
    index, weight, table = integers(0, 20, 60, 3, 4), floats(60, 3, 4), floats(3, 20, queries, seed=1)
    drawn = splat_scores(screen, index, weight, table)
    assert drawn.shape == (24, 40, 3, queries)
    for level in range(3):
        codes = splat_codes(screen, index[:, level], weight[:, level], 20)
        torch.testing.assert_close(drawn[:, :, level], codes @ table[level], atol=1e-4, rtol=1e-4)


def test_scores_of_gaussians_are_dot_products_with_their_codes():
    index, weight, table = integers(0, 7, 5, 2, 3), floats(5, 2, 3), floats(2, 7, 4, seed=1)
    scores = gaussian_scores(index.to(torch.uint8), weight, table)
    for n in range(5):
        for level in range(2):
            naive = sum(weight[n, level, k] * table[level, index[n, level, k]] for k in range(3))
            torch.testing.assert_close(scores[n, level], naive)
    assert gaussian_scores(index[:0], weight[:0], table).shape == (0, 2, 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_top_contributors_make_the_pixel(backend):
    screen = to_screen(gaussians(30, 4), camera(), backend=backend)  # 32 places are enough for all
    ids, weights = top_contributors(screen, 32)
    view = rasterize(gaussians(30, 4), camera(), torch.eye(30), backend="cpu")
    torch.testing.assert_close(weights.sum(-1), view.alpha, atol=1e-5, rtol=1e-5)
    assert (weights.diff(dim=-1) <= 0).all()
    assert ((ids == -1) == (weights == 0)).all()
    taken = view.channels.gather(-1, ids.clamp_min(0).long()) * (ids >= 0)
    torch.testing.assert_close(weights, taken, atol=1e-5, rtol=1e-4)
    few_ids, few = top_contributors(screen, 3)
    assert few_ids.equal(ids[..., :3])
    assert few.equal(weights[..., :3])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("near_first", [True, False])
def test_of_equal_contributors_the_nearer_comes_first(backend, near_first):
    """64 pairs, each on a pixel of its own: opacity 0.25 before about 1/3, so some weights are equal to the bit."""
    ys, xs = torch.meshgrid(torch.arange(8) * 2 + 0.5, torch.arange(8) * 2 + 0.5, indexing="ij")
    behind = 1 / 3 + (torch.arange(64, dtype=torch.float64) - 32) * 2**-25
    means = torch.stack([xs, ys], -1).reshape(64, 2).repeat(2, 1)
    opacities, depths = torch.cat([torch.full((64,), 0.25), behind.float()]), torch.arange(128) + 1.0
    order = torch.arange(128) if near_first else torch.arange(127, -1, -1)
    conics, radii = torch.tensor([[50.0, 0, 50]]).expand(128, 3).contiguous(), torch.ones(128, 2, dtype=torch.int32)
    splats = Splats(means[order], conics, depths[order], opacities[order], torch.zeros(128, 3), radii)
    lists = None
    if backend != "reference":
        start = bin_tiles(splats.means2d, conics, splats.opacities, splats.depths, radii, 16, 16)
        lists = Tiles(start[0], start[1], start[2], start[3], radii)
    ids, weights = top_contributors(Screen(splats, lists, 16, 16, False, backend), 2)
    ids, weights = order[ids[::2, ::2].long()].reshape(64, 2), weights[::2, ::2].reshape(64, 2)
    equal = weights[:, 0] == weights[:, 1]
    assert 0 < equal.sum() < 64
    assert (ids[equal, 0] < 64).all()
    assert (ids[equal, 1] >= 64).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_scatter_is_the_gradient_of_drawing(backend):
    scene, cam, maps = gaussians(80, 2), camera(), blocks(24, 40, 1)
    found = scatter_segments(to_screen(scene, cam, backend=backend), maps[0], OPEN)
    chans = torch.zeros(80, 7).requires_grad_()
    upstream = torch.cat([one_hot(maps[0], 6), torch.ones(24, 40, 1)], -1)
    rasterize(scene, cam, chans, backend="cpu").channels.backward(upstream)
    torch.testing.assert_close(dense(found, "weight_all", 6), chans.grad[:, :6], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.total, chans.grad[:, 6], atol=1e-4, rtol=1e-4)
    assert found.weight.equal(found.weight_all)  # an open gate


@pytest.mark.parametrize("backend", BACKENDS)
def test_segments_and_the_rest_add_up_to_all(backend):
    screen = to_screen(gaussians(80, 5), camera(), backend=backend)
    maps = blocks(24, 40, 3)[0]
    named = dense(scatter_segments(screen, maps), "weight_all", 6)
    rest = scatter_segments(screen, torch.where(maps < 0, 0, -1))
    torch.testing.assert_close(named.sum(1) + dense(rest, "weight_all", 1)[:, 0], rest.total, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_pairs_are_sorted_different_and_of_disjoint_maps_the_union(backend):
    screen = to_screen(gaussians(80, 6), camera(), backend=backend)
    maps = blocks(24, 40, 4)[0]
    far = 2**31 - 2 - maps  # the largest ids there can be
    whole = scatter_segments(screen, torch.stack([maps, torch.where(maps < 0, -1, far)]))
    keys = list(zip(whole.gaussian.tolist(), whole.level.tolist(), whole.segment.tolist(), strict=True))
    assert keys == sorted(set(keys))
    low, high = (scatter_segments(screen, torch.where(part, maps, -1)) for part in (maps < 3, maps >= 3))
    merged = sorted(zip(*(torch.cat([getattr(m, f) for m in (low, high)]).tolist() for f in KEYS), strict=True))
    own = whole.of_level(0)
    assert merged == list(zip(*(getattr(own, f).tolist() for f in KEYS), strict=True))
    mirrored = whole.of_level(1)
    assert mirrored.segment.max() == 2**31 - 2
    torch.testing.assert_close(mirrored.weight.sum(), own.weight.sum())


KEYS = ("gaussian", "segment", "weight", "weight_all")


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_segment_a_pixel_gives_back_every_weight(backend):
    """Also the most pairs there can be: more than the memory that is guessed for them."""
    screen = to_screen(gaussians(31, 9, size=-1.0), camera(), backend=backend)
    maps = torch.arange(24 * 40, dtype=torch.int64).reshape(24, 40)
    found = scatter_segments(screen, maps, OPEN)
    ids, weights = top_contributors(screen, 32)
    drawn = weights > 0
    assert len(found.gaussian) == drawn.sum() > 4096 + 3 * 31 * 6
    pixel = maps[..., None].expand_as(ids)[drawn]
    assert dense(found, "weight_all", 24 * 40)[ids[drawn].long(), pixel].equal(weights[drawn])


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_gate_looks_at_light_left_and_weight(backend):
    """Against a loop over pixels that blends anew what `top_contributors` lists, near to far."""
    gate, scene, cam = Gate(0.6, 0.05), gaussians(30, 7, size=-1.5), camera(20, 18)
    screen = to_screen(scene, cam, backend=backend)
    maps, naive = blocks(18, 20, 2)[0], torch.zeros(30, 6)
    ids, weights = (t.flatten(0, 1).tolist() for t in top_contributors(screen, 32))
    depths = screen.splats.depths.tolist()
    for segment, own_ids, own in zip(maps.flatten().tolist(), ids, weights, strict=True):
        taken = 0.0
        for i, w in sorted(zip(own_ids, own, strict=True), key=lambda pair: depths[pair[0]]):
            if i >= 0 and segment >= 0 and 1 - taken > 1 - gate.coverage and w >= gate.floor:
                naive[i, segment] += w
            taken += w if i >= 0 else 0
    found = scatter_segments(screen, maps, gate)
    torch.testing.assert_close(dense(found, "weight", 6), naive, atol=1e-4, rtol=1e-4)
    assert 0 < (found.weight == 0).sum() < len(found.weight)  # the gate shuts out some


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_wider_gate_never_lets_less_through(backend):
    screen, maps = to_screen(gaussians(80, 8), camera(), backend=backend), blocks(24, 40, 6)
    for gates in ([Gate(c, 0.01) for c in (0.1, 0.3, 0.6, 1.0)], [Gate(0.9, f) for f in (0.3, 0.05, 0.01, 0.0)]):
        rows = [scatter_segments(screen, maps, gate) for gate in gates]
        assert all(r.weight_all.equal(rows[0].weight_all) for r in rows)
        steps = torch.stack([r.weight for r in rows]).diff(dim=0)
        assert (steps >= -1e-6).all()
        assert (steps.sum(1) > 0).all()


@pytest.mark.parametrize("backend", BACKENDS)
def test_levels_walk_together_as_each_alone(backend):
    screen, maps = to_screen(gaussians(80, 1), camera(), backend=backend), blocks(24, 40, 8, levels=3)
    together = scatter_segments(screen, maps)
    for level in range(3):
        alone, own = scatter_segments(screen, maps[level].to(torch.int32)), together.of_level(level)
        assert all(getattr(alone, name).equal(getattr(own, name)) for name in (*KEYS, "total"))


def test_any_number_of_threads_gives_the_same_bits():
    screen = to_screen(gaussians(6000, 4, size=-3.0), camera(150, 100), backend="cpu")
    maps, index, weight = blocks(100, 150, 3, levels=3), integers(0, 64, 6000, 4), floats(6000, 4).requires_grad_()
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            scattered = scatter_segments(screen, maps)
            codes = splat_codes(screen, index, weight, 64)
            slope = torch.autograd.grad((codes * codes.detach()).sum(), weight)
            found.append([*vars(scattered).values(), *top_contributors(screen, 4), codes, *slope])
    finally:
        torch.set_num_threads(before)
    assert all(a.equal(b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_view_answers_with_nothing(backend):
    behind = replace(gaussians(3, 0), means=torch.tensor([[0.0, 0, -5]] * 3))
    for scene in (Gaussians(*(t[:0] for t in gaussians(1, 0).tensors())), behind):
        screen, n = to_screen(scene, camera(33, 17), backend=backend), len(scene)
        found = scatter_segments(screen, torch.zeros(17, 33, dtype=torch.int32))
        assert len(found.gaussian) == 0
        assert found.total.shape == (n,)
        assert not found.total.any()
        ids, weights = top_contributors(screen, 2)
        assert ids.eq(-1).all()
        assert not weights.any()
        index, weight = torch.zeros(n, 2, dtype=torch.int64), torch.ones(n, 2).requires_grad_()
        codes = splat_codes(screen, index, weight, 3)
        assert codes.shape == (17, 33, 3)
        assert not codes.any()
        assert not torch.autograd.grad(codes.sum(), weight)[0].any()
        scores = splat_scores(screen, index[:, None], torch.ones(n, 1, 2), torch.ones(1, 3, 2))
        assert scores.shape == (17, 33, 1, 2)
        assert not scores.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_does_not_fit_is_refused_by_name(backend):
    screen = to_screen(gaussians(4, 0), camera(), backend=backend)
    zeros, ones, table = torch.zeros(4, 2, dtype=torch.int64), torch.ones(4, 2), torch.ones(1, 3, 2)
    far, below = zeros.clone(), zeros.clone()
    far[3, 1], below[2, 0] = 3, -1
    nan = torch.full((4, 2), torch.nan)
    for index, weight in (
        (far, ones), (below, ones), (zeros, nan), (zeros, ones.double()), (zeros[:3], ones), (zeros, ones[:, :1]),
        (ones, ones), (zeros, zeros), (zeros[:, :0], ones[:, :0]), (zeros[0], ones[0]),
    ):  # fmt: skip
        with pytest.raises(FormatError, match=r"index|weight"):
            splat_codes(screen, index, weight, 3)
        with pytest.raises(FormatError, match=r"index|weight|table"):
            splat_scores(screen, index[:, None], weight[:, None], table)
    for bad in (torch.ones(3, 2), torch.ones(2, 3, 2), table * torch.inf, table.double(), torch.ones(1, 3, 0)):
        with pytest.raises(FormatError):
            splat_scores(screen, zeros[:, None], ones[:, None], bad)
    good = torch.zeros(24, 40, dtype=torch.int32)
    odd = [good.T, good.float(), good == 0, good - 2, good.long() + 2**31 - 1, good[None, None], good[None][:0]]
    for maps in (*odd, good.expand(65, 24, 40)):
        with pytest.raises(FormatError, match="segment"):
            scatter_segments(screen, maps)


def test_options_out_of_range_are_refused():
    screen, good = to_screen(gaussians(4, 0), camera()), torch.zeros(24, 40, dtype=torch.int32)
    for gate in (Gate(0.0), Gate(1.1), Gate(floor=-0.1), Gate(floor=1.1), Gate(float("nan"))):
        with pytest.raises(SettingsError, match="coverage"):
            scatter_segments(screen, good, gate)
    for k in (0, 33):
        with pytest.raises(SettingsError, match="k must be"):
            top_contributors(screen, k)
    with pytest.raises(LangfieldError, match="atom"):
        splat_codes(screen, torch.zeros(4, 1, dtype=torch.int64), torch.ones(4, 1), 0)


def test_operators_pass_torchs_own_checks():
    walk = _walk(to_screen(gaussians(20, 8), camera()))
    maps = blocks(24, 40, 0, levels=2).to(torch.int32)
    index, weight = integers(0, 9, 20, 3).to(torch.int32), floats(20, 3).requires_grad_()
    torch.library.opcheck(ops.scatter_segments, (*walk, maps, 0.9, 0.01))
    torch.library.opcheck(ops.top_contributors, (*walk, 3))
    torch.library.opcheck(ops.splat_channels, (*walk, floats(20, 4)))
    torch.library.opcheck(ops.splat_codes, (*walk, index, weight, 9))
    torch.library.opcheck(ops.splat_codes_backward, (*walk, index, floats(24, 40, 9)))


def test_another_default_dtype_changes_nothing():
    scene, cam = gaussians(40, 3), camera()
    segments = torch.arange(cam.height * cam.width).reshape(cam.height, cam.width) % 5
    plain = scatter_segments(to_screen(scene, cam), segments)
    torch.set_default_dtype(torch.float64)
    try:
        other = scatter_segments(to_screen(scene, cam), segments)
    finally:
        torch.set_default_dtype(torch.float32)
    assert other.total.equal(plain.total)
    assert other.weight_all.equal(plain.weight_all)
