"""Tubes to things: parts go where their whole is there as often, and what broke, split or was lost is joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from langfield.segment.tubes import INSIDE, Look, Tube

COVER = 0.6
"""Share of the smaller of two masks that the other covers where one came out of the other."""
KIN = 0.6
"""Cosine of embeddings above which a thing may have come out of another."""

Cover = Callable[[int, int], tuple[Float[np.ndarray, "A B"], Float[np.ndarray, "A B"]]]
"""Of the masks of two pictures: share of each first one in each second one, and the other way round."""


@dataclass(frozen=True)
class Joining:
    """When pieces are one thing."""

    gap: int
    """Pictures between the end of a piece and the beginning of another that came out of it."""
    likeness: float
    """Cosine of embeddings of a thing that was lost and found again."""


def wholes(looks: Sequence[Look], tubes: Sequence[Tube]) -> list[Tube]:
    """Leave out tubes that lie inside another one for half of their life."""
    number = {(t, k): i for i, tube in enumerate(tubes) for t, k in tube.masks.items()}
    counts: dict[tuple[int, int], int] = {}
    for t, one in enumerate(looks):
        small, large = np.nonzero((one.inside >= INSIDE) & (one.areas[:, None] < one.areas[None]))
        for a, b in zip(small.tolist(), large.tolist(), strict=True):
            pair = number.get((t, a)), number.get((t, b))
            if pair[0] is not None and pair[1] is not None:
                counts[pair[0], pair[1]] = counts.get((pair[0], pair[1]), 0) + 1
    parts = {a for (a, b), frames in counts.items() if a != b and frames >= 0.5 * len(tubes[a])}
    return [tube for i, tube in enumerate(tubes) if i not in parts]


def tube_vectors(looks: Sequence[Look], tubes: Sequence[Tube]) -> Float[np.ndarray, "T D"]:
    """Give the mean direction of each tube's masks, by the root of their area."""
    sums = [sum(looks[t].vectors[k] * np.sqrt(looks[t].areas[k]) for t, k in tube.masks.items()) for tube in tubes]
    table = np.array(sums, np.float64)
    return table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-12)


def join(looks: Sequence[Look], tubes: Sequence[Tube], cover: Cover, rule: Joining) -> Int64[np.ndarray, " T"]:
    """Give the thing of each tube, numbered from 0.

    Args:
        looks: the pictures.
        tubes: of them.
        cover: how far masks of two pictures cover each other.
        rule: when tubes are one thing.
    """
    vectors = tube_vectors(looks, tubes)
    groups = _Groups(len(tubes))
    for a, old in enumerate(tubes):
        for b, new in enumerate(tubes):
            near = 0 < new.first - old.last <= rule.gap + 1
            if near and vectors[a] @ vectors[b] >= KIN and _came_out(old, new, cover):
                groups.unite(a, b)
    _find_again(tubes, vectors, groups, rule.likeness)
    return np.unique([groups.of(i) for i in range(len(tubes))], return_inverse=True)[1].astype(np.int64)


def _came_out(old: Tube, new: Tube, cover: Cover) -> bool:
    here, there = cover(old.last, new.first)
    a, b = old.masks[old.last], new.masks[new.first]
    return bool(max(here[a, b], there[a, b]) >= COVER)


def _find_again(tubes: Sequence[Tube], vectors: Float[np.ndarray, "T D"], groups: _Groups, least: float) -> None:
    """Join things that are never seen together and look alike, the most alike first."""
    like = vectors @ vectors.T if len(tubes) else np.zeros((0, 0))
    a, b = np.nonzero(np.triu(like >= least, 1))
    for i in np.lexsort((b, a, -like[a, b])):
        seen = [{t for j, tube in enumerate(tubes) if groups.of(j) == g for t in tube.masks} for g in
                (groups.of(int(a[i])), groups.of(int(b[i])))]  # fmt: skip
        if not seen[0] & seen[1]:
            groups.unite(int(a[i]), int(b[i]))


class _Groups:
    def __init__(self, many: int) -> None:
        self._into = list(range(many))

    def of(self, one: int) -> int:
        while self._into[one] != one:
            one = self._into[one]
        return one

    def unite(self, a: int, b: int) -> None:
        first, second = sorted((self.of(a), self.of(b)))
        self._into[second] = first


def shown(one: Look, lives: dict[int, int]) -> list[int]:
    """Give the masks of a picture that are painted, larger ones first: none inside another that lives longer.

    Args:
        one: the picture.
        lives: of each mask that belongs to a thing, how many pictures show the thing.
    """
    masks = sorted(lives, key=lambda k: (-one.areas[k], k))
    inside: Bool[np.ndarray, "K K"] = one.inside >= INSIDE
    return [
        k for k in masks
        if not any(inside[k, w] and one.areas[w] > one.areas[k] and lives[w] >= lives[k] for w in masks)
    ]  # fmt: skip
