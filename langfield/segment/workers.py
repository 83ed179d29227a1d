"""Threads that each run torch on one core: many small tasks side by side instead of one task split over cores."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch


@contextmanager
def single_threaded() -> Iterator[ThreadPoolExecutor]:
    """Give a pool with as many threads as torch uses, each of which runs torch on one core.

    Splitting one small operation over cores makes them wait for each other at its end; where another process takes
    part of a core's time, that is up to ten times slower than one task per thread.
    """
    cores = torch.get_num_threads()
    with ThreadPoolExecutor(cores, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool
        finally:
            torch.set_num_threads(cores)  # the count that later threads start from is one for the whole process
