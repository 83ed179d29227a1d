"""Things to id maps: masks painted over each other, and holes of a few pictures filled from their neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from jaxtyping import Int16

from langfield.segment.flow import Moved
from langfield.segment.tube_things import shown
from langfield.segment.tubes import Look, Tube


def painted_rows(looks: Sequence[Look], tubes: Sequence[Tube], things: Sequence[int]) -> list[dict[int, int]]:
    """Give for every picture the segments that are painted, in this order, and the thing of each."""
    frames: dict[int, set[int]] = {}
    for tube, thing in zip(tubes, things, strict=True):
        frames.setdefault(thing, set()).update(tube.masks)
    at: list[dict[int, int]] = [{} for _ in looks]
    for tube, thing in zip(tubes, things, strict=True):
        for t, k in tube.masks.items():
            at[t][k] = thing
    lives = {thing: len(seen) for thing, seen in frames.items()}
    return [
        {int(one.rows[k]): own[k] for k in shown(one, {k: lives[thing] for k, thing in own.items()})}
        for one, own in zip(looks, at, strict=True)
    ]


def paint(ids: Int16[np.ndarray, "L H W"], rows: dict[int, int]) -> Int16[np.ndarray, "H W"]:
    """Paint segments as things + 1, one over the other."""
    out = np.zeros(ids.shape[1:], np.int16)
    for row, thing in rows.items():
        out[(ids == row).any(axis=0)] = thing + 1
    return out


def fill(
    maps: Sequence[Int16[np.ndarray, "h w"]], moved: Callable[[int, int], Moved], reach: int
) -> list[Int16[np.ndarray, "h w"]]:
    """Give what is added to each map: things that it misses, as the nearest maps before and after show them.

    A thing that both sides show is put back wherever it was; one that only one side shows takes what nothing else has.

    Args:
        maps: thing + 1, 0 where none.
        moved: where pixels of a picture are in another.
        reach: pictures that are looked at before and after.

    Returns:
        Thing + 1 where something is added, 0 elsewhere.
    """
    seen = [set(np.unique(m).tolist()) - {0} for m in maps]
    added = [np.zeros_like(m) for m in maps]
    for t, own in enumerate(maps):
        known = set(seen[t])
        for there in [t + d * side for d in range(1, reach + 1) for side in (-1, 1)]:
            missing = seen[there] - known if 0 <= there < len(maps) else set()
            if not missing:
                continue
            beyond = range(t + 1, min(len(maps), t + reach + 1)) if there < t else range(max(0, t - reach), t)
            both = missing & set[int]().union(*(seen[n] for n in beyond))
            way = moved(t, there)
            met = np.where(way.sure, maps[there][way.y, way.x], 0)
            take = (added[t] == 0) & (np.isin(met, sorted(both)) | (np.isin(met, sorted(missing)) & (own == 0)))
            added[t][take] = met[take]
            known |= set(np.unique(met[take]).tolist())
    return added


def enlarged(small: Int16[np.ndarray, "h w"], shape: tuple[int, int]) -> Int16[np.ndarray, "H W"]:
    """Bring a map to a size, nearest."""
    return np.asarray(cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST))
