"""What, when and where in one answer: a sentence, the thing it is about, the times at which it is so, and its masks.

The sentence is put in the words of the captions (`suite.captions.rewrite`), the captions found tell the thing, words
tell whether that thing is ever so (`query.absent_states`), and the codes of its states tell when (`query.when`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as made
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.at_time import at_time
from langfield.field.types import Field
from langfield.query.absent_states import StateFit, StateJudge
from langfield.query.answer import run_lengths
from langfield.query.states import thing_scores
from langfield.query.things import Sight, see, selection_of
from langfield.query.when import Verdict, When, WhenSettings, best_split, split, when
from langfield.suite.captions.prompting import Prompt
from langfield.suite.captions.rewrite import Anchor, CaptionVocabulary, RewriteSettings, Rewritten, rewrite
from langfield.suite.captions.store import Captions
from langfield.suite.captions.types import Captioner
from langfield.suite.sentences import SentenceEncoder

RANK: dict[Verdict, int] = {"never": 0, "unsure": 1, "found": 2}
ALIKE = "captions of several states fit it nearly alike, so that "
GUESS, UNTOLD = ALIKE + "its times are a guess", ALIKE + "it cannot be told when"
EVENLY = 0.75
"""Share of the variance that the best cut explains where scores are spread evenly: no two groups."""
UNNAMED = 0.49
"""Highest score of a question that names no thing."""
MASK_SIDE_PX = 480
"""Longer side of masks in answers, at most."""


@dataclass(frozen=True)
class Event:
    """What a field over time says to a sentence; plain data."""

    question: str
    rewritten: Rewritten
    thing: int
    """Its number among the field's things."""
    name: str
    """What captions call it; "" where nobody knows."""
    fit: StateFit
    """Whether the sentence means a state that was seen, told from words."""
    times_s: Float[np.ndarray, " T"]
    scores: Float[np.ndarray, " T"]
    """Cosine of the rewritten sentence with the thing's state."""
    when: When
    """The verdict is the lower one of words and of scores over time."""

    @property
    def verdict(self) -> Verdict:
        """Whether it is ever so."""
        return self.when.verdict

    def is_active(self, time_s: float) -> bool:
        """Tell whether it is so at a time: as at the nearest time that was looked at."""
        return bool(self.when.active[int(np.abs(self.times_s - time_s).argmin())])

    def data(self) -> dict[str, Any]:
        """Give it as JSON data, without masks."""
        anchors = [
            {"text": a.text, "thing": a.instance - 1, "score": round(a.score, 3)} for a in self.rewritten.anchors
        ]
        return {
            "question": self.question,
            "verdict": self.verdict,
            "score": round(self.when.score, 4),
            "note": self.when.note,
            "thing": self.thing,
            "name": self.name,
            "rewritten_to": anchors,
            "rewritten_by": self.rewritten.by,
            "intervals": [
                {"first_s": i.first_s, "last_s": i.last_s, "confidence": round(i.confidence, 4)}
                for i in self.when.intervals
            ],
            "times_s": self.times_s.tolist(),
            "active": self.when.active.tolist(),
        }


@dataclass(frozen=True)
class EventSettings:
    """How sentences are answered."""

    rewrite: RewriteSettings = made(default_factory=RewriteSettings)
    when: WhenSettings = made(default_factory=WhenSettings)
    temperature: float = 0.1
    """Captions of the thing stand for the sentence in proportion to exp(score / temperature)."""
    least_change: float = 0.05
    """A thing changes where what was said of it fits better at some times than at others by this much."""


class EventAsker:
    """Answers sentences about one field; encodes what was said once.

    Args:
        field: one with things and states of things.
        captions: what the states were made from; instance is thing + 1.
        encoder: of the captions.

    Raises:
        QueryError: the field has no states of things, captions are of other things, or the encoder is another one.
    """

    def __init__(self, field: Field, captions: Captions, encoder: SentenceEncoder) -> None:
        if field.status_tracks is None or field.caption_codec is None:
            raise QueryError("the field has no states of things", remedy="train it with captions")
        things = len(field.status_tracks.prototypes)
        if encoder.dim != field.caption_codec.dim:
            known = f"{field.caption_codec.dim} wide, {encoder.name} {encoder.dim}"
            raise QueryError("the encoder is not the one of the captions", known)
        if not captions.objects or max(o.instance for o in captions.objects) > things:
            raise QueryError("captions are not of this field's things", f"{things} things")
        self.field, self.vocabulary = field, CaptionVocabulary(captions, encoder)
        self.judge = StateJudge(self.vocabulary)

    @property
    def times_s(self) -> Float[np.ndarray, " T"]:
        """The times at which states are known, seconds."""
        return _tracks(self.field).times_s.numpy()

    def ask(
        self,
        question: str,
        settings: EventSettings = EventSettings(),
        model: Captioner | None = None,
        prompt: Prompt | None = None,
    ) -> Event:
        """Answer a sentence.

        Args:
            question: keywords or a sentence, at most 1000 characters.
            settings: how.
            model: may choose among captions (`suite.captions.rewrite`).
            prompt: how it is asked.

        Raises:
            QueryError: the question is empty or too long.
        """
        found = rewrite(question, self.vocabulary, settings.rewrite, model, prompt)
        scored = self.vocabulary.anchors(question, settings.rewrite)
        if not found.anchors:
            found = replace(found, anchors=tuple(scored[:1]))
            fit = StateFit(0.0, "never", "a model says that no caption means it", "")
            return self._answer(found, scored[:1], fit, settings)
        if found.by == "model":
            own = [a for a in found.anchors if a.instance == found.anchors[0].instance]
        else:
            instance = thing_meant(scored, settings.rewrite)
            own = [a for a in scored if a.instance == instance]
        found = replace(found, anchors=tuple(own[: settings.rewrite.keep]))
        fit = self.judge.judge(question, own)
        return self._answer(found, own, _doubted(fit) if self._names_nothing(scored) else fit, settings)

    def _names_nothing(self, scored: Sequence[Anchor]) -> bool:
        """Whether a question names none of the things, where they have names."""
        return any(self.vocabulary.names.values()) and max(a.naming for a in scored) <= 0

    def _answer(self, found: Rewritten, own: Sequence[Anchor], fit: StateFit, settings: EventSettings) -> Event:
        instance = own[0].instance
        thing, name = instance - 1, self.vocabulary.names[instance]
        asked = self._vector(own, settings.temperature)
        others = self.judge.others(instance)[1]
        rows = [row for row, (i, _, _) in enumerate(self.vocabulary.said) if i == instance]
        sentences = torch.cat([asked[None], self.vocabulary.vectors[rows], others])
        scores = thing_scores(self.field, sentences, self.times_s.tolist())[thing].T
        said, rest = scores[1 : 1 + len(rows)], scores[1 + len(rows) :]
        changes = max(split(curve)[2] for curve in said) >= settings.least_change
        told = when(self.times_s, scores[0], None if changes else rest, settings.when)
        if changes and told.verdict == "never" and fit.verdict == "found":  # one doubt, not two
            guess = best_split(self.times_s, scores[0], settings.when)
            two = guess.score > EVENLY
            told = replace(guess if two else told, verdict="unsure", score=fit.score, note=GUESS if two else UNTOLD)
        return Event(found.question, found, thing, name, fit, self.times_s, scores[0], _lower(fit, told))

    def _vector(self, own: Sequence[Anchor], temperature: float) -> Float[Tensor, " D"]:
        """Give the mean of a thing's captions, each counted by how well it stands for the sentence."""
        rows = {(i, text): row for row, (i, text, _) in enumerate(self.vocabulary.said)}
        shares = (torch.tensor([a.score for a in own]) / temperature).softmax(dim=0)
        vectors = self.vocabulary.vectors[[rows[a.instance, a.text] for a in own]]
        return normalize(shares @ vectors, dim=0)

    def state_at(self, thing: int, time_s: float) -> tuple[str, float]:
        """Give the caption that says best what a thing is like at a time, and its cosine.

        Raises:
            QueryError: nothing was said of that thing.
        """
        rows = [row for row, (i, _, _) in enumerate(self.vocabulary.said) if i == thing + 1]
        if not rows:
            raise QueryError(f"nothing was said of thing {thing}")
        fits = thing_scores(self.field, self.vocabulary.vectors[rows], [time_s])[thing, 0]
        best = int(fits.argmax())
        return self.vocabulary.said[rows[best]][1], float(fits[best])


def thing_meant(scored: Sequence[Anchor], settings: RewriteSettings) -> int:
    """Give the instance that a question is about: by its name where it names one, whatever state that is in.

    Args:
        scored: all captions, as `CaptionVocabulary.anchors` gives them; at least one.
        settings: how they were scored.
    """
    if max(a.naming for a in scored) <= 0:
        return scored[0].instance
    return max(scored, key=lambda a: a.score - settings.state * a.agreement).instance


def _doubted(fit: StateFit) -> StateFit:
    """Give what is left of "found" where no thing was named: another language, or words that the lexicon lacks."""
    if fit.verdict != "found":
        return fit
    return replace(fit, score=min(fit.score, UNNAMED), verdict="unsure", note=f"it names no thing here; {fit.note}")


def _lower(fit: StateFit, told: When) -> When:
    """Give the lower verdict of both; what is never so has no intervals."""
    if fit.verdict == "never":
        return replace(
            told, verdict="never", score=fit.score, note=fit.note, intervals=(), active=np.zeros_like(told.active)
        )
    if RANK[fit.verdict] < RANK[told.verdict]:
        return replace(told, verdict=fit.verdict, score=fit.score, note=fit.note)
    note = fit.note if told.verdict == "found" else told.note
    return replace(told, score=min(told.score, fit.score), note=note)


def _tracks(field: Field) -> Any:
    return field.status_tracks


@dataclass(frozen=True)
class Seen:
    """A thing in one view at one time."""

    view: str
    time_s: float
    sight: Sight

    def data(self) -> dict[str, Any]:
        """Give it as JSON data; the mask run-length coded, COCO's order."""
        box = self.sight.box_px
        return {
            "view": self.view, "time_s": self.time_s, "box_px": list(box) if box else None,
            "mask": run_lengths(self.sight.mask),
        }  # fmt: skip


def where(field: Field, thing: int, views: Mapping[str, Camera], side_px: int | None = MASK_SIDE_PX) -> Iterator[Seen]:
    """Draw a thing in views, each at its own time, one after the other.

    Args:
        field: one with things; moved to each view's time.
        thing: its number.
        views: camera per view name, with times.
        side_px: longer side at most; None keeps the cameras' sizes.

    Raises:
        QueryError: the field has no things, or not this one.
    """
    if field.instances is None or not 0 <= thing < len(field.instances):
        raise QueryError(f"the field has no thing {thing}", remedy="ask for one of its things")
    selection = selection_of(field, thing)
    for name, camera in views.items():
        time_s = camera.time_s or 0.0
        yield Seen(name, time_s, see(at_time(field, time_s), [selection], _small(camera, side_px))[0])


def views_of(event: Event, views: Mapping[str, Camera]) -> dict[str, Camera]:
    """Give the views taken while an event is so, in the order of time."""
    timed = [(c.time_s, name, c) for name, c in views.items() if c.time_s is not None]
    return {name: c for t, name, c in sorted(timed, key=lambda row: row[:2]) if event.is_active(t)}


def _small(camera: Camera, side_px: int | None) -> Camera:
    share = 1.0 if side_px is None else min(1.0, side_px / max(camera.width, camera.height))
    return camera if share == 1.0 else camera.resized(round(camera.width * share), round(camera.height * share))


def active_at(event: Event, times_s: Sequence[float]) -> Bool[np.ndarray, " T"]:
    """Tell at which times an event is so."""
    return np.array([event.is_active(t) for t in times_s], bool)
