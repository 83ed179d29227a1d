"""Which keyframe says least that no other says."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from langfield.online.language_looks import Look

MOST_NAMES = 2**13
"""Novelty is measured on about so many Gaussians, evenly over their names."""


def least_novel(looks: Sequence[Look], rows: Int64[Tensor, " G"]) -> int:
    """Give the id of the keyframe whose Gaussians are seen by most others; never that of the last.

    A Gaussian that m keyframes see counts 1 / m for each of them; a keyframe is as novel as the sum over its own.

    Args:
        looks: two at least, unless there is one.
        rows: row of every name, -1 for Gaussians that are gone: those do not count.
    """
    if len(looks) == 1:
        return looks[0].id
    counted = rows >= 0
    counted &= torch.arange(len(rows)) % max(1, len(rows) // MOST_NAMES) == 0
    sample = [names[counted[names]] for names in (one.names() for one in looks)]
    share = torch.bincount(torch.cat(sample), minlength=1).double().clamp_min(1).reciprocal()
    novelty = torch.stack([share[names].sum() for names in sample[:-1]])
    return looks[int(novelty.argmin())].id
