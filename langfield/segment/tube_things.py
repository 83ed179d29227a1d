"""Tubes to things: parts go where their whole is there as often, and what broke, split or was lost is joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from langfield.segment.tubes import INSIDE, Look, Tube

COVER = 0.6
"""Share of the smaller of two masks that the other covers where one came out of the other."""
NESTED = 0.7
"""Share of the pictures that show two masks in which one lies inside the other, if both are one thing."""
KIN = 0.88
"""Cosine of embeddings from which tubes may be one thing."""
APART = 0.1
"""Share of the shorter life in which things may be seen side by side although they are one."""
FEW = 3
"""Tubes of fewer pictures are noise."""

Cover = Callable[[int, int], tuple[Float[np.ndarray, "A B"], Float[np.ndarray, "A B"]]]
"""Of the masks of two pictures: share of each first one in each second one, and the other way round."""


@dataclass(frozen=True)
class Joining:
    """When pieces are one thing."""

    gap: int
    """Pictures between the end of a piece and the beginning of another that came out of it."""
    likeness: float
    """Cosine of embeddings of a thing that was lost and found again."""


@dataclass(frozen=True)
class Meetings:
    """What T tubes have to do with each other."""

    life: Int64[np.ndarray, " T"]
    """Pictures of each."""
    both: Int64[np.ndarray, "T T"]
    """Pictures that show both."""
    inside: Int64[np.ndarray, "T T"]
    """Pictures in which the first lies inside the second."""

    def of(self, kept: Int64[np.ndarray, " K"]) -> Meetings:
        """Give the same of some of the tubes."""
        return Meetings(self.life[kept], self.both[np.ix_(kept, kept)], self.inside[np.ix_(kept, kept)])


def meet(looks: Sequence[Look], tubes: Sequence[Tube]) -> Meetings:
    """Count how often tubes are seen together and inside each other."""
    number = {(t, k): i for i, tube in enumerate(tubes) for t, k in tube.masks.items()}
    both, inside = np.zeros((2, len(tubes), len(tubes)), np.int64)
    for t, one in enumerate(looks):
        own = [number.get((t, k), -1) for k in range(len(one.rows))]
        kept = np.array([k for k, i in enumerate(own) if i >= 0], np.int64)
        at = np.ix_(*[np.array(own, np.int64)[kept]] * 2)
        both[at] += 1
        within = np.asarray(one.inside[np.ix_(kept, kept)] >= INSIDE)
        inside[at] += within & np.less.outer(one.areas[kept], one.areas[kept])
    return Meetings(np.array([len(tube) for tube in tubes], np.int64), both, inside)


def wholes(met: Meetings) -> Int64[np.ndarray, " K"]:
    """Give the tubes that are things or pieces of things in time.

    What lies inside another for half of its life is a part of it; a mask that for a while holds several things that are
    on their own most of their lives is none.
    """
    mine = np.asarray(met.inside >= 0.5 * met.life[:, None])
    part = np.any(mine, axis=1)
    guests = (met.inside >= 0.5 * met.life) & ~mine & ~part[:, None]
    nested = met.inside + met.inside.T >= 0.5 * np.maximum(met.both, 1)
    mixed = np.array([
        bool((~nested[np.ix_(own, own)] & ~np.eye(len(own), dtype=bool)).any())
        for own in (np.flatnonzero(column) for column in guests.T)
    ], bool)  # fmt: skip
    return np.flatnonzero(~mixed & (met.life >= FEW) & ~mine[:, ~mixed].any(axis=1))


def tube_vectors(looks: Sequence[Look], tubes: Sequence[Tube]) -> Float[np.ndarray, "T D"]:
    """Give the mean direction of each tube's masks, by the root of their area."""
    sums = [sum(looks[t].vectors[k] * np.sqrt(looks[t].areas[k]) for t, k in tube.masks.items()) for tube in tubes]
    table = np.array(sums, np.float64)
    return table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-12)


def join(
    looks: Sequence[Look], tubes: Sequence[Tube], met: Meetings, cover: Cover, rule: Joining
) -> Int64[np.ndarray, " T"]:
    """Give the thing of each tube, numbered from 0.

    Tubes that nest, that go on where another ends, or that look alike at different times are one thing, the most alike
    first, unless both are seen side by side. What a thing loses to a tube that begins in it stays with it.

    Args:
        looks: the pictures.
        tubes: of them.
        met: these tubes.
        cover: how far masks of two pictures cover each other.
        rule: when tubes are one thing.
    """
    vectors = tube_vectors(looks, tubes)
    like = vectors @ vectors.T if len(tubes) else np.zeros((0, 0))
    nested = (met.both > 0) & (met.inside + met.inside.T >= NESTED * met.both)
    groups = _Groups(tubes, met)
    near = np.argwhere(np.triu(like >= KIN, 1))
    for a, b in near[np.argsort(-like[near[:, 0], near[:, 1]], kind="stable")].tolist():
        old, new = (a, b) if tubes[a].first <= tubes[b].first else (b, a)
        again = like[a, b] >= rule.likeness
        if groups.may_be_one(a, b) and (nested[a, b] or again or _goes_on(tubes[old], tubes[new], cover, rule.gap)):
            groups.unite(a, b)
    for a, b in [(a, b) for a, b in np.argwhere(like >= KIN).tolist() if groups.of(a) != groups.of(b)]:
        if groups.first(b) > groups.first(a) and _broke_off(looks, tubes[a], tubes[b], cover, rule.gap):
            groups.unite(a, b)
    return np.unique([groups.of(i) for i in range(len(tubes))], return_inverse=True)[1].astype(np.int64)


def _goes_on(old: Tube, new: Tube, cover: Cover, gap: int) -> bool:
    """Tell whether a tube begins where another ended shortly before."""
    if not 0 < new.first - old.last <= gap + 1:
        return False
    here, there = cover(old.last, new.first)
    a, b = old.masks[old.last], new.masks[new.first]
    return bool(max(here[a, b], there[a, b]) >= COVER)


def _broke_off(looks: Sequence[Look], old: Tube, new: Tube, cover: Cover, gap: int) -> bool:
    """Tell whether the pixels of a tube belonged to another just before they are seen beside it."""
    beside = [t for t, k in sorted(new.masks.items()) if t not in old.masks or not _within(looks[t], k, old.masks[t])]
    before = max((t for t in old.masks if beside and t < beside[0]), default=-1)
    if before < 0 or beside[0] - before > gap + 1 or before < new.first - gap - 1:
        return False
    return bool(cover(before, beside[0])[1][old.masks[before], new.masks[beside[0]]] >= INSIDE)


def _within(one: Look, small: int, large: int) -> bool:
    return bool(one.inside[small, large] >= INSIDE)


class _Groups:
    """Tubes that are one thing, and how often things are seen side by side."""

    def __init__(self, tubes: Sequence[Tube], met: Meetings) -> None:
        self._into = np.arange(len(tubes))
        self._apart = met.both - met.inside - met.inside.T
        np.fill_diagonal(self._apart, 0)
        self._seen = [set(tube.masks) for tube in tubes]

    def of(self, one: int) -> int:
        return int(self._into[one])

    def first(self, one: int) -> int:
        """Give the picture where the thing of a tube begins."""
        return min(self._seen[self.of(one)])

    def may_be_one(self, a: int, b: int) -> bool:
        """Tell whether the things of two tubes differ and are hardly ever seen side by side."""
        one, other = self.of(a), self.of(b)
        least = min(len(self._seen[one]), len(self._seen[other]))
        return one != other and self._apart[one, other] <= APART * least

    def unite(self, a: int, b: int) -> None:
        first, second = sorted((self.of(a), self.of(b)))
        self._into[self._into == second] = first
        self._seen[first] |= self._seen[second]
        self._apart[first] += self._apart[second]
        self._apart[:, first] = self._apart[first]
        self._apart[first, first] = 0


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
