"""A queue that never grows: of what a page wants done only the newest waits, and the rest of the server goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Newest:
    """Does one thing at a time in a thread of its own; each page has one place to wait in."""

    def __init__(self) -> None:
        self._waiting: dict[int | None, Callable[[], object]] = {}
        self._wake, self._ended = threading.Condition(), False
        self._busy = False
        self.done = 0
        """How many things were done."""
        self.replaced = 0
        """How many gave way to newer ones."""
        self._thread = threading.Thread(target=self._work, name="langfield-asking", daemon=True)
        self._thread.start()

    def put(self, page: int | None, work: Callable[[], object]) -> None:
        """Have something done; what this page had waiting gives way. Errors are the work's own to handle."""
        with self._wake:
            self.replaced += self._waiting.pop(page, None) is not None
            self._waiting[page] = work
            self._wake.notify()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait until nothing waits any more; tells whether that came about."""
        with self._wake:
            return self._wake.wait_for(lambda: not self._waiting and not self._busy, seconds)

    def stop(self) -> None:
        """End once what runs is done."""
        with self._wake:
            self._ended = True
            self._waiting.clear()
            self._wake.notify_all()
        self._thread.join(timeout=5)

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._ended)
                if self._ended:
                    return
                work = self._waiting.pop(next(iter(self._waiting)))
                self._busy = True
            try:
                work()
            finally:
                with self._wake:
                    self._busy, self.done = False, self.done + 1
                    self._wake.notify_all()
