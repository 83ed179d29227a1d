"""Asking again: exponential waits with jitter from a seed, and one pause for all threads when a server wants it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from threading import Lock
from typing import TypeVar

from langfield.errors import LangfieldError, SettingsError

T = TypeVar("T")


@dataclass(frozen=True)
class RetrySettings:
    """How often and how patiently."""

    tries: int = 6
    """Attempts in all, the first included."""
    first_wait_s: float = 1.0
    """Longest wait after the first failure, seconds; doubled after each further one."""
    longest_wait_s: float = 60.0
    """Cap of that wait, seconds; what a server asks for may be longer."""
    patience_s: float = 900.0
    """Seconds waited between attempts in all; what would take longer fails at once."""
    seed: int = 0
    """Seed of the jitter."""

    def __post_init__(self) -> None:
        waits = (self.first_wait_s, self.longest_wait_s, self.patience_s)
        if not 1 <= self.tries <= 100 or not all(0 <= w <= 86_400 for w in waits):
            raise SettingsError("tries must be 1 to 100 and waits 0 to 86400 seconds", f"{self}")

    def wait_s(self, failures: int, salt: str) -> float:
        """Give the wait after the n-th failure (from 1): half of it is sure, half drawn from seed and salt."""
        most = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(failures - 1, 60))
        return most * (0.5 + 0.5 * Random(f"{self.seed}/{salt}/{failures}").random())  # noqa: S311


class Again(Exception):
    """An attempt failed in a way that may pass.

    Args:
        error: what is raised if no attempt is left.
        after_s: how long the other side asks to wait, seconds.
        everyone: the wait holds for all threads.
    """

    def __init__(self, error: LangfieldError, after_s: float = 0.0, everyone: bool = False) -> None:
        super().__init__(str(error))
        self.error, self.after_s, self.everyone = error, after_s, everyone


class Retries:
    """Runs attempts until one succeeds; safe to share between threads.

    Args:
        settings: how often and how patiently.
        clock: gives seconds.
        sleep: waits seconds.
    """

    def __init__(
        self,
        settings: RetrySettings,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings, self._clock, self._sleep = settings, clock, sleep
        self._lock, self._open_at = Lock(), -float("inf")

    def run(self, attempt: Callable[[], T], salt: str) -> T:
        """Give what `attempt` gives.

        Args:
            attempt: raises `Again` where another attempt may succeed; anything else it raises passes through.
            salt: what tells this task's jitter from another's.

        Raises:
            LangfieldError: the error of the last attempt.
        """
        waited = 0.0
        for failures in range(1, self._settings.tries + 1):
            self._pass_gate()
            try:
                return attempt()
            except Again as again:
                wait = max(again.after_s, self._settings.wait_s(failures, salt))
                waited += wait
                if failures == self._settings.tries or waited > self._settings.patience_s:
                    raise again.error from again
                if again.everyone:
                    self._close_gate(wait)
                self._sleep(wait)
        raise AssertionError("there is at least one try")

    def _close_gate(self, wait_s: float) -> None:
        with self._lock:
            self._open_at = max(self._open_at, self._clock() + wait_s)

    def _pass_gate(self) -> None:
        while (rest := self._open_at - self._clock()) > 0:
            self._sleep(rest)
