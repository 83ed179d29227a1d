"""Trackers that walk through a video once, as DEVA (2309.03903) does: a picture and its detections in, an id map out.

"online:MODULE:NAME" names anybody's own: called without arguments, NAME gives an `Online`. For DEVA that is a few lines
around its `DEVAInferenceCore`: `incorporate_detection` where there are detections, `step` where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int16, UInt8

from langfield.artefacts import plain
from langfield.errors import EnvironmentProblem, FormatError, SettingsError
from langfield.progress import track
from langfield.segment.track import Shot, TrackSettings
from langfield.segment.track_flow import numbered

VERSION = 1
EVERY = 5
"""Detections are given with every so many pictures (DEVA: 5)."""


class Online(Protocol):
    """A tracker of one video."""

    version: str
    """What tells its tracks from those of other weights or settings."""

    def step(
        self, picture: UInt8[np.ndarray, "H W 3"], detections: Int16[np.ndarray, "H W"] | None
    ) -> Int16[np.ndarray, "H W"]:
        """Give the id map of the next picture.

        Args:
            picture: RGB.
            detections: masks of this picture numbered from 1 in any order, 0 where none; None: only propagate.

        Returns:
            Numbers of things, the same through the video; 0 where none.
        """
        ...


def identity(rest: str, settings: TrackSettings) -> dict[str, Any]:
    """Say what decides the tracks.

    Raises:
        SettingsError: it is not named as MODULE:NAME.
        EnvironmentProblem: there is no such module or name.
    """
    return {
        "tracker": f"online:{rest}", "version": VERSION, "of": str(_make(rest).version), "every": EVERY,
        "settings": plain(settings),
    }  # fmt: skip


class OnlineTracker:
    """Tracker over one that walks through a video once; see `Tracker`."""

    def __init__(self, name: str, settings: TrackSettings) -> None:
        self.name, self.settings = f"online:{name}", settings
        self._rest = name

    def track(self, video: Sequence[Shot]) -> Iterator[Int16[np.ndarray, "H W"]]:
        """Give the id map of each picture; see `Tracker`."""
        follower, names, maps = _make(self._rest), dict[int, int](), list[Int16[np.ndarray, "H W"]]()
        for t, shot in enumerate(track(video, "tracks")):
            ids = np.asarray(follower.step(shot.picture, detections_of(shot) if t % EVERY == 0 else None))
            if ids.shape != shot.picture.shape[:2] or not np.issubdtype(ids.dtype, np.integer) or ids.min() < 0:
                raise FormatError("a tracker gave no id map of its picture", f"{self.name}, {ids.dtype} {ids.shape}")
            seen, places = np.unique(ids, return_inverse=True)
            own = [names.setdefault(int(one), len(names) + 1) if one else 0 for one in seen]
            maps.append(np.array(own, np.int16)[places].reshape(ids.shape))
        number = numbered(maps, self.settings.least_frames)
        yield from (number[ids] for ids in maps)


def detections_of(shot: Shot) -> Int16[np.ndarray, "H W"]:
    """Give the masks of the largest level, and where it has none those of the smaller ones."""
    ids = np.full(shot.segments.ids.shape[1:], -1, np.int16)
    for level in shot.segments.ids:
        ids = np.where(level >= 0, level, ids)
    return (ids + 1).astype(np.int16)


def load(rest: str, settings: TrackSettings) -> OnlineTracker:
    """Make the tracker from "MODULE:NAME".

    Raises:
        SettingsError: it is not named so.
        EnvironmentProblem: there is no such module or name.
    """
    _make(rest)
    return OnlineTracker(rest, settings)


def _make(rest: str) -> Online:
    module, _, name = rest.partition(":")
    if not module or not name:
        raise SettingsError("a tracker of one's own is named by module and name", rest, "write online:MODULE:NAME")
    try:
        return getattr(import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise EnvironmentProblem(f"there is no tracker {rest}: {error}", "tracks.tracker", "install it") from error
