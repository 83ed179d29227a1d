"""Blind pairs: things of this scene that the encoder takes for the same and another encoder tells apart.

Eyes Wide Shut? Exploring the Visual Shortcomings of Multimodal LLMs (arXiv 2401.06209, Section 2): pairs of pictures
whose CLIP vectors have a cosine above 0.95 and whose vectors of a second encoder (DINOv2 there) one below 0.6. What no
question can tell apart shows up here before it is asked. `pair_score` is the paper's MMVP-VLM score of any encoder on
pairs with statements, `mix` and `interleave` its two mixtures of features.

Ours: the second encoder is whichever there is; both limits are settings because cosines of encoders differ.

Cost: two products of M x M numbers, a block of rows at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.slots import Items

NEEDS = ("other",)
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Settings:
    """When a pair is blind."""

    same: float = 0.95
    """Cosine of the encoder above which it takes two things for one."""
    apart: float = 0.6
    """Cosine of the other encoder below which it tells them apart."""
    most: int = 100
    """Pairs reported at most."""


def diagnose(items: Items, settings: Settings = Settings()) -> list[dict[str, Any]]:
    """Find blind pairs, those whose cosines lie furthest apart first.

    Args:
        items: with vectors of another encoder; labels, where given, leave out pairs of one entity.
        settings: see above.

    Returns:
        Rows with a and b (a < b), same (the encoder's cosine), apart (the other's), and their texts where there are.

    Raises:
        SettingsError: there are no vectors of another encoder.
    """
    if items.other is None:
        raise SettingsError("blind pairs need vectors of a second encoder", remedy="give items with `other`")
    found: list[tuple[float, int, int, float, float]] = []
    for start in range(0, len(items.vectors), ROWS_AT_ONCE):
        same = items.vectors[start : start + ROWS_AT_ONCE] @ items.vectors.T
        apart = items.other[start : start + ROWS_AT_ONCE] @ items.other.T
        blind = ((same > settings.same) & (apart < settings.apart)).triu(start + 1)
        if items.labels is not None:
            blind &= items.labels[start : start + ROWS_AT_ONCE, None] != items.labels
        for row, b in blind.nonzero().tolist():
            cosines = float(same[row, b]), float(apart[row, b])
            found.append((cosines[1] - cosines[0], start + row, b, *cosines))
    return [_row(items, *pair) for pair in sorted(found)[: settings.most]]


def _row(items: Items, _: float, a: int, b: int, same: float, apart: float) -> dict[str, Any]:
    row: dict[str, Any] = {"a": a, "b": b, "same": round(same, 4), "apart": round(apart, 4)}
    return row if items.texts is None else row | {"texts": [items.texts[a], items.texts[b]]}


def pair_score(cosines: Float[Tensor, "P 2 2"], patterns: Sequence[str]) -> dict[str, float]:
    """Give the share of pairs that an encoder gets right, by pattern, and their mean as "mean" (MMVP-VLM).

    Args:
        cosines: of picture i and statement j of each pair; picture i belongs to statement i.
        patterns: which visual pattern each pair is about, such as "orientation".

    Returns:
        A pair is right where each statement is nearer to its own picture; ties are wrong.
    """
    right = (cosines[:, 0, 0] > cosines[:, 1, 0]) & (cosines[:, 1, 1] > cosines[:, 0, 1])
    shares = {
        name: [bool(r) for r, p in zip(right, patterns, strict=True) if p == name] for name in sorted(set(patterns))
    }
    scores = {name: sum(rows) / len(rows) for name, rows in shares.items()}
    return scores | {"mean": sum(scores.values()) / max(len(scores), 1)}


def mix(one: Float[Tensor, "*B D"], other: Float[Tensor, "*B D"], share: float) -> Float[Tensor, "*B D"]:
    """Give share * one + (1 - share) * other (additive MoF)."""
    return share * one + (1 - share) * other


def interleave(one: Float[Tensor, "B T D"], other: Float[Tensor, "B T D"]) -> Float[Tensor, "B S D"]:
    """Give tokens of both in turn, order kept, twice as many (interleaved MoF)."""
    return torch.stack([one, other], dim=2).flatten(1, 2)
