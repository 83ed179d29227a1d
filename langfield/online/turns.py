"""Questions go first: mapping waits, between two of its steps, while one is being answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock

MOST_S = 0.25
"""Mapping waits no longer than this at a time."""


class Turns:
    """Who has the processor's cores: where both compute at once, an answer takes several times as long.

    However many questions come, mapping keeps half of the time: after a wait it goes on for as long as it waited.

    Args:
        most_s: longest wait, seconds.
        free: set while nobody asks.
        clock: seconds that only rise.
    """

    def __init__(
        self, most_s: float = MOST_S, free: Event | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.waited_s = 0.0
        """Of mapping, all waits together."""
        self._most_s, self._clock, self._lock = most_s, clock, Lock()
        self._free = free or Event()
        self._free.set()
        self._asking, self._mine_until = 0, -float("inf")

    @contextmanager
    def question(self) -> Iterator[None]:
        """Have mapping wait while what is inside is done."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, more: int) -> None:
        with self._lock:
            self._asking += more
            (self._free.clear if self._asking else self._free.set)()

    def give_way(self) -> None:
        """Wait while somebody asks; to be called where mapping can be interrupted, by its thread alone."""
        begun = self._clock()
        if self._free.is_set() or begun < self._mine_until:
            return
        self._free.wait(self._most_s)
        ended = self._clock()
        self.waited_s += ended - begun
        self._mine_until = ended + ended - begun
