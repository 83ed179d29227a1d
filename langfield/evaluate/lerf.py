"""The four protocols over labels in the LERF-OVS layout: 2D and 3D, on all labelled views or on held-out ones only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from langfield.capture.types import Frame
from langfield.errors import FormatError
from langfield.evaluate import sources
from langfield.evaluate.answers import SEGMENTS, THINGS, score_segments, score_things
from langfield.evaluate.labels import Labels, Query, read_labels
from langfield.evaluate.lerf3d import score_selections
from langfield.evaluate.losses import find_losses
from langfield.evaluate.types import Features, Outcome, Scored, Subject
from langfield.query.things import select_rows


def score_2d(subject: Subject, folder: Path) -> Outcome:
    """Follow `lerf-ovs-2d` on every labelled view, and score 2D features alone beside the field."""
    return _score_2d(subject, read_labels(folder, subject.frames))


def score_3d(subject: Subject, folder: Path) -> Outcome:
    """Follow `lerf-ovs-3d` on every labelled view."""
    return _score_3d(subject, read_labels(folder, subject.frames))


def score_2d_held_out(subject: Subject, folder: Path) -> Outcome:
    """Follow `lerf-ovs-2d` on labelled views that the field was not trained on."""
    return _score_2d(subject, held_out(subject, read_labels(folder, subject.frames), folder))


def score_3d_held_out(subject: Subject, folder: Path) -> Outcome:
    """Follow `lerf-ovs-3d` on labelled views that the field was not trained on."""
    return _score_3d(subject, held_out(subject, read_labels(folder, subject.frames), folder))


def held_out(subject: Subject, labels: Labels, folder: Path) -> Labels:
    """Keep what is asked of views the field was not trained on.

    Raises:
        FormatError: every labelled view was trained on.
    """
    kept = tuple(q for q in labels.queries if q.frame not in subject.training)
    if not kept:
        raise FormatError(
            "every labelled view was trained on, so none is held out",
            folder,
            "keep some out: --pipeline.settings.hold-out-every 4",
        )
    return replace(labels, queries=kept)


def _score_2d(subject: Subject, labels: Labels) -> Outcome:
    scores: dict[str, Sequence[Scored]] = {
        "field": sources.score_field(subject.field, subject.frames, labels, subject.encoder)
    }
    if subject.field.instances is not None:
        scores[THINGS] = score_things(subject, _in_order(subject, labels))
    return _outcome(subject, labels, scores | _features(subject, labels))


def _score_3d(subject: Subject, labels: Labels) -> Outcome:
    return _outcome(subject, labels, {"field": score_selections(subject, _in_order(subject, labels), select_rows)})


def _outcome(subject: Subject, labels: Labels, scores: dict[str, Sequence[Scored]]) -> Outcome:
    losses = find_losses(subject, _in_order(subject, labels), scores["field"])
    held = sorted({q.frame for q in labels.queries} - subject.training)
    about = (f"{len(held)} labelled views were held out of training: {', '.join(held)}",) if held else ()
    return Outcome(scores, (*labels.notes, *about), losses)


def _in_order(subject: Subject, labels: Labels) -> list[Query]:
    """Give the queries frame by frame, in the capture's order."""
    return [q for frame in subject.frames for q in labels.queries if q.frame == frame.name]


def _features(subject: Subject, labels: Labels) -> dict[str, Sequence[Scored]]:
    """Score the 2D features of labelled frames that have them, with both fills of pixels without a mask."""
    asked = {q.frame for q in labels.queries}
    found = {f.name: two for f in subject.frames if f.name in asked and (two := subject.features(f)) is not None}
    kept = replace(labels, queries=tuple(q for q in labels.queries if q.frame in found))
    if not kept.queries:
        return {}

    def load(frame: Frame) -> Features:
        return found[frame.name]

    return {
        "2D features": sources.score_features(load, subject.frames, kept, subject.encoder),
        SEGMENTS: score_segments(subject, kept.queries, load),
        "2D features, no mask = 0": sources.score_features(load, subject.frames, kept, subject.encoder, fill=0.0),
    }
