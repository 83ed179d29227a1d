"""Recall at k, from texts to pictures and back, and how far apart the two kinds of vectors lie."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from langfield.errors import SettingsError

KS = (1, 5, 10)


def recall(scores: Float[Tensor, "Q G"], relevant: Bool[Tensor, "Q G"], ks: Sequence[int] = KS) -> dict[int, float]:
    """Give the share of queries that have something relevant among the first k; what ties with it counts as before it.

    Args:
        scores: of every query and every item of the gallery.
        relevant: what is right for each query.
        ks: the depths asked for.

    Raises:
        SettingsError: a query has nothing relevant.
    """
    if not bool(relevant.any(1).all()):
        raise SettingsError("a query of the retrieval bench has nothing relevant in its gallery")
    best = scores.masked_fill(~relevant, -torch.inf).amax(1, keepdim=True)
    rank = ((scores >= best) & ~relevant).sum(1)
    return {k: float((rank < k).double().mean()) for k in ks}


def both_ways(
    images: Float[Tensor, "N D"], texts: Float[Tensor, "T D"], image_of: Int[Tensor, " T"], ks: Sequence[int] = KS
) -> dict[str, dict[int, float]]:
    """Give recall from texts to images ("text_to_image") and back ("image_to_text").

    Args:
        images: unit vectors; every one has at least one text.
        texts: unit vectors.
        image_of: row of the image that each text belongs to.
        ks: the depths asked for.

    Raises:
        SettingsError: an image has no text.
    """
    belongs = image_of[:, None] == torch.arange(len(images))
    scores = texts @ images.T
    return {"text_to_image": recall(scores, belongs, ks), "image_to_text": recall(scores.T, belongs.T, ks)}


def modality_gap(images: Float[Tensor, "N D"], texts: Float[Tensor, "T D"]) -> float:
    """Give the distance between the mean image vector and the mean text vector (arXiv 2203.02053, Section 4.2)."""
    return float((images.mean(0) - texts.mean(0)).norm())
