"""Where the segments of one keyframe lie among Gaussians, and how alike segments of two keyframes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Float32, Int32

from langfield.field.lift import SEGMENT_BITS, STEPS_PER_PX
from langfield.field.overlap import HALF_SEEN_PX
from langfield.online.language_looks import Look


@dataclass(frozen=True)
class Support:
    """A keyframe's segments and the Gaussians, by name, that it sees."""

    inside: Any
    """Sparse [M, G]: pixels of a Gaussian in each segment that takes most of what the keyframe sees of it."""
    names: Int32[np.ndarray, " V"]
    """Gaussians that are seen, rising."""
    pixels: Float32[np.ndarray, " V"]
    """How much of each, at the level that holds most of it."""
    weight: Float[np.ndarray, " M"]
    """Pixels of each segment."""

    def dense(self, names: int) -> Float32[np.ndarray, " G"]:
        """Give the pixels of every Gaussian, 0 where it is not seen."""
        out = np.zeros(names, np.float32)
        out[self.names] = self.pixels
        return out


def support_of(one: Look) -> Support:
    """Measure where a keyframe's segments lie; `langfield.field.overlap.seen_by` for one view, without sorting."""
    sums = one.sums
    weight = (sums.steps[:, 0].clamp_min(0).double() / STEPS_PER_PX).numpy()
    level, gaussian = sums.level.numpy(), sums.gaussian.numpy()
    segment = (sums.column & (2**SEGMENT_BITS - 1)).numpy()
    many = int(gaussian.max(initial=-1)) + 1
    total = np.zeros(many)
    for value in range(len(one.ids)):
        at = slice(*np.searchsorted(level, [value, value + 1]))
        np.maximum(total, np.bincount(gaussian[at], weight[at], minlength=many), out=total)
    kept = weight > 0.5 * total[gaussian]
    shape = (len(one.codes), many)
    inside: Any = sp.csr_matrix((weight[kept].astype(np.float32), (segment[kept], gaussian[kept])), shape=shape)
    names = np.flatnonzero(total)
    area = np.asarray(inside.sum(axis=1), dtype=float).reshape(-1)
    return Support(inside, names.astype(np.int32), total[names].astype(np.float32), area)


class Against:
    """One keyframe's segments, ready to be held against those of others.

    Args:
        one: its support.
        names: number G of names given to Gaussians so far.
    """

    def __init__(self, one: Support, names: int) -> None:
        self.pixels, self.g = one.dense(names), names
        self.trust = self.pixels / (self.pixels + HALF_SEEN_PX)
        self.member = _members(one, self.trust, names)
        self.size = self.member.multiply(self.pixels[None]).tocsr()
        self._turned = self.size.T.tocsr()

    def of(self, other: Support) -> tuple[Float[np.ndarray, "M O"], Float[np.ndarray, "M O"]]:
        """Give intersections and unions with another's segments, in pixels of the first; both add up over segments."""
        seen = other.dense(self.g)
        trust = seen / (seen + HALF_SEEN_PX)
        theirs = _members(other, trust, self.g)
        shared = (theirs @ self._turned).toarray().T
        mine_seen, theirs_seen = self.size @ trust, theirs @ (self.pixels * self.trust)
        return shared, mine_seen[:, None] + theirs_seen[None] - shared


def _members(one: Support, trust: Float32[np.ndarray, " G"], names: int) -> Any:
    """Give the sparse [M, G] of how far each segment's Gaussians are seen."""
    inside = one.inside
    return sp.csr_matrix((trust[inside.indices], inside.indices, inside.indptr), shape=(inside.shape[0], names))


def most_shared(one: Support, others: dict[int, Support], names: int, most: int) -> list[int]:
    """Give the keyframes, at most so many, that share most Gaussians with one, the one that shares most first."""
    seen = np.zeros(names, bool)
    seen[one.names] = True
    shared = {i: int(seen[other.names].sum()) for i, other in others.items()}
    order: list[int] = sorted((i for i in shared if shared[i]), key=lambda i: (-shared[i], i))
    return order[:most]
