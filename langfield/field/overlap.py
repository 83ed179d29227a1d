"""How far segments of different views cover the same Gaussians, where both views see them.

An intersection over union in space: a Gaussian belongs to a segment where that takes most of what its view sees of it,
counts by the pixels it covers, and only as far as both views see it. So a thing half hidden in one view still agrees
with itself in another (the view consensus of MaskClustering, 2401.07745, with weights in place of counts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Bool, Float, Int64

from langfield.field.lift import SEGMENT_BITS, Sums

HALF_SEEN_PX = 1.0
"""A Gaussian that a view sees with this weight counts half."""
MOST_GAUSSIANS = 2**16
"""Overlaps are measured on this many at most, evenly over small and large ones."""


@dataclass(frozen=True)
class Seen:
    """What views see of Gaussians, as entries (segment, Gaussian) and pairs (view, Gaussian)."""

    column: Int64[np.ndarray, " S"]
    """Column of the sums that each segment is, rising."""
    segment: Int64[np.ndarray, " M"]
    """Of each entry, 0 to S - 1."""
    gaussian: Int64[np.ndarray, " M"]
    weight: Float[np.ndarray, " M"]
    """Pixels of the Gaussian in the segment."""
    pair: Int64[np.ndarray, " P"]
    """View times N plus Gaussian, rising."""
    total: Float[np.ndarray, " P"]
    """Pixels of the Gaussian in all segments of that view, at the level that holds most of it."""
    of: Int64[np.ndarray, " M"]
    """Pair of each entry."""
    n: int
    """Number N of Gaussians."""

    @property
    def view(self) -> Int64[np.ndarray, " S"]:
        """View of each segment."""
        return self.column >> SEGMENT_BITS

    @property
    def inside(self) -> Bool[np.ndarray, " M"]:
        """Whether the entry's segment takes most of what its view sees of the Gaussian."""
        return self.weight > 0.5 * self.total[self.of]


def seen_by(sums: Sums, n: int) -> Seen:
    """Order the gated weights of sums by segments and by views.

    Args:
        sums: of any views.
        n: number of Gaussians.
    """
    weight = sums.weight[:, 0].numpy()
    kept = weight > 0
    weight, gaussian = weight[kept], sums.gaussian.numpy()[kept]
    column, segment = np.unique(sums.column.numpy()[kept], return_inverse=True)
    pair_of_entry = (column >> SEGMENT_BITS)[segment] * n + gaussian
    by_level, place = np.unique(pair_of_entry * 8 + sums.level.numpy()[kept], return_inverse=True)
    level_total = np.bincount(place, weight, minlength=len(by_level))
    pair, start, of_level = np.unique(by_level // 8, return_index=True, return_inverse=True)
    total = np.maximum.reduceat(level_total, start) if len(start) else level_total
    return Seen(column, segment, gaussian, weight, pair, total, of_level[place], n)


@dataclass(frozen=True)
class Overlaps:
    """Sums from which intersections and unions of groups of segments follow; both add up when groups are joined."""

    member: Any
    """Sparse [S, N]: how far each segment's Gaussians are seen by its view."""
    size: Any
    """Sparse [S, N]: the same times the pixels they cover."""
    area: Float[np.ndarray, "S V"]
    """Size of each segment as far as each view sees it."""
    view: Int64[np.ndarray, " S"]
    """View of each segment, a column of `area`."""

    def of_groups(self, group: Int64[np.ndarray, " S"], many: int) -> tuple[np.ndarray, np.ndarray]:
        """Give summed intersections and unions [G, G] over all pairs of segments, one of each of two groups.

        Args:
            group: 0 to `many` - 1, or -1 for segments left out.
            many: number G of groups.
        """
        own = np.flatnonzero(group >= 0)
        pick: Any = sp.csr_matrix((np.ones(len(own)), (group[own], own)), shape=(many, len(group)))
        views: Any = sp.csr_matrix(
            (np.ones(len(group)), (np.arange(len(group)), self.view)), (len(group), self.area.shape[1])
        )
        shared = ((pick @ self.size) @ (pick @ self.member).T).toarray()
        area = (pick @ self.area) @ (pick @ views).T.toarray()
        counted = area + area.T
        return (shared + shared.T) / 2, counted - (shared + shared.T) / 2


def measure_overlaps(seen: Seen) -> Overlaps:
    """Prepare the overlaps of all segments."""
    gaussian_of_pair = seen.pair % seen.n
    trust = seen.total / (seen.total + HALF_SEEN_PX)
    pixels = np.bincount(gaussian_of_pair, seen.total, minlength=seen.n)
    pixels = pixels / np.maximum(np.bincount(gaussian_of_pair, trust, minlength=seen.n), 1e-12)
    pixels = pixels * _sample(pixels)
    kept = np.flatnonzero(seen.inside & (pixels[seen.gaussian] > 0))
    shape = (len(seen.column), seen.n)
    rows, columns, own = seen.segment[kept], seen.gaussian[kept], trust[seen.of[kept]]
    member = sp.csr_matrix((own, (rows, columns)), shape=shape)
    size: Any = sp.csr_matrix((own * pixels[columns], (rows, columns)), shape=shape)
    names, view = np.unique(seen.view, return_inverse=True)
    place = np.searchsorted(names, seen.pair // seen.n)
    views: Any = sp.csr_matrix((trust, (place, gaussian_of_pair)), shape=(len(names), seen.n))
    return Overlaps(member, size, (size @ views.T).toarray(), view)


def _sample(pixels: Float[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Choose Gaussians evenly over the order of their sizes."""
    chosen = np.zeros(len(pixels), bool)
    order = np.argsort(pixels, kind="stable")[::-1][: int((pixels > 0).sum())]
    chosen[order[:: max(1, -(-len(order) // MOST_GAUSSIANS))]] = True
    return chosen
