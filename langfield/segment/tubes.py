"""Masks of one video chained to tubes: the same mask from picture to picture, whatever level it was found at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float, Int16, Int64, UInt8

from langfield.segment.flow import pixels_of, shared_pixels

SAME = 0.8
"""Masks of one picture whose intersection over union reaches this are one mask, found at several levels."""
INSIDE = 0.8
"""Share of a mask that must lie in another for it to be a part of it."""


@dataclass(frozen=True)
class Look:
    """One picture at working size."""

    gray: UInt8[np.ndarray, "h w"]
    ids: Int16[np.ndarray, "L h w"]
    """Segment per level and pixel, -1 where none."""
    rows: Int64[np.ndarray, " K"]
    """The segments that are followed: of each mask the one of the highest level."""
    areas: Float[np.ndarray, " K"]
    """Pixels of each of these."""
    inside: Float[np.ndarray, "K K"]
    """Share of each that lies in each other one."""
    vectors: Float[np.ndarray, "K D"]


def look_at(
    gray: UInt8[np.ndarray, "h w"],
    ids: Int16[np.ndarray, "L h w"],
    vectors: Float[np.ndarray, "M D"],
    least_px: float,
) -> Look:
    """Choose the masks of a picture that are followed.

    Args:
        gray: the picture.
        ids: id maps of the same size.
        vectors: unit vector of each of M segments.
        least_px: smallest mask that is followed.
    """
    many = len(vectors)
    flat = ids.reshape(len(ids), -1)
    areas = pixels_of(flat, many)
    shared = shared_pixels(flat, flat, (many, many))
    iou = shared / np.maximum(areas[:, None] + areas - shared, 1)
    kept: list[int] = []
    for row in range(many - 1, -1, -1):  # rows of the highest level come last
        if areas[row] >= max(least_px, 1) and not any(iou[row, k] >= SAME for k in kept):
            kept.append(row)
    rows = np.array(kept[::-1], np.int64)
    inside = shared[np.ix_(rows, rows)] / np.maximum(areas[rows], 1)[:, None]
    return Look(gray, ids, rows, areas[rows].astype(float), inside, vectors[rows])


@dataclass
class Tube:
    """A mask through the video: in each picture where it was found, a number into `Look.rows`."""

    masks: dict[int, int] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """Picture where it begins."""
        return min(self.masks)

    @property
    def last(self) -> int:
        """Picture where it ends."""
        return max(self.masks)

    def __len__(self) -> int:
        return len(self.masks)


Overlap = Callable[[int, int], Float[np.ndarray, "A B"]]
"""Intersection over union of the masks of a picture with those of a later one."""


def chain(looks: Sequence[Look], overlap: Overlap, least: float, gap: int) -> list[Tube]:
    """Chain masks of neighbouring pictures, then tubes that end with tubes that begin within `gap` pictures.

    Args:
        looks: in the order of time.
        overlap: of the masks of two pictures.
        least: smallest intersection over union of masks that are one.
        gap: pictures in between in which a mask may be missing.
    """
    tubes: list[Tube] = []
    at: dict[int, Tube] = {}
    for t, one in enumerate(looks):
        before = at
        pairs = best_pairs(overlap(t - 1, t), least) if t and len(one.rows) and before else []
        at = {b: before[a] for a, b in pairs}
        for k in range(len(one.rows)):
            if k not in at:
                at[k] = Tube()
                tubes.append(at[k])
            at[k].masks[t] = k
    for step in range(2, gap + 2):
        tubes = bridge(tubes, overlap, least, step)
    return tubes


def bridge(tubes: list[Tube], overlap: Overlap, least: float, step: int) -> list[Tube]:
    """Join tubes that end with tubes that begin `step` pictures later."""
    ends: dict[int, list[Tube]] = {}
    begins: dict[int, list[Tube]] = {}
    for tube in tubes:
        ends.setdefault(tube.last, []).append(tube)
        begins.setdefault(tube.first, []).append(tube)
    gone: set[int] = set()
    for t in sorted(ends):
        old, new = ends[t], begins.get(t + step, [])
        if not new:
            continue
        table = overlap(t, t + step)[np.ix_([o.masks[t] for o in old], [n.masks[t + step] for n in new])]
        for a, b in best_pairs(table, least):
            old[a].masks |= new[b].masks
            gone.add(id(new[b]))
            ends[new[b].last][ends[new[b].last].index(new[b])] = old[a]
    return [tube for tube in tubes if id(tube) not in gone]


def best_pairs(table: Float[np.ndarray, "A B"], least: float) -> list[tuple[int, int]]:
    """Give pairs of rows and columns, each at most once, the most alike first."""
    a, b = np.nonzero(table >= least)
    order = np.lexsort((b, a, -table[a, b]))
    used_a, used_b, found = set[int](), set[int](), list[tuple[int, int]]()
    for i in order:
        row, column = int(a[i]), int(b[i])
        if row not in used_a and column not in used_b:
            used_a.add(row)
            used_b.add(column)
            found.append((row, column))
    return found
