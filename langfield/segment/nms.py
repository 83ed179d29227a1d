"""Thinning of masks that show the same thing, by matrix products instead of loops over pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

CHUNK_PIXELS = 2**18
INSIDE = 0.85  # share of a mask that must lie in another for it to count as inside (LangSplat's constant)
MINOR = 0.5  # share of the other that it may cover at most (LangSplat's constant)


@dataclass(frozen=True)
class MaskNms:
    """Thresholds of LangSplat's mask thinning (its preprocess.py; the paper's section 3.2 only names the scores)."""

    iou: float = 0.8
    """Of two masks that overlap more, the one with the lower score goes."""
    score: float = 0.7
    """Masks with no higher score go."""
    inner: float = 0.5
    """A mask inside another goes where 1 - (share of it inside) x (share of the other covered) exceeds 1 - this."""


def overlaps(masks: Bool[Tensor, "M H W"]) -> Float[Tensor, "M M"]:
    """Count the pixels that each pair of masks shares (float64, exact); the diagonal holds the areas."""
    flat = masks.flatten(1)
    shared = torch.zeros(len(flat), len(flat), dtype=torch.float64)
    for piece in flat.split(CHUNK_PIXELS, dim=1):
        ones = piece.float()
        shared += (ones @ ones.T).double()  # float32 counts exactly up to 2^24, a chunk is smaller
    return shared


def mask_nms(
    masks: Bool[Tensor, "M H W"], scores: Float[Tensor, " M"], rule: MaskNms | None = None
) -> Int[Tensor, " K"]:
    """Choose which masks of one level stay, by LangSplat's rule.

    A mask goes when a better one overlaps it by more than `rule.iou`; when its score is not above `rule.score`; or
    when it lies inside a mask of at least about twice its size, better or worse. A test that would drop every mask
    spares the three best.

    Args:
        masks: none empty, any resolution.
        scores: stability times predicted IoU.
        rule: thresholds; LangSplat's by default.

    Returns:
        Row numbers into `masks`, best score first.
    """
    rule = rule or MaskNms()
    if len(masks) == 0:
        return torch.zeros(0, dtype=torch.long)
    scores, order = scores.sort(descending=True, stable=True)
    shared = overlaps(masks)[order][:, order]
    area = shared.diagonal()
    iou = shared / (area[:, None] + area[None] - shared)
    share_of_row, share_of_column = shared / area[:, None], shared / area[None]
    inside = (share_of_column >= INSIDE) & (share_of_row < MINOR)  # the column's mask lies in the row's
    inner = torch.where(inside, 1 - share_of_row * share_of_column, 0.0)
    # The two triangles are judged apart because each has its own "spare the three best"; the lower one starts one
    # diagonal above the main one, as in LangSplat.
    tests = (
        scores > rule.score,
        inner.triu(1).amax(dim=0) <= 1 - rule.inner,
        inner.tril(1).amax(dim=0) <= 1 - rule.inner,
    )
    keep = iou.triu(1).amax(dim=0) <= rule.iou
    for test in tests:
        keep &= test if test.any() else _three_best(test)
    return order[keep]


def _three_best(test: Bool[Tensor, " M"]) -> Bool[Tensor, " M"]:
    return torch.arange(len(test)) < 3
