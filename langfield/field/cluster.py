"""Joining what overlaps, the nearest pair first (average linkage over sums of intersections and unions)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64

from langfield.field.overlap import Overlaps

MOST_AT_ONCE = 4096
"""Groups that are compared each with each; more are joined view by view first."""
STEP = 1e-9
"""Likenesses nearer than this are equal, and the first pair of equals is joined first."""


def join_segments(overlaps: Overlaps, least: float) -> Int64[np.ndarray, " S"]:
    """Give each segment's group, numbered from 0.

    Args:
        overlaps: of all segments.
        least: groups whose intersection over union is below this stay apart.
    """
    many, views = overlaps.area.shape
    group = np.arange(many)  # a group's name is its first segment
    span = views if many <= MOST_AT_ONCE else 1
    while many:
        first_view = np.full(many, views)
        np.minimum.at(first_view, group, overlaps.view)
        for start in range(0, views, span):  # neighbouring views first, then ever longer runs of them
            members = np.flatnonzero((first_view >= start) & (first_view < start + span))
            group = _join(overlaps, group, _largest(overlaps, group, members), least)
        if span >= views:
            break
        span *= 2
    return np.unique(group, return_inverse=True)[1]


def _largest(
    overlaps: Overlaps, group: Int64[np.ndarray, " S"], members: Int64[np.ndarray, " G"]
) -> Int64[np.ndarray, " G"]:
    """Keep at most MOST_AT_ONCE groups, those of most area."""
    if len(members) <= MOST_AT_ONCE:
        return members
    area = np.bincount(group, overlaps.area.max(axis=1), minlength=len(group))[members]
    return np.sort(members[np.argsort(-area, kind="stable")[:MOST_AT_ONCE]])


def _join(
    overlaps: Overlaps, group: Int64[np.ndarray, " S"], members: Int64[np.ndarray, " G"], least: float
) -> Int64[np.ndarray, " S"]:
    """Join some groups with each other; the others stay as they are."""
    place = np.full(len(group), -1)
    place[members] = np.arange(len(members))
    merged = Linkage(*overlaps.of_groups(place[group], len(members)), least).run()
    target = np.arange(len(group))
    target[members] = members[merged]
    return target[group]


@dataclass
class Linkage:
    """Groups, and which others they are most like."""

    shared: Float[np.ndarray, "G G"]
    union: Float[np.ndarray, "G G"]
    least: float

    def run(self) -> Int64[np.ndarray, " G"]:
        """Give for every group the first of those it was joined with."""
        many = len(self.shared)
        into = np.arange(many)
        if many < 2:
            return into
        for table in (self.shared, self.union):
            np.fill_diagonal(table, 0.0)
        self._alike = self._likeness(self.shared, self.union)
        self._best = self._alike.argmax(axis=1)
        self._top = self._alike[np.arange(many), self._best]
        while self._top.max() >= self.least:
            keep = int(self._top.argmax())
            keep, gone = sorted((keep, int(self._best[keep])))
            into[into == gone] = keep
            self._absorb(keep, gone)
        return into

    def _likeness(self, shared: np.ndarray, union: np.ndarray) -> np.ndarray:
        return np.where(union > 0, np.round(shared / np.maximum(union, 1e-30) / STEP) * STEP, -1.0)

    def _absorb(self, keep: int, gone: int) -> None:
        for table in (self.shared, self.union):
            table[keep] += table[gone]
            table[keep, keep] = 0.0
            table[:, keep] = table[keep]
            table[gone] = table[:, gone] = 0.0
        row = self._likeness(self.shared[keep], self.union[keep])
        row[keep] = -1.0
        self._alike[gone] = self._alike[:, gone] = -1.0
        self._alike[keep] = self._alike[:, keep] = row
        stale: Bool[np.ndarray, " G"] = (self._best == gone) | (self._best == keep)
        stale[[keep, gone]] = True
        better = (row > self._top) & ~stale
        self._best[better], self._top[better] = keep, row[better]
        for other in np.flatnonzero(stale):
            self._best[other] = self._alike[other].argmax()
            self._top[other] = self._alike[other, self._best[other]]
