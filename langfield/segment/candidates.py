"""Masks as SAM's decoder gives them, on its quarter-size grid: filtered and thinned before any is drawn in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from langfield.segment.nms import MaskNms, mask_nms
from langfield.segment.types import LEVELS, SegmentSettings

STABILITY_OFFSET = 1.0  # logits


@dataclass(frozen=True)
class Candidates:
    """Masks of one picture or of some points on it."""

    logits: Float[Tensor, "M h w"]
    """Low-resolution logits, float32; above zero is inside."""
    quality: Float[Tensor, " M"]
    """IoU that the model predicts."""
    stability: Float[Tensor, " M"]
    """IoU of the masks at logit +1 and -1."""
    levels: Int[Tensor, " M"]
    points: Int[Tensor, " M"]
    """Number of the grid point each came from."""

    def __getitem__(self, rows: Tensor) -> Candidates:
        """Give some rows."""
        return Candidates(
            self.logits[rows], self.quality[rows], self.stability[rows], self.levels[rows], self.points[rows]
        )

    @property
    def scores(self) -> Float[Tensor, " M"]:
        """Give predicted IoU times stability."""
        return self.quality * self.stability


def join(parts: Sequence[Candidates]) -> Candidates:
    """Put candidates of several points together."""
    fields = ("logits", "quality", "stability", "levels", "points")
    return Candidates(*(torch.cat([getattr(part, name) for part in parts]) for name in fields))


def select(
    logits: Float[Tensor, "B 3 h w"],
    quality: Float[Tensor, "B 3"],
    points: Int[Tensor, " B"],
    settings: SegmentSettings,
) -> Candidates:
    """Keep the masks that are good enough by predicted IoU and stability, as SAM's automatic generator does.

    Args:
        logits: three nested masks per point, on the part of the grid that shows the picture.
        quality: predicted IoU of each.
        points: number of each point.
        settings: the two thresholds.
    """
    stability = stability_of(logits)
    keep = (quality > settings.pred_iou_thresh) & (stability >= settings.stability_thresh)
    b, level = keep.nonzero(as_tuple=True)
    return Candidates(logits[b, level], quality[b, level], stability[b, level], level, points[b])


def stability_of(logits: Float[Tensor, "*B h w"]) -> Float[Tensor, "*B"]:
    """Give the IoU of the masks at logit +1 and -1; 0 where both are empty."""
    inner = (logits > STABILITY_OFFSET).sum(dim=(-2, -1))
    outer = (logits > -STABILITY_OFFSET).sum(dim=(-2, -1))
    return inner / outer.clamp(min=1)


def thin(candidates: Candidates, settings: SegmentSettings) -> Candidates:
    """Thin each level: first by boxes, as SAM's automatic generator does, then by masks, as LangSplat does.

    Rows come back sorted by level, within it by falling predicted IoU.
    """
    return candidates[torch.cat([_thin_level(candidates, level, settings) for level in range(len(LEVELS))])]


def _thin_level(candidates: Candidates, level: int, settings: SegmentSettings) -> Int[Tensor, " K"]:
    from torchvision.ops import nms

    rows = ((candidates.levels == level) & (candidates.logits > 0).any(dim=-1).any(dim=-1)).nonzero()[:, 0]
    masks = candidates.logits[rows] > 0
    kept = nms(low_boxes(masks), candidates.quality[rows], settings.box_nms_iou)
    if settings.mask_nms:
        rule = MaskNms(settings.nms_iou, settings.nms_score, settings.inner_thresh)
        chosen = mask_nms(masks[kept], candidates.scores[rows[kept]], rule)
        kept = kept[chosen.sort().values]
    return rows[kept]


def low_boxes(masks: Bool[Tensor, "M h w"]) -> Float[Tensor, "M 4"]:
    """Give x0 y0 x1 y1 (x1, y1 exclusive, low-resolution pixels) of masks, none of them empty."""
    columns, rows = masks.any(dim=1).int(), masks.any(dim=2).int()
    width, height = columns.shape[1], rows.shape[1]
    left, top = columns.argmax(dim=1), rows.argmax(dim=1)
    right, bottom = width - columns.flip(1).argmax(dim=1), height - rows.flip(1).argmax(dim=1)
    return torch.stack([left, top, right, bottom], dim=1).float()


@dataclass(frozen=True)
class Enlarger:
    """SAM's way from low-resolution logits to the picture (two bilinear steps and a crop between) as two matrices."""

    rows: Float[Tensor, "H h"]
    columns: Float[Tensor, "W w"]

    def __call__(self, logits: Float[Tensor, "h w"]) -> Bool[Tensor, "H W"]:
        """Give a mask in the picture's size."""
        return self.rows @ logits @ self.columns.T > 0


def enlarger(picture: tuple[int, int], inner: tuple[int, int], side: int, low: tuple[int, int]) -> Enlarger:
    """Prepare the enlargement of logits of one picture size.

    Args:
        picture: height and width of the picture, pixels.
        inner: height and width it has inside the encoder's square.
        side: side of that square; the full logits have a quarter of it.
        low: height and width of the logits that are there; the rest has no weight.
    """
    return Enlarger(*(_line(picture[i], inner[i], side)[:, : low[i]].contiguous() for i in (0, 1)))


def _line(size: int, inner: int, side: int) -> Float[Tensor, "size low"]:
    unit = torch.eye(side // 4)[None]
    grown = F.interpolate(unit, side, mode="linear", align_corners=False)[..., :inner]
    return F.interpolate(grown, size, mode="linear", align_corners=False)[0].T
