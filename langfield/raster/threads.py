"""How many threads the kernels use, and a way to keep torch's own threads from getting in their way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_kernel_threads: ContextVar[int | None] = ContextVar("kernel_threads", default=None)


def kernel_threads() -> int:
    """Give the number of threads for the compiled kernels: torch's, as it was outside any `kernels_only`."""
    return _kernel_threads.get() or torch.get_num_threads()


@contextmanager
def kernels_only() -> Iterator[None]:
    """Let only the kernels use several threads inside, and torch's own operators one.

    Torch's waiting threads spin. Between many small operators that takes the cores from the kernels: a step of the
    photometric fit took five times longer with it on two shared cores. The setting is the caller's again afterwards.
    """
    before = torch.get_num_threads()
    token = _kernel_threads.set(kernel_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _kernel_threads.reset(token)
