"""What a captioner sees: the object as it is, the rest marked; every mark a switch of its own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from langfield.errors import SettingsError
from langfield.suite.captions.visual_prompt import VisualPrompt, draw_contour, mark

PICTURES = hnp.arrays(np.uint8, (24, 31, 3))
MASKS = hnp.arrays(np.bool_, (24, 31))
SWITCHES = list(product((False, True), repeat=3))


def disc(h: int = 60, w: int = 80, r: int = 15) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    return (x - w // 2) ** 2 + (y - h // 2) ** 2 <= r * r


@given(PICTURES, MASKS, st.sampled_from(SWITCHES), st.integers(1, 4))
def test_inside_the_mask_nothing_changes_and_the_picture_given_stays(image, mask, switches, width):
    before = image.copy()
    out = mark(image, mask, VisualPrompt(*switches, contour_px=width))
    assert np.array_equal(out[mask], before[mask])
    assert np.array_equal(image, before)
    assert out is not image
    assert out.shape == image.shape
    assert out.dtype == np.uint8


@given(PICTURES, MASKS)
def test_without_marks_it_is_the_picture(image, mask):
    assert np.array_equal(mark(image, mask, VisualPrompt(False, False, False)), image)


@given(PICTURES, MASKS)
def test_gray_outside_has_three_equal_channels_near_the_brightness_it_had(image, mask):
    out = mark(image, mask, VisualPrompt(contour=False, blur=False))[~mask].astype(int)
    assert (out == out[:, :1]).all()
    assert (out[:, 0] >= image[~mask].min(-1).astype(int)).all()
    assert (out[:, 0] <= image[~mask].max(-1)).all()


@given(PICTURES, MASKS, st.integers(1, 4))
def test_the_contour_is_red_outside_the_mask_and_nowhere_farther_than_its_width(image, mask, width):
    out = draw_contour(image, mask, width)
    red = (out == (255, 0, 0)).all(-1)
    changed = (out != image).any(-1)
    far = np.ones_like(mask)
    for y, x in np.argwhere(mask):  # the naive twin: a distance for every pixel
        ys, xs = np.ogrid[: mask.shape[0], : mask.shape[1]]
        near = (ys - y) ** 2 + (xs - x) ** 2 <= (width + 0.5) ** 2
        far &= ~near
        beside = (abs(ys - y) + abs(xs - x) == 1) & ~mask
        assert red[beside].all()
    assert not (changed & (far | mask)).any()


def test_blur_takes_detail_out_of_the_ground_and_leaves_its_mean():
    mask, rng = disc(), np.random.default_rng(0)
    image = rng.integers(0, 256, (*mask.shape, 3), np.uint8)
    out = mark(image, mask, VisualPrompt(contour=False, gray=False, blur_px=4))
    assert out[~mask].std() < 0.2 * image[~mask].std()
    assert abs(out[~mask].mean() - image[~mask].mean()) < 2
    stronger = mark(image, mask, VisualPrompt(contour=False, gray=False, blur_px=8))
    assert stronger[~mask].std() < out[~mask].std()


def test_all_marks_together_leave_red_as_the_only_colour_outside():
    mask, rng = disc(), np.random.default_rng(1)
    out = mark(rng.integers(0, 256, (*mask.shape, 3), np.uint8), mask)
    outside = out[~mask].astype(int)
    red = (outside == (255, 0, 0)).all(1)
    gray = (outside == outside[:, :1]).all(1)
    assert (red ^ gray).all()
    assert 2 * 2 * np.pi * 15 * 0.7 < red.sum() < 2 * 2 * np.pi * 17 * 1.3  # a ring, two pixels wide, radius 15


def test_a_mask_of_another_size_and_marks_out_of_range_are_refused():
    with pytest.raises(SettingsError, match="does not belong"):
        mark(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), bool))
    with pytest.raises(SettingsError):
        VisualPrompt(contour_px=0)
    with pytest.raises(SettingsError):
        VisualPrompt(blur_px=float("nan"))
