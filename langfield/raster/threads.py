"""How many threads the kernels use, and a way to keep torch's own threads from getting in their way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from langfield.threads import one_thread, threads_outside


def kernel_threads() -> int:
    """Give the number of threads for the compiled kernels: torch's, as it was outside any `kernels_only`."""
    return threads_outside()


@contextmanager
def kernels_only() -> Iterator[None]:
    """Let only the kernels use several threads inside, and torch's own operators one.

    Torch's waiting threads spin. Between many small operators that takes the cores from the kernels: a step of the
    photometric fit took five times longer with it on two shared cores.
    """
    with one_thread():
        yield
