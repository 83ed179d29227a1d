"""Torch's own threads, kept out of the way of work that is too small to share or brings threads of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import torch

_threads_outside: ContextVar[int | None] = ContextVar("threads_outside", default=None)


class _Outside:
    """Torch's number of threads outside every `one_thread`, whichever of them began first."""

    def __init__(self) -> None:
        self.lock, self.inside, self.threads = Lock(), 0, 1

    def leave(self) -> int:
        with self.lock:
            if self.inside == 0:
                self.threads = torch.get_num_threads()
            self.inside += 1
            return self.threads

    def come_back(self) -> None:
        with self.lock:
            self.inside -= 1


_outside = _Outside()


def threads_outside() -> int:
    """Give torch's number of threads as it was outside any `one_thread`."""
    return _threads_outside.get() or torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch's own operators use one thread inside: sums then always have one order, and nobody waits for others.

    The setting is the caller's again afterwards, also where several threads are inside at once.
    """
    if _threads_outside.get() is not None:
        yield
        return
    before = _outside.leave()
    token = _threads_outside.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _threads_outside.reset(token)
        _outside.come_back()
