"""The segmenter without weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import FormatError, SettingsError
from langfield.segment import SegmentSettings, mask_of, segmenter, segmenter_identity
from langfield.segment.components import components, merge_small
from langfield.segment.picture import colours, draw_segments
from langfield.segment.store import check_segments


def blocks(seed: int, size: int = 48) -> np.ndarray:
    """A picture of coloured rectangles with a little noise."""
    rng = np.random.default_rng(seed)
    image = np.full((size, size + 16, 3), 120, np.int16)
    for _ in range(6):
        y, x = rng.integers(0, size - 8, 2)
        image[y : y + rng.integers(8, 30), x : x + rng.integers(8, 30)] = rng.integers(0, 256, 3)
    return np.clip(image + rng.integers(-3, 4, image.shape), 0, 255).astype(np.uint8)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_every_level_divides_the_picture_and_levels_nest(seed):
    image = blocks(seed)
    segments = segmenter("components", SegmentSettings(min_area_px=20)).segment(image)
    check_segments(segments)
    assert (segments.ids >= 0).all()
    assert np.bincount(segments.ids.ravel()).min() >= 20
    for fine, coarse in ((0, 1), (1, 2)):
        for row in np.flatnonzero(segments.levels == fine):
            assert len(np.unique(segments.ids[coarse][mask_of(segments, int(row))])) == 1


def test_the_same_picture_gives_the_same_segments():
    first, second = (segmenter("components").segment(blocks(7)) for _ in range(2))
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(first.boxes, second.boxes)


def test_a_plain_square_is_found_exactly():
    image = np.full((60, 60, 3), 30, np.uint8)
    image[20:40, 10:50] = (220, 40, 40)
    segments = segmenter("components").segment(image)
    assert (segments.levels == 2).sum() == 2
    row = segments.ids[2, 30, 30]
    square = np.zeros((60, 60), bool)
    square[20:40, 10:50] = True
    wrong = (mask_of(segments, row) != square).sum()
    assert wrong <= 12  # the median filter takes three pixels of each corner


def test_components_by_flood_fill():
    lab = (np.random.default_rng(2).integers(0, 2, (9, 11, 3)) * 100).astype(np.uint8)
    lab[..., 1:] = 0
    labels = components(lab, 24)
    wanted = np.full((9, 11), -1)
    for y, x in np.ndindex(9, 11):
        if wanted[y, x] < 0:
            flood(lab[..., 0], wanted, (y, x), int(wanted.max()) + 1)
    pairs = {(int(a), int(b)) for a, b in zip(labels.ravel(), wanted.ravel(), strict=True)}
    assert len(pairs) == wanted.max() + 1 == labels.max() + 1  # the same regions under other numbers


def flood(values: np.ndarray, labels: np.ndarray, start: tuple[int, int], number: int) -> None:
    todo = [start]
    while todo:
        y, x = todo.pop()
        labels[y, x] = number
        for near in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
            inside = 0 <= near[0] < values.shape[0] and 0 <= near[1] < values.shape[1]
            if inside and labels[near] < 0 and values[near] == values[y, x]:
                todo.append(near)


def test_small_regions_join_the_longest_border():
    labels = np.zeros((8, 8), np.int32)
    labels[:, 4:] = 1
    labels[2:5, 3] = 2  # touches region 0 on 5 sides, region 1 on 3
    assert np.unique(merge_small(labels, 6)).tolist() == [0, 1]
    assert (merge_small(labels, 6)[:, :4] == 0).all()
    assert np.array_equal(merge_small(labels, 1), labels)


def test_noise_stays_within_the_id_range():
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), dtype=np.uint8)
    check_segments(segmenter("components", SegmentSettings(min_area_px=0)).segment(noise))


@pytest.mark.parametrize("image", [np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3)), np.zeros((0, 5, 3), np.uint8)])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(FormatError, match="8-bit RGB"):
        segmenter("components").segment(image)


def test_picture_shows_three_levels_in_colours_of_the_row():
    image = blocks(3)
    segments = segmenter("components").segment(image)
    picture = draw_segments(image, segments)
    assert picture.shape == (48, 64 * 3, 3)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, draw_segments(image, segments))
    table = colours(60)
    assert len(np.unique(table, axis=0)) == 60
    assert np.array_equal(table[:20], colours(20))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("sma", "choose one of mobile-sam, mobile-sam-quick, sam, components"),
        ("components:3", "takes nothing after its name"),
        ("mobile-sam:x", "takes nothing after its name"),
        ("sam", "sam:vit_h:PATH"),
        ("sam:vit_h", "sam:vit_h:PATH"),
        ("", "choose one of"),
    ],
)
def test_bad_names_are_settings_errors(spec, message):
    with pytest.raises(SettingsError, match=message):
        segmenter(spec)


def test_identity_depends_on_settings_and_weights(tmp_path):
    checkpoint = tmp_path / "a.pth"
    checkpoint.write_bytes(b"one")
    specs = ["mobile-sam", "components", f"sam:vit_b:{checkpoint}", f"sam:vit_h:{checkpoint}"]
    seen = [segmenter_identity(spec, s) for spec in specs for s in (None, SegmentSettings(points_per_side=8))]
    checkpoint.write_bytes(b"two")
    seen.append(segmenter_identity(specs[2]))
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])
    assert segmenter_identity("components") == segmenter_identity("components", SegmentSettings())
    with pytest.raises(FormatError, match="checkpoint not found"):
        segmenter_identity("sam:vit_h:/nowhere/sam.pth")
