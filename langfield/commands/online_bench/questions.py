"""Questions to a map while it grows, from a thread of their own, timed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from langfield.errors import QueryError
from langfield.online.session import Online


class Questioner:
    """Asks one name after the other while the block runs.

    Args:
        session: what is asked.
        names: asked in turn; nothing is asked where there is none.
        every_s: seconds from one answer to the next question.
    """

    def __init__(self, session: Online, names: Sequence[str], every_s: float) -> None:
        self.session, self.names, self.every_s = session, list(names), every_s
        self.ms: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, daemon=True)

    def __enter__(self) -> Questioner:
        if self.names:
            self.session.asker.load()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self.names:
            self._thread.join()

    def summary(self) -> dict[str, Any]:
        """Give how many were answered, and the milliseconds of half and of 95 % of them (None where none was)."""
        if not self.ms:
            return {"answered": 0, "p50_ms": None, "p95_ms": None}
        p50, p95 = np.percentile(self.ms, (50, 95))
        return {"answered": len(self.ms), "p50_ms": round(float(p50), 1), "p95_ms": round(float(p95), 1)}

    def _ask_on(self) -> None:
        number = 0
        while not self._over.wait(self.every_s):
            start = time.perf_counter()
            try:
                self.session.ask(self.names[number % len(self.names)])
            except QueryError:  # no keyframe yet
                continue
            self.ms.append(1000 * (time.perf_counter() - start))
            number += 1
