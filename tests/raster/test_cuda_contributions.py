"""The CUDA kernels of scatter, top contributors and codes, run by the emulator, against those of the CPU."""

import functools

import pytest
import torch
from torch import Tensor

from langfield.raster import (
    Gate,
    RasterOptions,
    Screen,
    SegmentWeights,
    gaussian_scores,
    scatter_segments,
    to_screen,
    top_contributors,
)
from langfield.raster import cpu_contributions as cpu
from langfield.raster import cuda_contributions as cuda
from langfield.raster.cuda import pack
from langfield.raster.screen import splats_of
from tests.raster.emulated.emulated import EmulatedLauncher
from tests.raster.scenes import camera, gaussians
from tests.raster.test_contributions import KEYS, OPEN, blocks, dense, floats, integers, same

emulator = functools.cache(EmulatedLauncher)


def scene(n: int, size: tuple[int, int] = (40, 24), smooth: bool = False) -> tuple[Screen, cpu.Walk, cpu.Walk]:
    """Give a screen, and its walks as the CPU's kernels and as the CUDA kernels read it."""
    screen = to_screen(gaussians(n, n), camera(*size), RasterOptions(smooth_cutoff=smooth), "cpu")
    assert screen.tiles is not None
    packed = pack(emulator(), [t.contiguous() for t in splats_of(screen)])
    own, theirs = (cpu.Walk(one, screen.tiles, size, smooth) for one in (screen.packed, packed))
    return screen, own, theirs


def scattered(walk: cpu.Walk, maps: Tensor, gate: Gate, seed: int = 0) -> SegmentWeights:
    maps = maps.to(torch.int32).reshape(-1, *maps.shape[-2:])
    return SegmentWeights(*cuda.scatter(emulator(seed=seed), walk, maps, (gate.coverage, gate.floor)))


SCENES = [(0, (17, 33), False), (1, (16, 16), False), (60, (40, 24), True), (500, (17, 33), False)]


@pytest.mark.parametrize(("n", "size", "smooth"), SCENES)
def test_agrees_with_the_cpu(n, size, smooth):
    screen, own, walk = scene(n, size, smooth)
    ids, weights = cuda.top(emulator(), walk, 5)
    torch.testing.assert_close(weights, top_contributors(screen, 5)[1], atol=2e-5, rtol=1e-4)
    assert (ids != top_contributors(screen, 5)[0]).float().mean() <= 2e-3
    maps = blocks(size[1], size[0], seed=n, levels=3)
    same(scattered(walk, maps, Gate(0.7, 0.02)), scatter_segments(screen, maps, Gate(0.7, 0.02)))
    index, weight = integers(0, 70, n, 4).to(torch.int32), floats(n, 4)
    codes = cuda.splat_codes(emulator(), walk, index, weight, 70)
    torch.testing.assert_close(codes, cpu.splat_codes(own, index, weight, 70), atol=2e-4, rtol=1e-4)
    slopes = [cuda.splat_codes_backward(emulator(), walk, index, codes), cpu.splat_codes_backward(own, index, codes)]
    torch.testing.assert_close(*slopes, atol=5e-3, rtol=1e-3)
    channels = floats(n, 15)
    drawn = cuda.splat_channels(emulator(), walk, channels)
    torch.testing.assert_close(drawn, cpu.splat_channels(own, channels), atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("k", [1, 4, 8, 11, 32])
def test_every_width_of_top_gives_the_head_of_the_whole_list(k):
    screen, _, walk = scene(30)
    ids, weights = cuda.top(emulator(), walk, k)
    wanted = top_contributors(screen, 32)
    assert ids.equal(wanted[0][..., :k])
    torch.testing.assert_close(weights, wanted[1][..., :k], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("atoms", [3, 64, 1000])
def test_atoms_are_worked_in_chunks_without_a_seam(atoms):
    _, own, walk = scene(20, (20, 17))
    index, weight = integers(0, atoms, 20, 7).to(torch.int32), floats(20, 7)
    drawn = cuda.splat_codes(emulator(), walk, index, weight, atoms)
    torch.testing.assert_close(drawn, cpu.splat_codes(own, index, weight, atoms), atol=1e-5, rtol=1e-4)


def test_a_segment_a_pixel_at_six_levels_fills_tables_and_memory_more_than_once():
    """1024 segments in a tile, so two Gaussians a batch; two walks over the view; more records than were guessed."""
    screen, _, walk = scene(31)
    maps = torch.arange(24 * 40).reshape(24, 40).expand(6, 24, 40) + torch.arange(6)[:, None, None] * 7
    fast, slow = scattered(walk, maps, OPEN), scatter_segments(screen, maps, OPEN)
    assert (fast.level < cuda.LEVELS).sum() > 4096 + 2 * cuda.LEVELS * len(walk.tiles.gaussian)
    assert all(getattr(fast, key).equal(getattr(slow, key)) for key in ("gaussian", "level", "segment"))
    for name in ("weight", "weight_all", "total"):
        torch.testing.assert_close(getattr(fast, name), getattr(slow, name), atol=1e-5, rtol=1e-4)


def test_threads_in_any_order_give_the_same():
    _, _, walk = scene(60)
    maps = blocks(24, 40, seed=3, levels=2)
    one, other = (scattered(walk, maps, Gate(), seed) for seed in (0, 5))
    assert all(getattr(one, key).equal(getattr(other, key)) for key in KEYS[:2])
    for level in range(2):
        for name in KEYS[2:]:
            torch.testing.assert_close(dense(one, name, 6, level), dense(other, name, 6, level), atol=1e-5, rtol=1e-5)
    index, upstream = integers(0, 9, 60, 3).to(torch.int32), floats(24, 40, 9)
    slopes = [cuda.splat_codes_backward(emulator(seed=seed), walk, index, upstream) for seed in (0, 5)]
    torch.testing.assert_close(*slopes, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("n", "queries"), [(0, 1), (700, 1), (301, 5)])
def test_looked_up_scores_are_those_of_the_cpu(n, queries):
    index, weight, table = integers(0, 9, n, 3, 4).to(torch.int32), floats(n, 3, 4), floats(3, 9, queries)
    found, wrong = cuda.look_up_scores(emulator(), index, weight, table)
    torch.testing.assert_close(found, gaussian_scores(index, weight, table), atol=1e-5, rtol=1e-5)
    assert int(wrong) == 0


@pytest.mark.parametrize(("row", "fault"), [(0, 1), (299, 2)])
def test_wrong_codes_are_noticed_and_read_nothing_outside_the_table(row, fault):
    index, weight, table = integers(0, 9, 100, 3, 4).to(torch.int32), floats(100, 3, 4), floats(3, 9, 2)
    if fault == 1:
        index.view(-1, 4)[row, 2], index.view(-1, 4)[row, 3] = 9, -1
    else:
        weight.view(-1, 4)[row, 1] = torch.nan
    found, wrong = cuda.look_up_scores(EmulatedLauncher(checked=True), index, weight, table)
    assert int(wrong) == fault
    assert bool(found.isfinite().all()) == (fault == 1)
