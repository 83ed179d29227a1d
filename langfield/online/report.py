"""What a session says of a frame, and of all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor

Outcome = Literal["skipped", "refused", "lost", "tracked", "keyframe"]
STAGES = ("gate", "track", "depth", "map", "features", "language", "publish", "save")
"""In the order a keyframe goes through them."""


@dataclass(frozen=True)
class FrameReport:
    """What happened with one frame."""

    index: int
    name: str
    outcome: Outcome
    """skipped: taken before a resume; refused: by the gate; lost: the camera could not be found on it."""
    messages: tuple[str, ...] = ()
    """What a person should be told."""
    T_world_camera: Float[Tensor, "4 4"] | None = None
    """Where the camera was, world units; None where that is not known."""
    keyframe: int | None = None
    """Id of the keyframe it became."""
    gaussians: int = 0
    keyframes: int = 0
    """In the map now."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Spent on it, by stage."""

    def data(self) -> dict[str, Any]:
        """Give the report as JSON data."""
        pose = None if self.T_world_camera is None else self.T_world_camera.tolist()
        return {**vars(self), "T_world_camera": pose}


class Clock:
    """Adds up seconds by stage.

    Args:
        before: called before every stage; what it takes is not counted.
    """

    def __init__(self, before: Callable[[], None] | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._before = before

    @contextmanager
    def at(self, stage: str) -> Iterator[None]:
        """Count what is done inside to a stage."""
        if self._before is not None:
            self._before()
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


@dataclass
class Tally:
    """What became of the frames so far, and what that took."""

    outcomes: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, over all frames."""
    counts: dict[str, int] = field(default_factory=dict)
    """Frames that went through each stage."""

    def add(self, report: FrameReport) -> None:
        """Count a frame."""
        self.outcomes[report.outcome] = self.outcomes.get(report.outcome, 0) + 1
        for stage, seconds in report.seconds.items():
            self.seconds[stage] = self.seconds.get(stage, 0.0) + seconds
            self.counts[stage] = self.counts.get(stage, 0) + 1

    @property
    def frames(self) -> int:
        """Frames that were looked at."""
        return sum(n for outcome, n in self.outcomes.items() if outcome != "skipped")

    @property
    def total_s(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    def table(self) -> dict[str, dict[str, float]]:
        """Give, by stage: seconds, how often, milliseconds each time, and share of all seconds."""
        total = max(self.total_s, 1e-9)
        return {
            stage: {
                "seconds": round(self.seconds[stage], 3),
                "times": self.counts[stage],
                "ms_each": round(1000 * self.seconds[stage] / self.counts[stage], 2),
                "share": round(self.seconds[stage] / total, 4),
            }
            for stage in sorted(self.seconds, key=lambda s: STAGES.index(s) if s in STAGES else len(STAGES))
        }
