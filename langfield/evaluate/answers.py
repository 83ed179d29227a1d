"""What a person is answered in a view, a thing or a segment, where the 2D protocol cuts a map by a rule.

A hit is a point farthest inside the answer that lies in a box; IoU is that of the answer itself. The thing is chosen by
what all views agree on; the best-scoring segment of the view's own 2D features is what it has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool

from langfield.capture.types import Frame
from langfield.evaluate.labels import OfQuery, Query, draw_mask
from langfield.evaluate.langsplat2d import box_list, is_in_a_box, measure_iou
from langfield.evaluate.types import Features, Look, Subject
from langfield.field.at_time import at_time
from langfield.progress import track
from langfield.query.image import language_of
from langfield.query.relevancy import Phrases, encode_phrases
from langfield.query.things import Sight, best_in_view, see, sight_of

THINGS, SEGMENTS = "things", "2D features, best segment"


@dataclass(frozen=True)
class Score(OfQuery):
    """One query's answer."""

    hit: bool
    iou: float
    score: float
    """Relevancy of what was answered."""
    sight: Sight

    def values(self) -> Mapping[str, float]:
        """Give this query's share of both metrics."""
        return {"localisation": float(self.hit), "mIoU": self.iou}

    def columns(self) -> Mapping[str, Any]:
        """Give where the answer lies."""
        x, y = self.sight.peak_px or (None, None)
        return {"score": round(self.score, 4), "peak_x": x, "peak_y": y, "boxes": box_list(self.query)}

    def look(self) -> Look:
        """Give what a picture of it shows."""
        mask = self.sight.mask
        wanted = draw_mask(self.query.polygons, *mask.shape)
        return Look(mask, wanted, mask.astype(np.float32) * self.score, self.sight.peak_px)


def score_things(subject: Subject, queries: Sequence[Query]) -> list[Score]:
    """Score the things that a field answers with, frame by frame.

    Raises:
        QueryError: the field has no instances, or a label cannot be asked.
    """

    def answers(frame: Frame, phrases: Phrases) -> Iterator[tuple[Sight, float]]:
        field = at_time(subject.field, frame.camera.time_s)
        for found in best_in_view(field, frame.camera, phrases):
            chosen = [] if found is None else [found.selection]
            sights = see(field, chosen, frame.camera)
            yield (sights[0], found.score) if found else (_nothing(frame), 0.0)

    return _score(subject, queries, answers)


def score_segments(subject: Subject, queries: Sequence[Query], load: Callable[[Frame], Features]) -> list[Score]:
    """Score the segment of each frame's own 2D features that fits best, of any level."""

    def answers(frame: Frame, phrases: Phrases) -> Iterator[tuple[Sight, float]]:
        ids, vectors = load(frame)
        for row in phrases.scores(vectors.float()):
            best = int(row.argmax())
            yield sight_of(_any_level(ids, best)), float(row[best])

    return _score(subject, queries, answers)


def _any_level(ids: np.ndarray, segment: int) -> Bool[np.ndarray, "H W"]:
    return (ids == segment).any(axis=0)


def _nothing(frame: Frame) -> Sight:
    return sight_of(np.zeros((frame.camera.height, frame.camera.width), bool))


def _score(
    subject: Subject,
    queries: Sequence[Query],
    answers: Callable[[Frame, Phrases], Iterator[tuple[Sight, float]]],
) -> list[Score]:
    dim = language_of(subject.field)[1].dim
    asked = [(f, [q for q in queries if q.frame == f.name]) for f in subject.frames]
    found = []
    for frame, own in track([pair for pair in asked if pair[1]], "answers"):
        phrases = encode_phrases(subject.encoder, [q.text for q in own], dim)
        found += [_one(q, *given) for q, given in zip(own, answers(frame, phrases), strict=True)]
    return found


def _one(query: Query, sight: Sight, score: float) -> Score:
    hit = sight.peak_px is not None and is_in_a_box(sight.peak_px, query)
    return Score(query, hit, measure_iou(sight.mask, draw_mask(query.polygons, *sight.mask.shape)), score, sight)
