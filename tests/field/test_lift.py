"""Sums of views: a commutative group, exact to the last bit, that says what a dense computation would say."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from langfield.errors import FormatError, SettingsError
from langfield.field.lift import (
    MAX_VIEWS,
    STEPS_PER_PX,
    Sums,
    collect,
    column_of,
    empty_sums,
    load_sums,
    look,
    merge,
    pack,
)
from langfield.raster import Gate, Gaussians, rasterize
from tests.raster import scenes

OPEN = Gate(coverage=1.0, floor=0.0)


def same(a: Sums, b: Sums) -> bool:
    return torch.equal(a.key, b.key) and torch.equal(a.steps, b.steps)


def id_maps(seed: int, levels: int = 3, many: int = 5) -> Tensor:
    """Blocks of segments, some pixels without."""
    g = torch.Generator().manual_seed(seed)
    coarse = torch.randint(-1, many, (levels, 6, 10), generator=g)
    return coarse.repeat_interleave(4, 1).repeat_interleave(4, 2).to(torch.int16)


@st.composite
def sums(draw: st.DrawFn) -> Sums:
    """Entries with few different keys, so that sums meet and cancel."""
    entry = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), st.integers(-3, 3), st.integers(-3, 3))
    rows = torch.tensor(draw(st.lists(entry, max_size=12)), dtype=torch.int64).reshape(-1, 5)
    return collect(pack(rows[:, 0], rows[:, 1], rows[:, 2]), rows[:, 3:])


@given(sums(), sums(), sums())
@settings(max_examples=60, deadline=None)
def test_sums_are_a_commutative_group(a: Sums, b: Sums, c: Sums):
    assert same(a + b, b + a)
    assert same((a + b) + c, a + (b + c))
    assert same(a + empty_sums(), a)
    assert same(a - a, empty_sums())
    assert same(a - b + b, a)
    assert same(merge([c, a, b]), a + b + c)


@given(sums())
@settings(max_examples=30, deadline=None)
def test_sums_are_what_a_dictionary_would_hold(a: Sums):
    assert bool((a.key[1:] > a.key[:-1]).all())
    assert bool((a.steps != 0).any(dim=1).all())
    again = collect(pack(a.level, a.gaussian, a.column).flip(0), a.steps.flip(0))
    assert same(again, a)


def test_views_are_added_and_taken_away_in_any_order():
    scene = scenes.gaussians(60, 1)
    views = [look(scene, scenes.camera(angle=0.1 * i), id_maps(i), i) for i in range(4)]
    whole = merge(views)
    assert len(whole) > 300
    assert same(merge(views[:2]) + merge(views[2:]), whole)
    assert same(whole - views[2], merge([views[3], views[0], views[1]]))
    assert same(whole - views[2] + views[2], whole)
    assert same(whole - views[3] - views[0] - views[1] - views[2], empty_sums())


def test_a_view_says_what_a_dense_computation_says():
    scene, cam, ids = scenes.gaussians(40, 3), scenes.camera(), id_maps(5)
    got = look(scene, cam, ids, view=7, gate=OPEN)
    expected = torch.zeros(3, 40, 5)
    for level in range(3):
        for segment in range(5):
            # blending is linear: the gradient of the picture, summed over a segment, by a channel is the weight
            one = torch.ones(40, 1, requires_grad=True)
            drawn = rasterize(scene, cam, one, backend="reference").channels
            assert drawn is not None
            (drawn[..., 0] * (ids[level] == segment)).sum().backward()
            assert one.grad is not None
            expected[level, :, segment] = one.grad[:, 0]
    dense = torch.zeros(3, 40, 5, dtype=torch.float64)
    dense[got.level, got.gaussian, got.column - column_of(7, torch.tensor(0))] = got.weight[:, 1]
    torch.testing.assert_close(dense.float(), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(got.steps[:, 0], got.steps[:, 1])


def flat(depth: float, opacity_logit: float) -> Gaussians:
    """A Gaussian that fills the whole view."""
    one = torch.ones(1)
    size = torch.full((1, 3), 3.0)
    means = torch.tensor([[0.1, -0.2, 0.3 + depth]])
    return Gaussians(means, torch.tensor([[1.0, 0, 0, 0]]), size, opacity_logit * one, torch.zeros(1, 1, 3))


def test_what_lies_behind_is_gated_and_still_counted():
    front, back = flat(2.0, 4.0), flat(4.0, 4.0)  # the front takes 0.98 of the light
    pair = Gaussians(*(torch.cat(t) for t in zip(front.tensors(), back.tensors(), strict=True)))
    ids = torch.zeros(1, 24, 40, dtype=torch.int16)
    got = look(pair, scenes.camera(angle=0.0), ids)
    gated, every = got.weight.T
    assert got.gaussian.tolist() == [0, 1]
    assert gated[0] == every[0] > 0.9 * 24 * 40
    assert gated[1] == 0 < every[1]


def test_files(tmp_path):
    from langfield.artefacts import read_tensors, write_tensors

    first = look(scenes.gaussians(30, 2), scenes.camera(), id_maps(1), 3)
    write_tensors(tmp_path / "sums.safetensors", first.tensors(), {})
    assert same(load_sums(read_tensors(tmp_path / "sums.safetensors")[0]), first)
    good = first.tensors()
    broken = [
        {"key": good["key"]},
        {**good, "more": good["key"]},
        {**good, "key": good["key"].flip(0)},
        {**good, "key": -good["key"].flip(0)},
        {**good, "steps": good["steps"][:-1]},
        {**good, "steps": good["steps"].double()},
        {**good, "key": good["key"].int()},
    ]
    for tensors in broken:
        with pytest.raises(FormatError):
            load_sums(tensors)


def test_what_keys_cannot_hold_is_refused():
    scene, cam, ids = scenes.gaussians(3, 1), scenes.camera(), id_maps(1)
    for view in (-1, MAX_VIEWS):
        with pytest.raises(SettingsError, match="65536 views"):
            look(scene, cam, ids, view)
    with pytest.raises(SettingsError, match="8 levels"):
        look(scene, cam, id_maps(1, levels=9))
    with pytest.raises(FormatError, match="ids end at 32767"):
        look(scenes.gaussians(60, 1), cam, torch.full((1, 24, 40), 2**15, dtype=torch.int32))


def test_keys_hold_their_largest_parts():
    level, gaussian = torch.tensor([7]), torch.tensor([2**29 - 1])
    one = Sums(pack(level, gaussian, column_of(MAX_VIEWS - 1, torch.tensor([2**15 - 1]))), torch.ones(1, 2).long())
    assert (one.level, one.gaussian, one.column) == (level, gaussian, torch.tensor([2**31 - 1]))
    assert one.weight.tolist() == [[1 / STEPS_PER_PX] * 2]
