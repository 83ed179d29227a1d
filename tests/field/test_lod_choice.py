"""Levels of detail for a camera: what may be seen is there, near things fine, and the budget kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.field.blocks import in_picture
from langfield.field.lod_choice import apart_px, boxes_of, choose_levels, distances, eye_of, in_sight
from langfield.field.shard_index import Part, Shard, ShardIndex
from tests.scattered import stand


def index(side: int = 6, each: int = 1000) -> ShardIndex:
    """A grid of shards of 1 x 1 x 1, each with levels of a quarter."""
    shards = []
    for x in range(side):
        for y in range(side):
            parts = tuple(Part(f"{x}{y}-{k}.safetensors", each // 4**k, 9, "0" * 64) for k in range(4))
            shards.append(Shard((float(x), float(y), 0.0), (x + 1.0, y + 1.0, 1.0), parts))
    return ShardIndex(tuple(shards), None, None, {})


places = st.tuples(st.floats(-5, 11), st.floats(-5, 11), st.floats(0.1, 8))


@settings(deadline=None, max_examples=60)
@given(eye=places, at=places, seed=st.integers(0, 99))
def test_a_box_with_anything_in_the_picture_is_in_sight(eye, at, seed: int):
    if abs(eye[0] - at[0]) + abs(eye[1] - at[1]) < 0.1:
        return
    camera, found = stand(eye, at), index()
    boxes = boxes_of(found)
    points = torch.from_numpy(np.random.default_rng(seed).uniform(boxes[:, None, 0], boxes[:, None, 1], (36, 50, 3)))
    shown = in_picture(camera, points.reshape(-1, 3)).reshape(36, 50).any(dim=1).numpy()
    assert not (shown & ~in_sight(boxes, eye_of(camera))).any()


def test_what_lies_behind_or_aside_is_left_out():
    camera = stand((3.0, -3.0, 0.5), (3.0, -9.0, 0.5))
    assert not in_sight(boxes_of(index()), eye_of(camera)).any()
    ahead = in_sight(boxes_of(index()), eye_of(stand((3.0, 0.5, 0.5), (3.0, 9.0, 0.5))))
    assert 10 < ahead.sum() < 36


@settings(deadline=None, max_examples=30)
@given(eye=places, budget=st.integers(0, 40_000))
def test_the_budget_is_kept_and_used_where_it_is_near(eye, budget: int):
    found = index()
    camera = eye_of(stand(eye, (3.1, 3.2, 0.0), 512))
    levels = choose_levels(found, [camera], budget)
    used = sum(found.shards[i].levels[k].count for i, k in levels.items())
    least = sum(found.shards[i].levels[-1].count for i in levels)
    assert used <= max(budget, least)
    assert set(levels) == set(np.flatnonzero(in_sight(boxes_of(found), camera)).tolist())
    away = distances(boxes_of(found), camera.position)
    for i, own in levels.items():  # of equal shards no nearer one is coarser, by more than the last step's rounding
        for j, other in levels.items():
            assert own <= other + 1 or away[i] >= away[j] - 1e-9


def test_with_room_for_all_near_shards_are_whole_and_far_ones_as_fine_as_pixels():
    found = index()
    near = choose_levels(found, [eye_of(stand((3.0, -1.0, 2.0), (3.0, 3.0, 0.0), 4000))], 10**9)
    assert set(near.values()) == {0}
    far = choose_levels(found, [eye_of(stand((3.0, -300.0, 20.0), (3.0, 3.0, 0.0), 64))], 10**9)
    assert set(far.values()) == {3}


def test_fixed_shards_are_whole_wherever_one_looks():
    found = index()
    levels = choose_levels(found, [eye_of(stand((3.0, -3.0, 0.5), (3.0, -9.0, 0.5)))], 0, frozenset({7}))
    assert levels == {7: 0}
    assert choose_levels(found, [], 10) == {}


def test_levels_lie_twice_as_far_apart_where_there_are_a_quarter():
    shard = index().shards[0]
    assert apart_px(shard, 1, 100.0) == pytest.approx(2 * apart_px(shard, 0, 100.0))
