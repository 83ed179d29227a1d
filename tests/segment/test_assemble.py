"""Painting masks into id maps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError
from langfield.segment import assemble as room
from langfield.segment.assemble import assemble, boxes_of, clean, from_partitions, mask_of
from langfield.segment.store import check_segments
from langfield.segment.types import LevelMasks


def random_levels(seed: int, counts: tuple[int, int, int] = (5, 3, 2)) -> list[LevelMasks]:
    rng = np.random.default_rng(seed)
    levels = []
    for count in counts:
        masks = np.zeros((count, 14, 17), bool)
        for mask in masks:
            y, x = rng.integers(0, 12), rng.integers(0, 15)
            mask[y : y + rng.integers(1, 12), x : x + rng.integers(1, 14)] = True
        levels.append(LevelMasks(masks, rng.random(count).astype(np.float32)))
    return levels


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.tuples(*[st.integers(0, 6)] * 3))
def test_the_smallest_mask_lies_on_top(seed, counts):
    levels = random_levels(seed, counts)
    segments = assemble(levels)
    check_segments(segments)
    assert segments.levels.tolist() == [i for i, count in enumerate(counts) for _ in range(count)]
    row_of_score = {float(s): i for i, s in enumerate(segments.scores)}
    for number, level in enumerate(levels):
        for y, x in np.ndindex(14, 17):
            here = [i for i in range(len(level.masks)) if level.masks[i, y, x]]
            if not here:
                assert segments.ids[number, y, x] == -1
                continue
            least = min(level.masks[i].sum() for i in here)
            owners = [row_of_score[float(level.scores[i])] for i in here if level.masks[i].sum() == least]
            assert segments.ids[number, y, x] == max(owners)


def test_boxes_are_of_the_whole_mask_and_scores_follow():
    masks = np.zeros((2, 10, 10), bool)
    masks[0, 3:5, 2:6] = True  # small, on top
    masks[1, 1:9, 2:7] = True
    segments = assemble([LevelMasks(masks, np.array([0.7, 0.9], np.float32)), *random_levels(0, (0, 0, 0))[:0]] * 1
                        + [LevelMasks(np.zeros((0, 10, 10), bool), np.zeros(0, np.float32))] * 2)  # fmt: skip
    assert segments.boxes.tolist() == [[2, 1, 7, 9], [2, 3, 6, 5]]
    assert segments.scores.tolist() == [np.float32(0.9), np.float32(0.7)]
    assert (mask_of(segments, 1) == masks[0]).all()
    assert (mask_of(segments, 0) == (masks[1] & ~masks[0])).all()


def test_boxes_by_search():
    masks = np.concatenate([level.masks for level in random_levels(3)])
    for mask, box in zip(masks, boxes_of(masks), strict=True):
        y, x = mask.nonzero()
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_empty_masks_are_left_out():
    empty = LevelMasks(np.zeros((2, 4, 5), bool), np.ones(2, np.float32))
    segments = assemble([empty, empty, empty])
    assert len(segments.levels) == 0
    assert (segments.ids == -1).all()
    assert segments.boxes.shape == (0, 4)


def test_more_masks_than_ids_is_an_error(monkeypatch):
    monkeypatch.setattr(room, "MAX_SEGMENTS", 9)
    with pytest.raises(FormatError, match="10 masks in one picture"):
        assemble(random_levels(0))


def test_partitions_equal_masks():
    rng = np.random.default_rng(0)
    maps = [
        np.unique(rng.integers(0, n, (9, 8)), return_inverse=True)[1].reshape(9, 8).astype(np.int32) for n in (6, 4, 2)
    ]
    segments = from_partitions(maps)
    check_segments(segments)
    for row, level in enumerate(segments.levels):
        mask = mask_of(segments, row)
        first = int((segments.levels < level).sum())
        assert (mask == (maps[level] == row - first)).all()
        assert segments.boxes[row].tolist() == boxes_of(mask[None])[0].tolist()


def test_clean_fills_holes_and_drops_islands():
    mask = np.zeros((30, 30), bool)
    mask[2:20, 2:20] = True
    mask[5:7, 5:7] = False  # a hole of 4
    mask[9:15, 9:15] = False  # a hole of 36
    mask[25:27, 25:27] = True  # an island of 4
    tidy = clean(mask, 10)
    assert tidy[5:7, 5:7].all()
    assert not tidy[9:15, 9:15].any()
    assert not tidy[25:27, 25:27].any()
    assert (clean(mask, 0) == mask).all()


def test_clean_keeps_the_largest_island_however_small():
    mask = np.zeros((20, 20), bool)
    mask[1:3, 1:3] = True
    mask[10:13, 10:13] = True
    assert clean(mask, 100).sum() == 9
