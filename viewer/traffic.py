"""What goes over the wire: bytes and the moment of the last one, so that a question's cost can be told."""

from __future__ import annotations

import threading
import time


class Traffic:
    """Counts what all connections send; written by the event loop, read by anybody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes, self._messages, self._received = 0, 0, 0
        self._last_sent = time.perf_counter()
        self._first_sent: float | None = None

    def arrived(self) -> None:
        """Count a message from a page."""
        with self._lock:
            self._received += 1

    def sent(self, size: int) -> None:
        """Count a message to a page, in bytes."""
        with self._lock:
            self._bytes += size
            self._messages += 1
            self._last_sent = time.perf_counter()
            self._first_sent = self._first_sent or self._last_sent

    def mark(self) -> None:
        """Look out for the next message to a page."""
        with self._lock:
            self._first_sent = None

    @property
    def first_sent(self) -> float | None:
        """When the first message since `mark` went out, by `time.perf_counter`; None where none has."""
        return self._first_sent

    @property
    def total_bytes(self) -> int:
        """Bytes sent since the start, all pages together."""
        return self._bytes

    @property
    def last_sent(self) -> float:
        """When the last message went out, by `time.perf_counter`."""
        return self._last_sent

    @property
    def received(self) -> int:
        """Messages taken from pages since the start."""
        return self._received
