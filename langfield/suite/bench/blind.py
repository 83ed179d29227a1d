"""MMVP's blind pairs (arXiv 2401.06209, Section 2): pictures alike to one encoder and not to another; their score."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ALIKE, UNLIKE = 0.95, 0.6
BLOCK = 2048


def blind_pairs(
    first: Float[Tensor, "N D"], second: Float[Tensor, "N E"], alike: float = ALIKE, unlike: float = UNLIKE
) -> Int[Tensor, "P 2"]:
    """Give the pairs (i < j, in order) that lie close for one encoder and far apart for another.

    Args:
        first: unit vectors of the encoder that is examined.
        second: unit vectors of the same pictures by another encoder.
        alike: least cosine of a blind pair in `first`.
        unlike: greatest cosine of it in `second`.
    """
    found = []
    for start in range(0, len(first), BLOCK):
        rows = slice(start, start + BLOCK)
        hit = (first[rows] @ first.T > alike) & (second[rows] @ second.T < unlike)
        i, j = hit.nonzero(as_tuple=True)
        found.append(torch.stack([i + start, j], 1)[j > i + start])
    return torch.cat(found) if found else torch.zeros(0, 2, dtype=torch.long)


def pairs_right(images: Float[Tensor, "P 2 D"], texts: Float[Tensor, "P 2 D"]) -> Bool[Tensor, " P"]:
    """Say of every pair whether both statements go to their own image; a random scorer gets a quarter.

    Args:
        images: unit vectors of the two images of each pair.
        texts: unit vectors of the statement of each.
    """
    scores = texts @ images.transpose(1, 2)
    own = scores.diagonal(dim1=1, dim2=2)
    return (own > scores.flip(2).diagonal(dim1=1, dim2=2)).all(1)  # softmax over the two images > 0.5


def pair_score(
    images: Float[Tensor, "P 2 D"], texts: Float[Tensor, "P 2 D"], patterns: Sequence[str]
) -> dict[str, float]:
    """Give the share of right pairs for each visual pattern, and their mean as "mean" (MMVP-VLM's score)."""
    right = pairs_right(images, texts).double()
    names = sorted(set(patterns))
    parts = {name: float(right[[p == name for p in patterns]].mean()) for name in names}
    return {**parts, "mean": sum(parts.values()) / len(parts)} if parts else {}
