"""A pool without processes that does everything in the wrong order: results must not notice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from langfield.cluster.actor import Actor
from langfield.cluster.types import Outcome, Tally


class Here:
    """Does items here, the last first."""

    def map(self, work: Any, items: Iterable[Any], tally: Tally) -> Iterator[Outcome[Any]]:
        """See `langfield.cluster.pool.Pool.map`."""
        actor = Actor(1)
        for index, item in reversed(list(enumerate(items))):
            reply = actor.do(work, item)
            if reply.problem is not None and reply.problem.kind not in ("FormatError", "WorkerDied"):
                raise reply.problem.error()
            tally.done += reply.problem is None
            yield Outcome(index, reply.value, reply.problem)
