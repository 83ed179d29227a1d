"""Filtering and enlarging of low-resolution masks."""

from __future__ import annotations

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from langfield.segment.candidates import Candidates, enlarger, low_boxes, select, stability_of, thin
from langfield.segment.types import SegmentSettings


@pytest.mark.parametrize(
    ("picture", "inner"), [((480, 640), (768, 1024)), ((50, 31), (1024, 635)), ((99, 99), (1024, 1024))]
)
def test_enlarging_equals_two_interpolations_and_a_crop(picture, inner):
    logits = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    grown = F.interpolate(logits[None, None], (1024, 1024), mode="bilinear", align_corners=False)
    wanted = F.interpolate(grown[..., : inner[0], : inner[1]], picture, mode="bilinear", align_corners=False)[0, 0]
    low = (min(inner[0] // 4 + 4, 256), min(inner[1] // 4 + 4, 256))
    draw = enlarger(picture, inner, 1024, low)
    part = logits[: low[0], : low[1]]
    assert torch.allclose(draw.rows @ part @ draw.columns.T, wanted, atol=1e-4)
    assert (draw(part) != (wanted > 0)).float().mean() < 1e-4


def disc(radius: float, centre: tuple[float, float] = (16, 16), steep: float = 100.0) -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    return steep * (radius - ((y - centre[0]) ** 2 + (x - centre[1]) ** 2).sqrt())


def test_stability_by_counting():
    logits = torch.stack([disc(9, steep=0.5), disc(9), torch.full((32, 32), -5.0)])
    for one, value in zip(logits, stability_of(logits), strict=True):
        outer = int((one > -1).sum())
        assert value == pytest.approx(int((one > 1).sum()) / outer if outer else 0)


def test_select_keeps_what_passes_both_thresholds():
    logits = torch.stack([disc(9), disc(9, steep=0.2), disc(5)])[None].repeat(2, 1, 1, 1)
    quality = torch.tensor([[0.9, 0.9, 0.71], [0.7, 0.9, 0.95]])
    found = select(logits, quality, torch.tensor([4, 9]), SegmentSettings())
    assert list(zip(found.points.tolist(), found.levels.tolist(), strict=True)) == [(4, 0), (4, 2), (9, 2)]
    assert torch.equal(found.scores, found.quality * found.stability)


def candidates(*rows: tuple[torch.Tensor, float, int]) -> Candidates:
    logits = torch.stack([row[0] for row in rows])
    quality, levels = torch.tensor([row[1] for row in rows]), torch.tensor([row[2] for row in rows])
    return Candidates(logits, quality, stability_of(logits), levels, torch.arange(len(rows)))


def test_thinning_is_per_level_and_prefers_the_better():
    found = candidates(
        (disc(9), 0.9, 0), (disc(9.3), 0.95, 0), (disc(9.1), 0.8, 1), (disc(4, (5, 5)), 0.85, 0), (disc(-9), 0.99, 2)
    )  # fmt: skip
    assert thin(found, SegmentSettings()).points.tolist() == [1, 3, 2]


def test_the_second_thinning_can_be_left_out():
    found = candidates((disc(14), 0.9, 0), (disc(4), 0.95, 0))  # one inside the other
    assert thin(found, SegmentSettings()).points.tolist() == [0]
    loose = dataclasses.replace(SegmentSettings(), mask_nms=False)
    assert thin(found, loose).points.tolist() == [1, 0]


def test_low_boxes_by_search():
    masks = torch.stack([disc(5, (9, 20)) > 0, disc(3, (30, 1)) > 0])
    for mask, box in zip(masks, low_boxes(masks), strict=True):
        y, x = mask.nonzero().T
        assert box.tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


@pytest.mark.parametrize("seed", range(4))
def test_thinning_small_masks_keeps_what_thinning_them_in_full_keeps(seed):
    """Ellipses, most of them again and again with their edges moved: what is one thing in full is one thing small."""
    g = torch.Generator().manual_seed(seed)
    draw = enlarger((240, 320), (576, 768), 768, (144, 192))
    y, x = torch.meshgrid(torch.arange(144.0), torch.arange(192.0), indexing="ij")
    things = torch.rand(12, 4, generator=g) * torch.tensor([192.0, 144.0, 30.0, 30.0]) + torch.tensor([0, 0, 8.0, 8.0])
    shapes = things.repeat(5, 1) + 1.5 * torch.randn(60, 4, generator=g)
    far = ((x - shapes[:, :1, None]) / shapes[:, 2:3, None]) ** 2 + (
        (y - shapes[:, 1:2, None]) / shapes[:, 3:, None]
    ) ** 2
    logits, rows = 8 * (1 - far), torch.arange(60)
    quality, levels = 0.9 + 0.1 * torch.rand(60, generator=g), rows % 3
    small = Candidates(logits, quality, torch.full((60,), 0.95), levels, rows)
    large = dataclasses.replace(small, logits=draw.rows @ logits @ draw.columns.T)
    kept, wanted = (set(thin(c, SegmentSettings()).points.tolist()) for c in (small, large))
    assert len(kept ^ wanted) <= 2  # at a threshold one may stand in another's place
    assert 12 <= len(wanted) < 50
