"""Levels of detail: moments of the mixture, what is alone untouched, and from afar the same picture."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError
from langfield.field.ellipsoids import axes_of, covariances, quaternions
from langfield.field.lod import Detail, along_curve, merged, pyramid, reach, stand_ins
from langfield.raster import rasterize
from langfield.raster.types import Gaussians
from tests.scattered import scattered, stand


def ordered(seed: int = 0, floor: int = 300, sh: int = 1) -> Detail:
    field = scattered(seed, floor, sh)
    order = along_curve(field.gaussians.means)[1]
    assert field.codes is not None
    return Detail(Gaussians(*(t[order] for t in field.gaussians.tensors())), field.codes[:, order])


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_covariances_and_axes_are_inverse(seed: int):
    dice = torch.Generator().manual_seed(seed)
    quats, scales = torch.randn(30, 4, generator=dice).double(), torch.rand(30, 3, generator=dice).double() + 0.01
    spread = covariances(quats, scales)
    again, found = axes_of(spread)
    torch.testing.assert_close(found, scales.sort(dim=1).values)
    torch.testing.assert_close(covariances(again, found), spread)


def test_quaternions_of_half_turns():
    turns = torch.stack([torch.diag(torch.tensor(d)) for d in ((1.0, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))])
    assert quaternions(turns).abs().tolist() == torch.eye(4).tolist()


def test_runs_become_their_mixture():
    detail = ordered(sh=4)
    g, n = detail.gaussians, len(detail)
    runs = torch.div(torch.arange(n), 5, rounding_mode="floor")
    found = merged(detail, runs)
    alpha = torch.sigmoid(g.logit_opacities.double())
    scales = g.log_scales.double().exp()
    area = (scales[:, 0] * scales[:, 1] + scales[:, 1] * scales[:, 2] + scales[:, 0] * scales[:, 2]) / 3
    for run in (0, 3, int(runs[-1])):
        rows = (runs == run).nonzero()[:, 0]
        w = (alpha * area)[rows] / (alpha * area)[rows].sum()
        mean = sum(w[i] * g.means[r].double() for i, r in enumerate(rows))
        spread = torch.zeros(3, 3).double()
        for i, r in enumerate(rows):
            off = g.means[r].double() - mean
            spread += w[i] * (covariances(g.quats[r : r + 1].double(), scales[r : r + 1])[0] + torch.outer(off, off))
        torch.testing.assert_close(found.gaussians.means[run].double(), mean, atol=1e-5, rtol=1e-5)
        own = covariances(found.gaussians.quats[run : run + 1], found.gaussians.log_scales[run : run + 1].exp())[0]
        torch.testing.assert_close(own.double(), spread, atol=1e-4, rtol=1e-3)
        colour = sum(w[i] * g.sh[r].double() for i, r in enumerate(rows))
        torch.testing.assert_close(found.gaussians.sh[run].double(), colour, atol=1e-5, rtol=1e-5)


def test_what_is_alone_stays_to_the_bit():
    detail = ordered()
    found = merged(detail, torch.arange(len(detail)))
    for a, b in zip(found.gaussians.tensors(), detail.gaussians.tensors(), strict=True):
        assert torch.equal(a, b)
    assert detail.codes is not None
    assert found.codes is not None
    assert torch.equal(found.codes, detail.codes)


def test_codes_are_the_heaviest_ones():
    detail = ordered()
    assert detail.codes is not None
    g = detail.gaussians
    heavy = g.logit_opacities.clone()
    heavy[1::4] = 6.0  # with the largest area too
    scales = g.log_scales.clone()
    scales[1::4] += 2
    found = merged(
        Detail(Gaussians(g.means, g.quats, scales, heavy, g.sh), detail.codes), torch.arange(len(detail)) // 4
    )
    assert found.codes is not None
    assert torch.equal(found.codes[2], detail.codes[2, 1::4])  # all have one there
    runs = detail.codes[0].any(dim=1).unflatten(0, (-1, 4)).any(dim=1)
    assert torch.equal(found.codes[0].any(dim=1), runs)  # where any has one, there is one


def test_each_level_is_much_smaller_and_looks_the_same_from_afar():
    detail = ordered(floor=6000)
    levels = pyramid(detail, fewest=200)
    sizes = [len(detail), *map(len, levels)]
    assert len(levels) >= 2
    assert all(b <= 0.6 * a for a, b in pairwise(sizes))
    camera = stand((10.0, -40.0, 30.0), (10.0, 6.0, 0.0), 48)
    whole = rasterize(detail.gaussians, camera).colour
    assert whole is not None
    errors = []
    for level in levels[:3]:
        drawn = rasterize(level.gaussians, camera).colour
        assert drawn is not None
        errors.append(float((drawn - whole).abs().mean()))
    assert errors[0] < 0.06 * float(whole.abs().mean()) + 0.01
    assert errors[0] <= errors[-1]


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), count=st.integers(0, 200))
def test_cells_of_coarser_grids_follow_each_other_on_the_curve(seed: int, count: int):
    points = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    key, order = along_curve(points)
    for bit in (12, 16, 18, 19):
        cell = (key >> (3 * bit))[order]
        assert len(torch.unique_consecutive(cell)) == len(torch.unique(cell))


def test_the_box_holds_all_and_leaves_out_what_is_not_finite():
    g = ordered().gaussians
    low, high = reach(g)
    assert ((g.means >= low) & (g.means <= high)).all()
    means = g.means.clone()
    means[0] = float("nan")
    assert reach(Gaussians(means, *g.tensors()[1:])).isfinite().all()


@pytest.mark.parametrize("seed", [0, 1])
def test_every_gaussian_has_one_that_stands_for_it_at_each_level(seed: int):
    detail = ordered(seed, floor=2000)
    means, levels = detail.gaussians.means, pyramid(detail, 16)
    assert len(levels) > 3
    for level in levels:
        runs = stand_ins(means, len(level))
        assert runs.unique().tolist() == list(range(len(level)))
        for run, middle in enumerate(level.gaussians.means):  # a mean of means lies among them
            own = means[runs == run]
            assert ((own.amin(0) - 1e-4 <= middle) & (middle <= own.amax(0) + 1e-4)).all()
    with pytest.raises(FormatError, match="not made of"):
        stand_ins(means, len(means) + 1)
