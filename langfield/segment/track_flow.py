"""The tracker without weights: masks chained by optical flow, parts dropped for wholes, pieces joined by likeness.

Masks are there already, at three levels and with embeddings. Between neighbouring pictures dense flow says which mask
became which; a mask that was missed is looked for in the next few. What lies inside a larger mask for half of its life
is a part of it. A thing that breaks apart leaves pieces that begin inside it where it ends, and one that was hidden
looks the same when it comes back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float, Int16

from langfield.artefacts import plain
from langfield.errors import SettingsError
from langfield.progress import track
from langfield.segment.flow import Moved, move, overlap_moved, pixels_of, shared_pixels
from langfield.segment.track import Shot, TrackSettings
from langfield.segment.tube_paint import enlarged, fill, paint, painted_rows
from langfield.segment.tube_things import Joining, join, meet, wholes
from langfield.segment.tubes import Look, chain, look_at

VERSION = 2
SIDE_PX = 320
"""Longer side of the pictures that flow is found on."""


def identity(rest: str, settings: TrackSettings) -> dict[str, Any]:
    """Say what decides the tracks; nothing may stand after the name.

    Raises:
        SettingsError: something does.
    """
    if rest:
        raise SettingsError("the tracker flow takes nothing after its name", f"flow:{rest}")
    return {"tracker": "flow", "version": VERSION, "settings": plain(settings)}


class FlowTracker:
    """Tracker over optical flow; see `Tracker`."""

    name = "flow"

    def __init__(self, settings: TrackSettings) -> None:
        self.settings = settings

    def track(self, video: Sequence[Shot]) -> Iterator[Int16[np.ndarray, "H W"]]:
        """Give the id map of each picture; see `Tracker`."""
        s = self.settings
        looks = [working_look(shot, s.least_px) for shot in track(video, "tracks")]
        pairs = _Pairs(looks)
        chains = chain(looks, pairs.overlap, s.overlap, s.gap)
        met = meet(looks, chains)
        kept = wholes(met)
        tubes = [chains[i] for i in kept]
        thing = join(looks, tubes, met.of(kept), pairs.cover, Joining(s.gap, s.likeness))
        rows = painted_rows(looks, tubes, thing.tolist())
        small = [paint(one.ids, own) for one, own in zip(looks, rows, strict=True)]
        added = fill(small, pairs.moved, s.gap)
        number = numbered([np.where(m > 0, m, one) for one, m in zip(small, added, strict=True)], s.least_frames)
        for shot, own, lost in zip(video, rows, added, strict=True):
            full = paint(shot.segments.ids, own)
            more = enlarged(lost, full.shape)
            yield number[np.where(more > 0, more, full)]


def numbered(maps: Sequence[Int16[np.ndarray, "h w"]], least_frames: int) -> Int16[np.ndarray, " T"]:
    """Give the new number of thing + 1 in maps: from 1, those that cover most pixels first; 0 for those seldom seen."""
    many = max((int(m.max(initial=0)) for m in maps), default=0) + 1
    counts = np.array([np.bincount(m.ravel(), minlength=many) for m in maps])
    kept = np.flatnonzero(((counts > 0).sum(axis=0) >= least_frames) & (np.arange(many) > 0))
    order = kept[np.lexsort((kept, -counts[:, kept].sum(axis=0)))]
    number = np.zeros(many, np.int16)
    number[order] = np.arange(1, len(order) + 1)
    return number


def working_look(shot: Shot, least_px: int) -> Look:
    """Bring a picture and its id maps to working size."""
    height, width = shot.segments.ids.shape[1:]
    scale = min(1.0, SIDE_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    gray = cv2.resize(cv2.cvtColor(shot.picture, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    ids = np.stack([cv2.resize(level, size, interpolation=cv2.INTER_NEAREST) for level in shot.segments.ids])
    return look_at(np.asarray(gray), ids, shot.vectors, least_px * scale * scale)


class _Pairs:
    """What masks of two pictures have in common, the last few pairs kept."""

    def __init__(self, looks: Sequence[Look]) -> None:
        self._looks = looks
        self.moved = lru_cache(64)(self._move)

    def _move(self, here: int, there: int) -> Moved:
        return move(self._looks[here].gray, self._looks[there].gray)

    def overlap(self, here: int, there: int) -> Float[np.ndarray, "A B"]:
        """Give intersections over union."""
        a, b = self._looks[here], self._looks[there]
        table = overlap_moved(a.ids, b.ids, self.moved(here, there), _sizes(a, b))
        return table[np.ix_(a.rows, b.rows)]

    def cover(self, here: int, there: int) -> tuple[Float[np.ndarray, "A B"], Float[np.ndarray, "A B"]]:
        """Give the share of each first mask in each second one, and the other way round."""
        a, b, moved = self._looks[here], self._looks[there], self.moved(here, there)
        flat, met = a.ids.reshape(len(a.ids), -1), b.ids[:, moved.y, moved.x].reshape(len(b.ids), -1)
        sizes = _sizes(a, b)
        shared = shared_pixels(flat, met, sizes)[np.ix_(a.rows, b.rows)]
        return shared / np.maximum(pixels_of(flat, sizes[0])[a.rows][:, None], 1), shared / np.maximum(
            pixels_of(met, sizes[1])[b.rows], 1
        )


def _sizes(a: Look, b: Look) -> tuple[int, int]:
    return int(a.ids.max(initial=-1)) + 1, int(b.ids.max(initial=-1)) + 1


def load(rest: str, settings: TrackSettings) -> FlowTracker:
    """Make the tracker.

    Raises:
        SettingsError: something stands after its name.
    """
    identity(rest, settings)
    return FlowTracker(settings)
