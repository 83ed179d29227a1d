"""Blocks: space is shared out without gap or overlap, views go where they look, and merged blocks show no seam."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError, SettingsError
from langfield.field.blocks import (
    BlockSettings,
    block_of,
    cut_space,
    in_picture,
    merge_blocks,
    merge_fields,
    plan_blocks,
)
from langfield.raster import rasterize
from tests.scattered import lanes, scattered, stand


def cloud(count: int, seed: int) -> torch.Tensor:
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(count, 3, generator=dice) * torch.tensor([5.0, 3.0, 0.5])


@settings(deadline=None, max_examples=40)
@given(count=st.integers(1, 300), blocks=st.integers(1, 40), seed=st.integers(0, 99), ties=st.booleans())
def test_every_point_has_one_cell_and_cells_are_even(count: int, blocks: int, seed: int, ties: bool):
    points = cloud(count, seed)
    points = points.round() if ties else points
    if blocks > count:
        with pytest.raises(SettingsError, match="cannot be cut"):
            cut_space(points, blocks)
        return
    cells = cut_space(points, blocks)
    owner = cells.owner(points)
    assert len(cells) == blocks
    assert owner.shape == (count,)
    assert ((owner >= 0) & (owner < blocks)).all()
    boxes = cells.boxes(points.amin(0), points.amax(0))[owner]
    assert ((points >= boxes[:, 0]) & (points <= boxes[:, 1])).all()  # the box is the cell
    if not ties:
        many = torch.bincount(owner, minlength=blocks)
        assert int(many.max()) <= count / blocks + 2 * blocks.bit_length()


@settings(deadline=None, max_examples=20)
@given(blocks=st.integers(1, 30), seed=st.integers(0, 99))
def test_boxes_tile_space(blocks: int, seed: int):
    points = cloud(200, seed)
    low, high = points.amin(0).double(), points.amax(0).double()
    boxes = cut_space(points, blocks).boxes(low, high)
    assert (boxes[:, 1] - boxes[:, 0]).prod(1).sum() == pytest.approx(float((high - low).prod()))
    shuffled = torch.rand(500, 3, generator=torch.Generator().manual_seed(seed)) * (high - low).float() + low.float()
    inside = ((shuffled[:, None] >= boxes[:, 0]) & (shuffled[:, None] < boxes[:, 1])).all(-1)
    assert (inside.sum(1) == 1).all()


def test_what_is_not_finite_is_owned_too():
    points = cloud(100, 1)
    points[3, 0], points[7, 2], points[9] = float("nan"), float("inf"), -float("inf")
    owner = cut_space(points, 8).owner(points)
    assert ((owner >= 0) & (owner < 8)).all()


def test_views_go_to_blocks_they_show_and_none_is_lost():
    points = torch.cat([cloud(300, 2) * 0.1 + torch.tensor([x, 0.0, 0.0]) for x in (-4.0, 0.0, 4.0)])
    cameras = [stand((x, -3.0, 0.0), (x, 0.0, 0.0)) for x in (-4.0, 0.0, 4.0)]
    cells, blocks = plan_blocks(cameras, points, BlockSettings(3, overlap=0.0))
    for i, camera in enumerate(cameras):
        shown = in_picture(camera, points)
        assert shown.sum() > 200
        home = int(cells.owner(points)[shown].mode().values)
        assert i in blocks[home].views
    assert {v for block in blocks for v in block.views} == {0, 1, 2}
    assert sorted(v for block in blocks for v in block.views) == [0, 1, 2]  # nobody else sees it
    away = stand((0.0, -3.0, 0.0), (0.0, -9.0, 0.0))
    with_away = plan_blocks([*cameras, away], points, BlockSettings(3))[1]
    assert {v for block in with_away for v in block.views} == {0, 1, 2, 3}


def test_a_block_begins_with_its_cell_its_margin_and_all_that_its_views_show():
    points = cloud(600, 3)
    cameras = [stand((x, -6.0, 1.0), (x, 0.0, 0.0)) for x in (-5.0, 0.0, 5.0)]
    cells, blocks = plan_blocks(cameras, points, BlockSettings(4, overlap=0.25))
    owner = cells.owner(points)
    for block in blocks:
        mine = torch.zeros(len(points), dtype=torch.bool)
        mine[block.points] = True
        assert mine[owner == block.number].all()
        for row in block.views:
            assert mine[in_picture(cameras[row], points)].all()
        reach = 0.25 * (block.box[1] - block.box[0])
        near = ((points >= block.box[0] - reach) & (points < block.box[1] + reach)).all(1)
        assert mine[near].all()
    wider = plan_blocks(cameras, points, BlockSettings(4, overlap=1.0))[1]
    assert sum(len(b.points) for b in wider) >= sum(len(b.points) for b in blocks)


@settings(deadline=None, max_examples=8)
@given(blocks=st.integers(1, 12), margin=st.sampled_from([0.0, 0.05, 0.5]), seed=st.integers(0, 20))
def test_merged_blocks_of_one_field_are_the_field(blocks: int, margin: float, seed: int):
    field = scattered(seed)
    cells = cut_space(field.gaussians.means, blocks)
    parts = [block_of(field, cells, i, margin) for i in range(blocks)]
    merged = merge_fields(cells, parts)
    assert sorted(merged.gaussians.means.tolist()) == sorted(field.gaussians.means.tolist())
    assert field.codes is not None
    assert merged.codes is not None
    assert merged.codes.sum() == pytest.approx(float(field.codes.sum()), rel=1e-5)
    for camera in (frame.camera for frame in lanes()[::3]):
        whole = rasterize(field.gaussians, camera, channels=field.codes[-1] / 1000)
        put = rasterize(merged.gaussians, camera, channels=merged.codes[-1] / 1000)
        torch.testing.assert_close(put.colour, whole.colour, atol=1e-5, rtol=0)
        torch.testing.assert_close(put.channels, whole.channels, atol=1e-4, rtol=0)


def test_blocks_that_differ_outside_their_cells_change_nothing():
    """What a block learnt about its neighbours' ground is dropped, whatever it is."""
    gaussians = scattered(0).gaussians
    cells = cut_space(gaussians.means, 4)
    owner = cells.owner(gaussians.means)
    spoilt = [
        replace(gaussians, logit_opacities=torch.where(owner == i, gaussians.logit_opacities, 5.0)) for i in range(4)
    ]
    merged = merge_blocks(cells, spoilt)
    order, back = (torch.argsort(m.means[:, 0], stable=True) for m in (gaussians, merged))
    for a, b in zip(gaussians.tensors(), merged.tensors(), strict=True):
        assert torch.equal(a[order], b[back])


def test_parts_that_do_not_belong_together_are_refused():
    field = scattered(0)
    cells = cut_space(field.gaussians.means, 3)
    with pytest.raises(FormatError, match="2 parts do not make 3 blocks"):
        merge_blocks(cells, [field.gaussians] * 2)
    with pytest.raises(FormatError, match="others have none"):
        merge_fields(cells, [field, field, replace(field, codes=None)])
    with pytest.raises(SettingsError, match="overlap"):
        plan_blocks([], field.gaussians.means, BlockSettings(2, overlap=-1))
