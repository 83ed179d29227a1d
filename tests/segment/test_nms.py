"""Mask NMS on arrays against a naive twin that walks over pairs of pixels' sets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.segment.nms import MaskNms, mask_nms, overlaps


def naive(masks: torch.Tensor, scores: torch.Tensor, rule: MaskNms) -> list[int]:
    """LangSplat's rule told pair by pair on sets of pixels."""
    sets = [set(map(tuple, mask.nonzero().tolist())) for mask in masks]
    order = sorted(range(len(sets)), key=lambda i: -float(scores[i]))
    n = len(order)
    best_overlap, inner_by_better, inner_by_worse = [0.0] * n, [0.0] * n, [0.0] * n
    for a in range(n):
        for b in range(a + 1, n):
            one, two = sets[order[a]], sets[order[b]]
            shared = len(one & two)
            best_overlap[b] = max(best_overlap[b], shared / len(one | two))
            inner = 1 - shared / len(one) * shared / len(two)
            if shared / len(two) >= 0.85 and shared / len(one) < 0.5:
                inner_by_better[b] = max(inner_by_better[b], inner)
                if b == a + 1:  # the lower triangle starts one diagonal above the main one
                    inner_by_worse[b] = max(inner_by_worse[b], inner)
            if shared / len(one) >= 0.85 and shared / len(two) < 0.5:
                inner_by_worse[a] = max(inner_by_worse[a], inner)
    tests = [
        [float(scores[i]) > rule.score for i in order],
        [v <= 1 - rule.inner for v in inner_by_better],
        [v <= 1 - rule.inner for v in inner_by_worse],
    ]
    tests = [t if any(t) else [i < 3 for i in range(n)] for t in tests]
    return [
        order[i] for i in range(n) if best_overlap[i] <= rule.iou and all(t[i] for t in tests)
    ]  # fmt: skip


@st.composite
def scenes(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor]:
    """Rectangles, some inside others and some nearly equal, with distinct scores."""
    count = draw(st.integers(1, 9))
    masks = torch.zeros(count, 12, 13, dtype=torch.bool)
    for mask in masks:
        y, x = draw(st.integers(0, 10)), draw(st.integers(0, 11))
        mask[y : y + draw(st.integers(1, 12)), x : x + draw(st.integers(1, 12))] = True
    scores = draw(st.permutations(range(count)))
    low, high = draw(st.sampled_from([(0.2, 1.0), (0.75, 1.0), (0.0, 0.65)]))
    return masks, low + (high - low) * torch.tensor(scores, dtype=torch.float64) / count


@settings(max_examples=300, deadline=None)
@given(scenes(), st.sampled_from([MaskNms(), MaskNms(0.5, 0.3, 0.2), MaskNms(0.8, 0.7, 0.1)]))
def test_equals_the_naive_twin(scene, rule):
    masks, scores = scene
    assert mask_nms(masks, scores, rule).tolist() == naive(masks, scores, rule)


def test_overlaps_count_pixels_across_chunks(monkeypatch):
    masks = torch.rand(5, 40, 30, generator=torch.Generator().manual_seed(1)) > 0.5
    whole = overlaps(masks)
    monkeypatch.setattr("langfield.segment.nms.CHUNK_PIXELS", 37)
    assert torch.equal(whole, overlaps(masks))
    assert whole[1, 3] == (masks[1] & masks[3]).sum()


def test_a_mask_inside_another_goes_whoever_is_better():
    masks = torch.zeros(2, 10, 10, dtype=torch.bool)
    masks[0] = True
    masks[1, 2:5, 2:5] = True
    assert mask_nms(masks, torch.tensor([0.9, 0.8])).tolist() == [0]
    assert mask_nms(masks, torch.tensor([0.8, 0.9])).tolist() == [0]


def test_all_bad_scores_spare_the_three_best():
    masks = torch.zeros(5, 5, 5, dtype=torch.bool)
    masks[range(5), range(5)] = True
    assert mask_nms(masks, torch.tensor([0.1, 0.5, 0.3, 0.2, 0.4])).tolist() == [1, 4, 2]


@pytest.mark.parametrize("count", [0, 1])
def test_few_masks(count):
    assert len(mask_nms(torch.ones(count, 4, 4, dtype=torch.bool), torch.full((count,), 0.9))) == count
