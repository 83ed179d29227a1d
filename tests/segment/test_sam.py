"""SAM as a segmenter: checkpoints that are not, the walk over points, and the real MobileSAM on a small picture."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from langfield import weights
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.segment import LEVELS, SegmentSettings, mask_of, segmenter_identity
from langfield.segment.bench import best_iou, likeness
from langfield.segment.sam import SamSegmenter, load_sam, mean_area_by_level, point_grid, waves
from langfield.segment.stock import stock_levels
from langfield.segment.store import check_segments

SETTINGS = SegmentSettings(points_per_side=6, min_area_px=30)


@pytest.mark.parametrize("per_side", [1, 2, 3, 5, 16, 32])
def test_waves_visit_every_point_once_from_coarse_to_fine(per_side):
    parts = waves(per_side)
    assert sorted(np.concatenate(parts).tolist()) == list(range(per_side**2))
    if per_side == 16:
        assert [len(part) for part in parts] == [16, 48, 64, 128]
        assert point_grid(16)[parts[0][0]].tolist() == [1.5 / 16, 1.5 / 16]


def test_point_grid_is_the_stock_one():
    from segment_anything.utils.amg import build_point_grid

    assert np.allclose(point_grid(16), build_point_grid(16))


@pytest.mark.parametrize(
    "content",
    [b"", b"not a checkpoint", b"PK\x03\x04 cut short", b"\x80\x04c__builtin__\neval\n(S'1'\ntR."],
    ids=["empty", "text", "zip", "pickle"],
)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "sam.pth"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="not readable as a SAM checkpoint"):
        load_sam(path, "vit_t")


@pytest.mark.parametrize("state", [{"a": torch.zeros(1)}, [torch.zeros(1)], torch.zeros(2)])
def test_a_checkpoint_of_something_else_is_refused(tmp_path, state):
    torch.save(state, tmp_path / "sam.pth")
    with pytest.raises(FormatError, match="does not hold a SAM of kind vit_t"):
        load_sam(tmp_path / "sam.pth", "vit_t")


def test_missing_checkpoint_and_unknown_kind(tmp_path):
    with pytest.raises(FormatError, match="not found"):
        load_sam(tmp_path / "none.pth", "vit_t")
    with pytest.raises(SettingsError, match="vit_t, vit_b, vit_l, vit_h"):
        load_sam(tmp_path / "none.pth", "vit_x")


def test_likeness_by_hand():
    masks = np.zeros((3, 4, 4), bool)
    masks[0, :2], masks[1, :3], masks[2, 3:] = True, True, True
    assert best_iou(masks[:1], masks[1:]).tolist() == pytest.approx([2 / 3])
    assert best_iou(masks, masks[:0]).tolist() == [0, 0, 0]
    assert best_iou(masks[:0], masks).shape == (0,)


def picture() -> np.ndarray:
    """Three plain things on a shaded table."""
    shade = np.linspace(150, 190, 96)[:, None, None] + np.zeros((96, 128, 3))
    y, x = np.mgrid[:96, :128]
    shade[(y - 30) ** 2 + (x - 35) ** 2 < 18**2] = (200, 40, 30)
    shade[(y - 30) ** 2 + (x - 35) ** 2 < 8**2] = (250, 220, 60)
    shade[55:85, 70:115] = (30, 60, 170)
    return shade.astype(np.uint8)


@pytest.fixture(scope="module")
def sam() -> SamSegmenter:
    """MobileSAM that has encoded the picture once: that is the slow part."""
    try:
        segmenter = SamSegmenter(weights.require("mobile-sam"), "vit_t", SETTINGS, "mobile-sam")
    except EnvironmentProblem as problem:
        pytest.skip(f"MobileSAM is not on this machine: {problem}")
    with torch.inference_mode():
        encoded = segmenter.encode(picture())
    segmenter.encode = lambda image: encoded
    return segmenter


def with_settings(sam: SamSegmenter, **changes: Any) -> SamSegmenter:
    """Give the same segmenter, model and encoded picture included, with other settings."""
    other = copy.copy(sam)
    other.settings = dataclasses.replace(sam.settings, **changes)
    return other


def test_real_masks_show_the_things_and_grow_with_the_level(sam):
    segments = sam.segment(picture())
    check_segments(segments)
    y, x = np.mgrid[:96, :128]
    box = np.zeros((96, 128), bool)
    box[55:85, 70:115] = True
    visible = np.stack([mask_of(segments, row) for row in range(len(segments.levels))])
    assert (best_iou(np.stack([box, (y - 30) ** 2 + (x - 35) ** 2 < 18**2]), visible) > 0.85).all()
    sizes = mean_area_by_level(segments)
    assert 0 < sizes[0] < sizes[2]


def test_provenance_names_the_weights(sam):
    assert sam.provenance["weights_sha256"] == segmenter_identity("mobile-sam")["weights"]
    assert sam.provenance["settings"]["points_per_side"] == 6


def test_ours_are_the_stock_masks(sam):
    """On a plain picture; `langfield bench masks` measures the same on photos."""
    coarse = with_settings(sam, mask_nms=False, skip_confident=False, points_per_side=4)
    table = likeness(stock_levels(sam.model, picture(), coarse.settings), coarse.level_masks(picture()))
    assert sum(row["masks_stock"] for row in table.values()) >= 6
    for name in LEVELS:
        assert table[name]["stock_in_ours"] > 0.9, table
        assert table[name]["ours_in_stock"] > 0.9, table


def test_skipping_decodes_fewer_points_and_keeps_the_masks(sam):
    decoded = []
    spy = with_settings(sam, mask_nms=False)
    decode = spy._decode
    spy._decode = lambda image, points, numbers, tokens: (
        decoded.append(len(points)) or decode(image, points, numbers, tokens)
    )
    skipped = spy.level_masks(picture())
    everything = with_settings(sam, mask_nms=False, skip_confident=False).level_masks(picture())
    assert sum(decoded) < 36
    table = likeness(everything, skipped)
    assert all(table[name]["ours_in_stock"] > 0.9 for name in LEVELS), table


def test_batch_size_does_not_change_masks(sam):
    one, three = (with_settings(sam, decoder_batch=n).level_masks(picture()) for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert a.masks.shape == b.masks.shape
        assert (a.masks != b.masks).mean() < 1e-3
