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
KIN = 0.9
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
        inside[at] += (one.inside >= INSIDE)[np.ix_(kept, kept)] & (one.areas[kept][:, None] < one.areas[kept])
    return Meetings(np.array([len(tube) for tube in tubes], np.int64), both, inside)


def wholes(met: Meetings) -> Int64[np.ndarray, " K"]:
    """Give the tubes that are things or pieces of things in time.

    What lies inside another for half of its life is a part of it; a mask that for a while holds several things that are
    on their own most of their lives is none.
    """
    mine = met.inside >= 0.5 * met.life[:, None]
    part = mine.any(axis=1)
    guests = (met.inside >= 0.5 * met.life) & ~mine & ~part[:, None]
    nested = met.inside + met.inside.T >= 0.5 * np.maximum(met.both, 1)
    mixed = np.array([
        bool((~nested[np.ix_(own, own)] & ~np.eye(len(own), dtype=bool)).any())
        for own in (np.flatnonzero(column) for column in guests.T)
    ], bool)  # fmt: skip
    return np.flatnonzero(~mixed & ~mine[:, ~mixed].any(axis=1))


def tube_vectors(looks: Sequence[Look], tubes: Sequence[Tube]) -> Float[np.ndarray, "T D"]:
    """Give the mean direction of each tube's masks, by the root of their area."""
    sums = [sum(looks[t].vectors[k] * np.sqrt(looks[t].areas[k]) for t, k in tube.masks.items()) for tube in tubes]
    table = np.array(sums, np.float64)
    return table / np.maximum(np.linalg.norm(table, axis=-1, keepdims=True), 1e-12)


def join(
    looks: Sequence[Look], tubes: Sequence[Tube], met: Meetings, cover: Cover, rule: Joining
) -> Int64[np.ndarray, " T"]:
    """Give the thing of each tube, numbered from 0.

    Args:
        looks: the pictures.
        tubes: of them.
        met: these tubes.
        cover: how far masks of two pictures cover each other.
        rule: when tubes are one thing.
    """
    vectors = tube_vectors(looks, tubes)
    groups = _Groups(len(tubes))
    kin = vectors @ vectors.T >= KIN
    nested = (met.both > 0) & (met.inside + met.inside.T >= NESTED * met.both) & kin
    for a, old in enumerate(tubes):
        for b, new in enumerate(tubes):
            if (a < b and nested[a, b]) or (a != b and kin[a, b] and _came_out(old, new, cover, rule.gap)):
                groups.unite(a, b)
    _find_again(tubes, vectors, groups, rule.likeness)
    return np.unique([groups.of(i) for i in range(len(tubes))], return_inverse=True)[1].astype(np.int64)


def _came_out(old: Tube, new: Tube, cover: Cover, gap: int) -> bool:
    """Tell whether a tube begins in one that ends there, or inside one that goes on."""
    before = max((t for t in old.masks if t < new.first), default=-gap - 2)
    if new.first - before > gap + 1:
        return False
    here, there = cover(before, new.first)
    a, b = old.masks[before], new.masks[new.first]
    ends = before == old.last
    return bool(there[a, b] >= INSIDE or (ends and max(here[a, b], there[a, b]) >= COVER))


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
