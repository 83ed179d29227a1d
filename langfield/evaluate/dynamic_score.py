"""4D LangSplat's protocols put to a field: what a thing covers at every time, when it is in a state, and when never.

The rules are those of `evaluate.dynamic`. Asked for a thing, the field answers with the thing that all views agree on,
drawn at each labelled picture's own time; asked for a state, with `query.event`. A step's overlap is the mean over its
labelled pictures; steps without any take the mean over the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from langfield.capture.types import Frame
from langfield.errors import FormatError, QueryError
from langfield.evaluate.dynamic import TimeScore, score_mask, score_time
from langfield.evaluate.dynamic_labels import StateQuery, find_intervals, read_outlines, read_queries, steps_of
from langfield.evaluate.labels import Labels, draw_mask
from langfield.evaluate.types import Look, Outcome, Subject
from langfield.field.at_time import at_time
from langfield.progress import track
from langfield.query.event import Event, active_at
from langfield.query.image import language_of
from langfield.query.relevancy import encode_phrases
from langfield.query.strip import TRUE, Band, draw_bands
from langfield.query.things import see, select, selection_of

AGNOSTIC = ("mIoU", "mAcc")
TIMED = ("Acc", "vIoU")
NEVER = ("false active", "answered absent")
SHARED = "4D LangSplat's annotations/: train/_annotations.coco.json, and queries.json or video_annotations.json"
STRIP_PX = 720

Masks = Mapping[tuple[str, int], Bool[np.ndarray, "H W"]]
"""By name of the frame and number of what was drawn."""


@dataclass(frozen=True)
class ThingScore:
    """One thing over all its labelled frames."""

    text: str
    frame: str
    """The frame with the lowest overlap, which is shown."""
    iou: float
    accuracy: float
    frames: int
    mask: Bool[np.ndarray, "H W"]
    truth: Bool[np.ndarray, "H W"]

    def values(self) -> dict[str, float]:
        """Give this thing's share of both metrics."""
        return {"mIoU": self.iou, "mAcc": self.accuracy}

    def columns(self) -> dict[str, Any]:
        """Give over how many frames they are means."""
        return {"frames": self.frames}

    def look(self) -> Look:
        """Give what a picture of it shows."""
        return Look(self.mask, self.truth, self.mask.astype(np.float32))


@dataclass(frozen=True)
class EventScore:
    """One question over all steps."""

    frame: str
    """The frame that is shown."""
    event: Event
    score: TimeScore
    truth: Bool[np.ndarray, " T"]
    answer: Bool[np.ndarray, " T"]
    times_s: Float[np.ndarray, " T"]
    mask: Bool[np.ndarray, "H W"]
    label: Bool[np.ndarray, "H W"]

    @property
    def text(self) -> str:
        """The question."""
        return self.score.query.text

    @property
    def iou(self) -> float:
        """The vIoU; of what never occurs, 1 where it is answered so."""
        return float(self.score.answered_absent) if self.score.viou is None else self.score.viou

    def values(self) -> dict[str, float]:
        """Give this question's share of every metric."""
        if self.score.viou is None:
            return {"false active": self.score.called_active, "answered absent": float(self.score.answered_absent)}
        return {"Acc": self.score.accuracy, "vIoU": self.score.viou}

    def columns(self) -> dict[str, Any]:
        """Give what was answered."""
        said = self.event.rewritten.anchors
        return {
            "kind": self.score.query.kind, "thing": self.score.query.thing, "answered_thing": self.event.thing,
            "verdict": self.event.verdict, "score": round(self.event.when.score, 4),
            "rewritten_to": said[0].text if said else "",
        }  # fmt: skip

    def look(self) -> Look:
        """Give what a picture of it shows, with the answer's and the true times below."""
        bands = [Band("answer", self.answer), Band("label", self.truth, TRUE)]
        strip = draw_bands(self.times_s, bands, STRIP_PX)
        return Look(self.mask, self.label, self.mask.astype(np.float32), strip=strip)


def score_agnostic(subject: Subject, folder: Path) -> Outcome:
    """Follow the time-agnostic part: every labelled thing in every labelled frame at its time.

    Raises:
        FormatError: labels cannot be read or belong to another capture.
        QueryError: encoder and field do not fit.
    """
    labels = read_outlines(folder, subject.frames)
    return Outcome({"field": score_things_over_time(subject, labels)}, labels.notes)


def score_things_over_time(subject: Subject, labels: Labels) -> list[ThingScore]:
    """Score every labelled thing in every labelled frame at its time.

    Raises:
        QueryError: encoder and field do not fit.
    """
    names = sorted({q.text for q in labels.queries})
    phrases = encode_phrases(subject.encoder, names, language_of(subject.field)[1].dim)
    chosen = dict(enumerate(select(subject.field, phrases)))
    truth, drawn = _truth(labels, subject.frames), _draw(subject, labels, chosen)
    rows = []
    for number, name in enumerate(names):
        frames = [frame for frame, text in truth if text == name]
        found = [score_mask(f, name, drawn[f, number], truth[f, name]) for f in frames]
        worst = min(found, key=lambda s: s.iou).frame
        iou, accuracy = (float(np.mean([getattr(s, what) for s in found])) for what in ("iou", "accuracy"))
        rows.append(ThingScore(name, worst, iou, accuracy, len(found), drawn[worst, number], truth[worst, name]))
    return rows


def score_timed(subject: Subject, folder: Path) -> Outcome:
    """Follow the time-sensitive part on states that occur; all questions, then by kind.

    Raises:
        FormatError: labels cannot be read, belong to another capture, or name no state that occurs.
        QueryError: the field has no states of things.
    """
    found, notes = _events(subject, folder, occurs=True)
    kinds = list(dict.fromkeys(s.score.query.kind for s in found))
    by_kind = {f"field, {k}s": [s for s in found if s.score.query.kind == k] for k in kinds if len(kinds) > 1}
    return Outcome({"field": found} | by_kind, notes)


def score_never(subject: Subject, folder: Path) -> Outcome:
    """Ask for states that never occur.

    Raises:
        FormatError: labels cannot be read, belong to another capture, or name no such state.
        QueryError: the field has no states of things.
    """
    found, notes = _events(subject, folder, occurs=False)
    return Outcome({"field": found}, notes)


def _events(subject: Subject, folder: Path, occurs: bool) -> tuple[list[EventScore], tuple[str, ...]]:
    file = find_intervals(folder)
    if file is None:
        raise FormatError("no file of questions with intervals here", folder, f"it takes {SHARED}")
    queries = [q for q in read_queries(file) if q.occurs == occurs]
    if not queries:
        raise FormatError(f"no question is about a state that {'occurs' if occurs else 'never occurs'}", file)
    if subject.events is None:
        raise QueryError("the field has no states of things", remedy="train langsplat-4d with captions")
    labels = read_outlines(folder, subject.frames)
    return score_events(subject, labels, queries, subject.events().ask), labels.notes


def score_events(
    subject: Subject, labels: Labels, queries: Sequence[StateQuery], ask: Callable[[str], Event]
) -> list[EventScore]:
    """Score questions about states.

    Args:
        subject: the field and its views.
        labels: outlines of the things.
        queries: with their true intervals.
        ask: gives the answer to a question.
    """
    steps = steps_of(subject.frames)
    times = step_times(subject.frames)
    events = [ask(q.text) for q in track(queries, "questions")]
    things = {e.thing for e in events}
    truth = _truth(labels, subject.frames)
    drawn = _draw(subject, labels, {thing: selection_of(subject.field, thing) for thing in things})
    by_step: dict[tuple[int, str], Float[np.ndarray, " T"]] = {}
    rows = []
    for query, event in zip(queries, events, strict=True):
        pair = (event.thing, query.thing)
        if pair not in by_step:
            by_step[pair] = overlaps(drawn, truth, pair, steps)
        answer = active_at(event, times.tolist())
        score = score_time(query, answer, by_step[pair])
        shown = _shown(query, answer, labels, steps)
        rows.append(
            EventScore(
                shown, event, score, query.active(len(times)), answer, times,
                _if(answer[steps[shown]], drawn[shown, event.thing]),
                _if(query.active(len(times))[steps[shown]], truth[shown, query.thing]),
            )
        )  # fmt: skip
    return rows


def step_times(frames: Sequence[Frame]) -> Float[np.ndarray, " T"]:
    """Give the time of every step, seconds; its number where frames have no times."""
    known = sorted({f.camera.time_s for f in frames if f.camera.time_s is not None})
    return np.array(known if known else range(len(frames)), float)


def overlaps(
    drawn: Masks, truth: Mapping[tuple[str, str], Bool[np.ndarray, "H W"]], pair: tuple[int, str],
    steps: Mapping[str, int],
) -> Float[np.ndarray, " T"]:  # fmt: skip
    """Give how far a drawn thing and a labelled one overlap at each step, the mean over its labelled frames.

    Args:
        drawn: masks of things of the field.
        truth: masks of labelled things.
        pair: number of the field's thing, name of the labelled one.
        steps: of every frame.
    """
    count = max(steps.values()) + 1
    sums, seen = np.zeros(count), np.zeros(count)
    for frame, name in truth:
        if name == pair[1]:
            sums[steps[frame]] += score_mask(frame, name, drawn[frame, pair[0]], truth[frame, name]).iou
            seen[steps[frame]] += 1
    usual = float((sums.sum() / seen.sum()) if seen.any() else 0.0)
    return np.where(seen > 0, sums / np.maximum(seen, 1), usual)


def overlap_table(
    subject: Subject, labels: Labels, pairs: Iterable[tuple[int, str]]
) -> dict[tuple[int, str], Float[np.ndarray, " T"]]:
    """Give the overlaps of pairs of a field's thing and a labelled one, by step.

    Args:
        subject: the field and its views.
        labels: outlines.
        pairs: number of the field's thing, name of the labelled one.
    """
    wanted, steps, truth = list(pairs), steps_of(subject.frames), _truth(labels, subject.frames)
    drawn = _draw(subject, labels, {thing: selection_of(subject.field, thing) for thing in {t for t, _ in wanted}})
    return {pair: overlaps(drawn, truth, pair, steps) for pair in wanted}


def _truth(labels: Labels, frames: Iterable[Frame]) -> dict[tuple[str, str], Bool[np.ndarray, "H W"]]:
    sizes = {f.name: (f.camera.height, f.camera.width) for f in frames}
    return {(q.frame, q.text): draw_mask(q.polygons, *sizes[q.frame]) for q in labels.queries}


@torch.no_grad()
def _draw(subject: Subject, labels: Labels, chosen: Mapping[int, Any]) -> Masks:
    """Draw selections in every labelled frame at its time."""
    named = {q.frame for q in labels.queries}
    found = {}
    for frame in track([f for f in subject.frames if f.name in named], "masks over time"):
        sights = see(at_time(subject.field, frame.camera.time_s), list(chosen.values()), frame.camera)
        found |= {(frame.name, number): s.mask for number, s in zip(chosen, sights, strict=True)}
    return found


def _shown(query: StateQuery, answer: Bool[np.ndarray, " T"], labels: Labels, steps: Mapping[str, int]) -> str:
    """Choose a labelled frame: one where answer and label disagree about the state, else one where both say yes."""
    frames = [q.frame for q in labels.queries if q.text == query.thing]
    if not frames:
        raise FormatError(f"no outline is named '{query.thing:.60}', which '{query.text:.60}' asks about")
    truth = query.active(len(answer))
    wrong = [f for f in frames if truth[steps[f]] != answer[steps[f]]]
    right = [f for f in frames if truth[steps[f]] and answer[steps[f]]]
    among = wrong if len(wrong) > len(right) else right or wrong or frames
    return among[len(among) // 2]


def _if(shown: bool, mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    return mask if shown else np.zeros_like(mask)
