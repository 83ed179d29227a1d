"""What goes to workers and what comes back: plain values that any process can read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from langfield.errors import EnvironmentProblem, FormatError, LangfieldError, QueryError, SettingsError, StorageError

ITEM_contra = TypeVar("ITEM_contra", contravariant=True)
VALUE_co = TypeVar("VALUE_co", covariant=True)
V = TypeVar("V")
T = TypeVar("T")
KINDS = {
    kind.__name__: kind
    for kind in (LangfieldError, FormatError, EnvironmentProblem, StorageError, QueryError, SettingsError)
}


class Work(Protocol[ITEM_contra, VALUE_co]):
    """What a pool does with every item; equal works share what a worker has loaded.

    It travels with every item, so it holds settings and paths, never data. What it writes is named by content: an item
    done twice leaves what it leaves once.
    """

    def open(self) -> Callable[[ITEM_contra], VALUE_co]:
        """Load what the work needs, once in each worker, and give what does one item."""
        ...


@dataclass(frozen=True)
class Problem:
    """Why an item has no value."""

    kind: str
    """Name of the error's class."""
    what: str
    where: str | None = None
    remedy: str | None = None

    def error(self) -> LangfieldError:
        """Give it as an error that can be raised here."""
        return KINDS.get(self.kind, LangfieldError)(self.what, self.where, self.remedy)


def problem_of(error: Exception) -> Problem:
    """Put an error into words that any process can read."""
    if isinstance(error, LangfieldError):
        kind = next(name for name, one in reversed(KINDS.items()) if isinstance(error, one))
        return Problem(kind, error.what, None if error.where is None else str(error.where), error.remedy)
    return Problem(type(error).__name__, f"unexpected {type(error).__name__}: {str(error)[:300]}")


@dataclass(frozen=True)
class Reply(Generic[V]):
    """What a worker says of an item."""

    value: V | None
    problem: Problem | None
    seconds: float
    rss_mib: float
    """Memory the worker has taken at most, so far."""
    pid: int
    """The worker's process."""
    cpu_s: float = 0.0
    """Processor time it took."""


@dataclass(frozen=True)
class Outcome(Generic[V]):
    """What became of an item."""

    index: int
    """Of the item, in the order they were given."""
    value: V | None
    problem: Problem | None


class Workers(Protocol):
    """What does work on items; `langfield.cluster.pool.Pool`, or anything that keeps its promises."""

    def map(self, work: Work[T, V], items: Iterable[T], tally: Tally) -> Iterator[Outcome[V]]:
        """Give what becomes of every item, each once, in any order."""
        ...


@dataclass
class Tally:
    """How a stage stands; grows while it runs, and is what the run's summary says about it."""

    stage: str
    done: int = 0
    retried: int = 0
    """Items given to another worker because theirs died or could not write."""
    lost_workers: int = 0
    full_disks: int = 0
    """Workers given up because they could not write."""
    failed: list[dict[str, str]] = field(default_factory=list)
    """name and why of each."""
    seconds: float = 0.0
    first_s: float = 0.0
    """Seconds until the first item was done: workers start and load models till then."""
    busy_s: float = 0.0
    """Seconds that workers spent on items, all together."""
    cpu_s: float = 0.0
    """Processor time of the same."""
    rss_mib: float = 0.0
    """Most memory that a worker took."""

    def line(self) -> str:
        """Give a few words for the bar."""
        rate = self.done / self.seconds if self.seconds else 0.0
        extra = {"failed": len(self.failed), "retried": self.retried, "workers lost": self.lost_workers}
        return ", ".join([f"{rate:.1f}/s", *(f"{count} {name}" for name, count in extra.items() if count)])

    def about(self) -> dict[str, Any]:
        """Give it as JSON data, with items a second, and the same from the first that was done on."""
        steady_s = self.seconds - self.first_s
        rates = {
            "per_second": round(self.done / self.seconds, 3) if self.seconds else None,
            "per_second_steady": round((self.done - 1) / steady_s, 3) if self.done > 1 and steady_s > 0 else None,
        }
        return {**{k: round(v, 3) if isinstance(v, float) else v for k, v in vars(self).items()}, **rates}
