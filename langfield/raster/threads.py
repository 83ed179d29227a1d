"""How many threads the kernels use, and a way to keep torch's own threads from getting in their way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

import torch

_kernel_threads: ContextVar[int | None] = ContextVar("kernel_threads", default=None)


class _Outside:
    """Torch's number of threads outside every `kernels_only`, whichever of them began first."""

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


def kernel_threads() -> int:
    """Give the number of threads for the compiled kernels: torch's, as it was outside any `kernels_only`."""
    return _kernel_threads.get() or torch.get_num_threads()


@contextmanager
def kernels_only() -> Iterator[None]:
    """Let only the kernels use several threads inside, and torch's own operators one.

    Torch's waiting threads spin. Between many small operators that takes the cores from the kernels: a step of the
    photometric fit took five times longer with it on two shared cores. The setting is the caller's again afterwards,
    also where several threads are inside at once.
    """
    if _kernel_threads.get() is not None:
        yield
        return
    before = _outside.leave()
    token = _kernel_threads.set(before)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _kernel_threads.reset(token)
        _outside.come_back()
