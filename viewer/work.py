"""Slow things beside the page: one at a time, with how far it is; whoever gives up gets the page back at once."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from langfield.errors import LangfieldError
from langfield.progress import say, watched

Result = Callable[[], object]
MOST_LEFT = 2
"""Cancelled things that may still be on their way to their next step."""


class Cancelled(Exception):
    """Somebody gave up on the work that this is raised in."""


class _Job:
    def __init__(self, label: str) -> None:
        self.label, self.share, self.is_over = label, 0.0, False
        self.thread: threading.Thread | None = None


class Work:
    """Does one slow thing at a time in a thread of its own.

    Args:
        guarded: runs an action and says on the page what it raises.
    """

    def __init__(self, guarded: Callable[[Callable[[], object]], None]) -> None:
        self._guarded, self._lock = guarded, threading.Condition()
        self._job: _Job | None = None
        self._left: list[threading.Thread] = []
        self._listeners: list[Callable[[], None]] = []

    @property
    def label(self) -> str:
        """What is being done, in words; empty where nothing is."""
        job = self._job
        return job.label if job is not None else ""

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1; 0 where nobody knows."""
        job = self._job
        return job.share if job is not None else 0.0

    def listen(self, listener: Callable[[], None]) -> None:
        """Have something called when this changed."""
        self._listeners.append(listener)

    def start(self, label: str, action: Callable[[], Result]) -> None:
        """Begin something slow.

        Args:
            label: a few words, such as "learning by coop".
            action: does it, in a thread of its own, and gives what is to be done with the result; that happens unless
                it was cancelled. Its steps (`langfield.progress.step`) are shown.

        Raises:
            LangfieldError: something else is at work.
        """
        with self._lock:
            self._left = [thread for thread in self._left if thread.is_alive()]
            if self._job is not None:
                raise LangfieldError(f"{self._job.label} is still at work", remedy="wait for it or cancel it")
            if len(self._left) >= MOST_LEFT:
                raise LangfieldError("what was cancelled has not ended yet", remedy="try again in a moment")
            job = self._job = _Job(label)
            job.thread = threading.Thread(target=self._run, args=(job, action), name="langfield-work", daemon=True)
            job.thread.start()
        self._notify()

    def cancel(self) -> None:
        """Give up on what is at work: it ends at its next step, and its result is not wanted any more."""
        with self._lock:
            job, self._job = self._job, None
            if job is not None and job.thread is not None:
                job.is_over = True
                self._left.append(job.thread)
            self._lock.notify_all()
        self._notify()

    def wait(self, seconds: float = 60.0) -> bool:
        """Wait until nothing is at work; tells whether that came about."""
        with self._lock:
            return self._lock.wait_for(lambda: self._job is None, seconds)

    def _run(self, job: _Job, action: Callable[[], Result]) -> None:
        def tell(done: int, total: int) -> None:
            if job.is_over:
                raise Cancelled
            job.share = done / total if total > 0 else 0.0
            self._notify()

        def act() -> None:
            try:
                with watched(tell):
                    result = action()
            except Cancelled:
                return
            if not job.is_over:
                result()

        self._guarded(act)
        with self._lock:
            self._job = None if self._job is job else self._job
            self._lock.notify_all()
        self._notify()

    def _notify(self) -> None:
        for listener in self._listeners:
            listener()


def attempt(work: Callable[[], object], tell: Callable[[str], object]) -> None:
    """Do something for a page; say there what went wrong, and go on serving."""
    try:
        try:
            work()
        except LangfieldError as error:
            tell(f"⚠ {error}")
        except Exception as error:  # a page must outlive whatever a question meets
            say(traceback.format_exc())
            tell(f"⚠ This did not work ({type(error).__name__}: {str(error)[:300]}); details are in the terminal.")
    except Exception:  # what is wrong cannot even be said there
        say(traceback.format_exc())
