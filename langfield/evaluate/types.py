"""What is scored, what a protocol says of one query, and what a protocol is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Float32, Int16, Int64, UInt8
from torch import Tensor

from langfield.capture.types import Frame
from langfield.field.types import Field
from langfield.query.event import EventAsker
from langfield.query.relevancy import Phrases
from langfield.suite.types import TextEncoder

Features = tuple[Int16[np.ndarray, "L H W"], Float[Tensor, "M D"]]
"""A frame's id maps and its table of unit vectors."""
Selector = Callable[[Field, Phrases], Sequence[Int64[np.ndarray, " S"]]]
"""Gives, per phrase, the rows of the Gaussians that it names."""


@dataclass(frozen=True)
class Subject:
    """A field with all that a protocol may need to question it."""

    field: Field
    frames: Sequence[Frame]
    """All views of the capture."""
    training: frozenset[str]
    """Names of the views the field was trained on."""
    encoder: TextEncoder
    features: Callable[[Frame], Features | None]
    """2D features of a frame where they are there."""
    events: Callable[[], EventAsker] | None = None
    """Gives what answers when something is so, where states of things are known."""


@dataclass(frozen=True)
class Look:
    """What a picture of one query's result shows; maps are of the frame's size."""

    answer: Bool[np.ndarray, "H W"]
    truth: Bool[np.ndarray, "H W"]
    relevancy: Float32[np.ndarray, "H W"]
    peak_px: tuple[int, int] | None = None
    frame: str | None = None
    """Frame of the maps where it is not the query's own."""
    strip: UInt8[np.ndarray, "h w 3"] | None = None
    """A picture shown below: when an answer holds."""


class Scored(Protocol):
    """One query's result under some protocol."""

    @property
    def frame(self) -> str:
        """Name of the frame, or of what was asked as a whole."""
        ...

    @property
    def text(self) -> str:
        """The phrase."""
        ...

    @property
    def iou(self) -> float:
        """Overlap of answer and label, 0 to 1."""
        ...

    def values(self) -> Mapping[str, float]:
        """Give this query's share of every metric; a metric's value is their mean."""
        ...

    def columns(self) -> Mapping[str, Any]:
        """Give what else its row in the table holds."""
        ...

    def look(self) -> Look | None:
        """Give what a picture of it shows, where it has one."""
        ...


@dataclass(frozen=True)
class Losses:
    """Where one query's IoU went; the three losses and what is left add up to 1.

    Best is what the frame's masks allow (one mask, or the union of the best for each outline of the label); chosen is
    the segment the text scores highest, over all levels; answer is the field's, under the protocol.
    """

    frame: str
    text: str
    best: float
    chosen: float
    answer: float

    @property
    def segmentation(self) -> float:
        """IoU that no mask of any level reaches."""
        return 1 - self.best

    @property
    def choice(self) -> float:
        """IoU lost because the text scores another segment higher."""
        return self.best - self.chosen

    @property
    def lifting(self) -> float:
        """IoU lost (negative: gained) between the best-scoring segment and the field's answer."""
        return self.chosen - self.answer


@dataclass(frozen=True)
class Outcome:
    """What a protocol found."""

    scores: Mapping[str, Sequence[Scored]]
    """Results by what was scored: "field" first, then what stands beside it."""
    notes: tuple[str, ...] = ()
    """What was not scored and why."""
    losses: tuple[Losses, ...] = ()
    """Of the field's queries whose frames have 2D features."""


@dataclass(frozen=True)
class Rules:
    """A protocol: its name, its version, and the function that follows it."""

    name: str
    version: int
    """Raised when a rule changes, so that numbers of two versions are not compared."""
    metrics: tuple[str, ...]
    about: str
    """One line for a person."""
    layout: str
    """What the labels' folder must look like."""
    score: Callable[[Subject, Path], Outcome] = field(repr=False)
    """Reads labels and scores."""
