"""What stands on a page, as values that are replaced and never changed: questions, selection, edits, and their past."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32

from langfield.errors import LangfieldError
from langfield.suite.head import Head
from langfield.viewer.lesson import Lesson
from langfield.viewer.rows import EMPTY, How, Rows, combine, frozen, no_rows

MOST_QUERIES = 8
MOST_STEPS = 40
MOST_NAMES = 200
RGB = tuple[int, int, int]
PALETTE: tuple[RGB, ...] = (
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (204, 121, 167), (213, 94, 0),
    (230, 230, 230),
)  # fmt: skip
"""Okabe and Ito's colours, told apart with every common colour blindness; grey stands for their black."""


@dataclass(frozen=True)
class Thing:
    """The answer to a question at one level."""

    score: float
    """Relevancy at its place, 0 to 1."""
    threshold: float
    """Relevancy from which Gaussians light up, as suggested."""
    rows: Rows
    """Gaussians that make it up."""
    position: tuple[float, float, float] | None
    """Its middle, world units."""


@dataclass(frozen=True, eq=False)
class Query:
    """A question on the page."""

    text: str
    scores: Float32[np.ndarray, "L N"]
    things: Mapping[int, Thing]
    """What was found, by level: the best one, and those looked at since."""
    best: int
    """The level that answers best."""
    about: str
    """Encoders and negatives, in words."""
    verdict: str
    presence: float
    """Share of things that are not there which would fit less well, 0 to 1."""
    colour: RGB = PALETTE[0]
    fixed: int | None = None
    """The level chosen by hand."""
    chosen: float | None = None
    """The threshold chosen by hand."""
    view: str | None = None
    """Name of the frame that shows it best."""

    in_words: bool = True
    """Whether it was asked in words, so that it can be asked again."""

    @property
    def level(self) -> int:
        """The level shown."""
        return self.best if self.fixed is None else min(self.fixed, len(self.scores) - 1)

    @property
    def thing(self) -> Thing:
        """What was found at the level shown."""
        return self.things[self.level]

    @property
    def threshold(self) -> float:
        """Relevancy from which Gaussians light up."""
        return self.thing.threshold if self.chosen is None else self.chosen

    @property
    def shown(self) -> Float32[np.ndarray, " N"]:
        """Relevancies at the level shown."""
        return self.scores[self.level]

    @property
    def lit(self) -> Rows:
        """Rows at or above the threshold."""
        return frozen(np.flatnonzero(self.shown >= self.threshold))


@dataclass(frozen=True, eq=False)
class Edits:
    """What was done to the scene, in order; the field itself stays as it is."""

    hidden: Rows = field(default_factory=no_rows)
    deleted: Rows = field(default_factory=no_rows)
    tints: tuple[tuple[Rows, RGB], ...] = ()
    moves: tuple[tuple[Rows, tuple[float, float, float]], ...] = ()
    """Rows and how far they were moved, world units."""

    def __bool__(self) -> bool:
        return bool(len(self.hidden) or len(self.deleted) or self.tints or self.moves)

    def offsets(self, count: int) -> Float[np.ndarray, "N 3"]:
        """Give how far each Gaussian was moved, world units."""
        total = np.zeros((count, 3))
        for rows, by in self.moves:
            total[rows] += by
        return total


@dataclass(frozen=True, eq=False)
class Document:
    """All that undo brings back."""

    count: int
    """Number of Gaussians."""
    queries: tuple[Query, ...] = ()
    active: int = 0
    """Index of the question that the controls are about."""
    selection: Rows = field(default_factory=no_rows)
    named: Mapping[str, Rows] = field(default_factory=dict)
    edits: Edits = field(default_factory=Edits)
    lesson: Lesson = field(default_factory=Lesson)
    taught: Head | None = None
    """What was learnt last."""

    @property
    def query(self) -> Query | None:
        """The question that the controls are about."""
        return self.queries[self.active] if self.queries else None


def ask(document: Document, query: Query, beside: bool) -> Document:
    """Put a question on the page: in place of all others, or beside them with a colour of its own.

    The same words again replace their old answer; of too many the oldest goes.
    """
    if not beside:
        return replace(document, queries=(replace(query, colour=PALETTE[0]),), active=0)
    others = [q for q in document.queries if q.text != query.text][-(MOST_QUERIES - 1) :]
    taken = {q.colour for q in others}
    colour = next(c for c in PALETTE if c not in taken)
    return replace(document, queries=(*others, replace(query, colour=colour)), active=len(others))


def ask_all(document: Document, queries: Sequence[Query], beside: bool) -> Document:
    """Put questions that belong together on the page, in place of all others or beside them."""
    for i, query in enumerate(queries):
        document = ask(document, query, beside or i > 0)
    return document


def drop(document: Document, index: int) -> Document:
    """Take a question off the page."""
    left = document.queries[:index] + document.queries[index + 1 :]
    active = document.active - (document.active > index or document.active == len(left))
    return replace(document, queries=left, active=max(0, active))


def retune(
    document: Document, threshold: float | None, level: int | None, find: Callable[[Query, int], Thing]
) -> Document:
    """Give the active question a threshold and a level; None lets it choose.

    Args:
        document: the page's.
        threshold: relevancy from which Gaussians light up.
        level: index into segment.LEVELS.
        find: gives what was found at a level that was not looked at before.
    """
    query = document.query
    if query is None:
        return document
    tuned = replace(query, chosen=threshold, fixed=level)
    if tuned.level not in tuned.things:
        tuned = replace(tuned, things={**tuned.things, tuned.level: find(query, tuned.level)})
    at = document.active
    return replace(document, queries=(*document.queries[:at], tuned, *document.queries[at + 1 :]))


def select(document: Document, rows: Rows, how: How = "replace") -> Document:
    """Change the selection; deleted Gaussians cannot be selected."""
    alive = combine(frozen(rows), document.edits.deleted, "subtract")
    return replace(document, selection=combine(document.selection, alive, how))


def name_selection(document: Document, name: str) -> Document:
    """Keep the selection under a name.

    Raises:
        LangfieldError: the name is empty, long or has control characters; nothing is selected; too many names.
    """
    name = name.strip()
    if not name or len(name) > 80 or not name.isprintable():
        raise LangfieldError("a selection needs a name of 1 to 80 printable characters", repr(name[:90]))
    if not len(document.selection):
        raise LangfieldError("nothing is selected", remedy="click a thing or select what a question lit")
    if name not in document.named and len(document.named) >= MOST_NAMES:
        raise LangfieldError(f"there are {MOST_NAMES} named selections already", remedy="forget one first")
    return replace(document, named={**document.named, name: document.selection})


def forget_name(document: Document, name: str) -> Document:
    """Forget a named selection."""
    return replace(document, named={k: v for k, v in document.named.items() if k != name})


Edit = Literal["hide", "isolate", "delete", "show all"]


def edit(document: Document, what: Edit) -> Document:
    """Hide, isolate or delete the selection, or show everything that is not deleted again."""
    edits, chosen = document.edits, document.selection
    if what == "show all":
        return replace(document, edits=replace(edits, hidden=EMPTY))
    _need_selection(document)
    if what == "hide":
        return replace(document, edits=replace(edits, hidden=combine(edits.hidden, chosen, "add")))
    if what == "isolate":
        rest = np.setdiff1d(np.arange(document.count), chosen, assume_unique=True)
        return replace(document, edits=replace(edits, hidden=frozen(rest)))
    gone = combine(edits.deleted, chosen, "add")
    return replace(document, edits=replace(edits, deleted=gone), selection=EMPTY)


def tint(document: Document, colour: RGB) -> Document:
    """Give the selection a colour."""
    _need_selection(document)
    edits = document.edits
    return replace(document, edits=replace(edits, tints=(*edits.tints, (document.selection, colour))))


def move(document: Document, by: tuple[float, float, float]) -> Document:
    """Move the selection, world units.

    Raises:
        LangfieldError: nothing is selected, or the distance is not finite.
    """
    _need_selection(document)
    if not np.isfinite(by).all():
        raise LangfieldError("a move needs finite numbers", by)
    edits = document.edits
    return replace(document, edits=replace(edits, moves=(*edits.moves, (document.selection, by))))


def _need_selection(document: Document) -> None:
    if not len(document.selection):
        raise LangfieldError("nothing is selected", remedy="click a thing or select what a question lit")


@dataclass(frozen=True, eq=False)
class History:
    """A document, what it was and what was undone; steps with the same tag in a row count as one."""

    present: Document
    past: tuple[Document, ...] = ()
    future: tuple[Document, ...] = ()
    tag: str | None = None

    def do(self, document: Document, tag: str | None = None) -> History:
        """Go on to a new document."""
        if document is self.present:
            return self
        same = tag is not None and tag == self.tag and self.past
        past = self.past if same else (*self.past, self.present)[-MOST_STEPS:]
        return History(document, past, (), tag)

    def undo(self) -> History:
        """Go back one step where there is one."""
        if not self.past:
            return self
        return History(self.past[-1], self.past[:-1], (self.present, *self.future))

    def redo(self) -> History:
        """Take one step back that was undone."""
        if not self.future:
            return self
        return History(self.future[0], (*self.past, self.present), self.future[1:])
