"""Which segments of a video's pictures are one thing: the slot of trackers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float, Int16, UInt8

from langfield.errors import SettingsError
from langfield.segment.types import Segments

# What stands before the colon, to the module whose load(what stands behind it, settings) makes the tracker and whose
# identity(what stands behind it, settings) says what decides its tracks.
TRACKERS: dict[str, str] = {
    "flow": "langfield.segment.track_flow",
    "sam2": "langfield.segment.track_sam2",
    "online": "langfield.segment.track_online",
}


@dataclass(frozen=True)
class TrackSettings:
    """How things are followed through a video."""

    tracker: str = "flow"
    """flow (no weights), sam2:CONFIG:CHECKPOINT, online:MODULE:NAME (anybody's own, such as DEVA)."""
    least_frames: int = 5
    """Things seen in fewer pictures are dropped."""
    least_px: int = 60
    """Smaller segments are not followed."""
    overlap: float = 0.5
    """Segments of neighbouring pictures are one where their intersection over union, one moved by the flow, reaches
    this."""
    gap: int = 4
    """A thing that is not found is looked for in this many further pictures."""
    likeness: float = 0.93
    """Pieces of a track that was lost are joined where the cosine of their embeddings reaches this."""


@dataclass(frozen=True)
class Shot:
    """One picture of a video, as a tracker sees it."""

    picture: UInt8[np.ndarray, "H W 3"]
    segments: Segments
    vectors: Float[np.ndarray, "M D"]
    """Unit vector of each segment."""


class Tracker(Protocol):
    """A video's segments to things."""

    name: str
    """Spec string that makes it again, such as "flow"."""

    def track(self, video: Sequence[Shot]) -> Iterator[Int16[np.ndarray, "H W"]]:
        """Give the id map of each picture in the order of time: thing + 1, 0 where there is none.

        Args:
            video: rising in time; reads pictures and segments as they are asked for.
        """
        ...


def tracker(settings: TrackSettings) -> Tracker:
    """Make a tracker.

    Raises:
        SettingsError: no such tracker, or a setting lies outside its range.
        EnvironmentProblem: its package or weights are not on this machine.
    """
    check_tracks(settings)
    name, _, rest = settings.tracker.partition(":")
    return import_module(TRACKERS[name]).load(rest, settings)


def tracker_identity(settings: TrackSettings) -> dict[str, Any]:
    """Say what decides a tracker's tracks (version, settings, weights) without loading a model.

    Raises:
        SettingsError: no such tracker, or a setting lies outside its range.
        FormatError: its checkpoint does not exist.
    """
    check_tracks(settings)
    name, _, rest = settings.tracker.partition(":")
    return import_module(TRACKERS[name]).identity(rest, settings)


def check_tracks(s: TrackSettings) -> None:
    """Refuse settings out of range.

    Raises:
        SettingsError: one is.
    """
    if s.tracker.partition(":")[0] not in TRACKERS:
        raise SettingsError(f"no tracker is called {s.tracker!r}", remedy=f"choose one of: {', '.join(TRACKERS)}")
    if min(s.least_frames, s.least_px, s.gap) < 1 or not 0 < s.overlap <= 1 or not -1 <= s.likeness <= 1:
        raise SettingsError("tracks need whole numbers of at least 1, overlap above 0 and up to 1", s)
