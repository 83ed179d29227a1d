"""What is being taught, as values: clicked examples of names, and of none of them; changed by pure functions."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from langfield.errors import LangfieldError
from langfield.viewer.rows import Rows

MOST_EXAMPLES = 500
MOST_NAME = 80


@dataclass(frozen=True, eq=False)
class Example:
    """Gaussians that somebody pointed at."""

    rows: Rows
    name: str | None
    """What they show; None for none of the names."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """Examples in the order they were shown in."""

    examples: tuple[Example, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names with an example, in the order of their first one."""
        return tuple(dict.fromkeys(e.name for e in self.examples if e.name is not None))

    def count(self, name: str | None) -> int:
        """How many examples a name has; None for those of no name."""
        return sum(e.name == name for e in self.examples)


def proper_name(name: str) -> str:
    """Check a name.

    Raises:
        LangfieldError: it is empty, long or has control characters.
    """
    name = name.strip()
    if not name or len(name) > MOST_NAME or not name.isprintable():
        raise LangfieldError(f"what is taught needs a name of 1 to {MOST_NAME} printable characters", repr(name[:90]))
    return name


def show(lesson: Lesson, rows: Rows, name: str | None) -> Lesson:
    """Add an example; the same Gaussians shown again take their new name.

    Raises:
        LangfieldError: nothing is selected, or there are too many examples.
    """
    if not len(rows):
        raise LangfieldError("nothing is selected", remedy="click a thing first")
    rest = tuple(e for e in lesson.examples if not np.array_equal(e.rows, rows))
    if len(rest) >= MOST_EXAMPLES:
        raise LangfieldError(f"there are {MOST_EXAMPLES} examples already", remedy="forget some")
    return replace(lesson, examples=(*rest, Example(rows, name)))


def take_back(lesson: Lesson) -> Lesson:
    """Forget the last example."""
    return replace(lesson, examples=lesson.examples[:-1])
