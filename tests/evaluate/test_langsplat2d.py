"""The 2D protocol against the published steps written out as loops, and by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langfield.evaluate.labels import Query
from langfield.evaluate.langsplat2d import is_in_a_box, measure_iou, score_query


def query(*boxes) -> Query:
    return Query("a.png", "mug", tuple(np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]) for x0, y0, x1, y1 in boxes))


def published(maps, polygons):
    """LangSplat's evaluation, step by step: any highest pixel in any box, and the IoU of the level of the mixed map."""
    filtered = [cv2.filter2D(m, -1, np.ones((30, 30)) / 900) for m in maps]
    level = int(np.argmax([f.max() for f in filtered]))
    peaks = np.argwhere(filtered[level] == filtered[level].max())[:, ::-1]
    boxes = [(*np.min(p, axis=0), *np.max(p, axis=0)) for p in polygons]
    hit = any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in boxes for x, y in peaks)
    mixed = [0.5 * (f + m) for f, m in zip(filtered, maps, strict=True)]
    chosen = mixed[int(np.argmax([m.max() for m in mixed]))]
    out = chosen - chosen.min()
    cut = np.clip(out / (out.max() + 1e-9) * 2 - 1, 0, 1) > 0.4
    smooth = np.zeros_like(cut)
    h, w = cut.shape
    for i in range(h):
        for j in range(w):
            window = cut[max(0, i - 3) : min(i + 4, h - 1), max(0, j - 3) : min(j + 4, w - 1)]
            smooth[i, j] = np.argmax(np.bincount(window.reshape(-1).astype(int)))
    truth = np.zeros((h, w), np.uint8)
    for p in polygons:
        cv2.fillPoly(truth, [np.asarray(p).astype(np.int32)], 1)
    truth = truth.astype(bool)
    return hit, (smooth & truth).sum() / (smooth | truth).sum()


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_against_the_published_steps(seed):
    rng = np.random.default_rng(seed)
    maps = np.stack([cv2.GaussianBlur(rng.random((48, 60)), (0, 0), 4) for _ in range(3)])
    maps = (0.5 + 2 * (maps - maps.mean())).astype(np.float32)
    x, y = rng.integers(0, 40), rng.integers(0, 30)
    asked = query((x, y, x + 15, y + 12), (2, 2, 9, 9))
    hit, iou = published(maps, asked.polygons)
    found = score_query(asked, maps)
    assert found.hit == hit
    assert found.iou == pytest.approx(iou, abs=2e-3)


def test_hand_computed():
    """A square of 0.7 on 0.5: the mask is the square shrunk or grown by where (raw + filtered) / 2 passes 0.7."""
    maps = np.full((3, 100, 120), 0.5, np.float32)
    maps[1, 30:70, 40:90] = 0.7
    found = score_query(query((40, 30, 89, 69)), maps)
    assert (found.level, found.mask_level, found.hit) == (1, 1, True)
    assert found.peak_score == pytest.approx(0.7, abs=1e-5)
    assert 40 <= found.peak_px[0] <= 89
    assert found.iou > 0.85
    assert not score_query(query((0, 0, 20, 20)), maps).hit
    assert score_query(query((0, 0, 20, 20)), maps).iou == 0


def test_levels_are_chosen_by_their_own_peaks():
    """A small sharp peak wins the mixed map, a broad one the filtered map: localisation and mask may differ."""
    maps = np.full((2, 100, 100), 0.4, np.float32)
    maps[0, 48:53, 48:53] = 0.95
    maps[1, 10:60, 10:60] = 0.6
    found = score_query(query((40, 40, 60, 60)), maps)
    assert (found.level, found.mask_level) == (1, 0)


def test_edges_of_boxes_count():
    box = query((10, 20, 30, 40))
    assert is_in_a_box((10, 20), box)
    assert is_in_a_box((30, 40), box)
    assert not is_in_a_box((31, 40), box)
    assert not is_in_a_box((9, 30), box)
    assert is_in_a_box((51, 1), query((10, 20, 30, 40), (50, 0, 52, 2)))


@given(hnp.arrays(bool, (5, 6)), hnp.arrays(bool, (5, 6)))
def test_iou_against_a_loop(a, b):
    both = sum(bool(x and y) for x, y in zip(a.flat, b.flat, strict=True))
    either = sum(bool(x or y) for x, y in zip(a.flat, b.flat, strict=True))
    assert measure_iou(a, b) == (both / either if either else 0.0)
