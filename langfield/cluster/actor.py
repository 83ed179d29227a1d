"""A worker process: opens work once, does items, says what came of each."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

from langfield.cluster.types import Reply, Work, problem_of


class Actor:
    """One worker.

    Args:
        threads: that torch and the kernels may use.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._work: Work[Any, Any] | None = None
        self._do: Callable[[Any], Any] | None = None

    def do(self, work: Work[Any, Any], item: Any) -> Reply[Any]:
        """Do one item; whatever goes wrong is part of the reply."""
        start, cpu, value, problem = time.perf_counter(), time.process_time(), None, None
        try:
            if self._do is None or work != self._work:
                _use_threads(self._threads)
                self._do, self._work = work.open(), work
            value = self._do(item)
        except Exception as error:
            problem = problem_of(error)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        return Reply(value, problem, seconds, peak, os.getpid(), cpu)


def _use_threads(count: int) -> None:
    """Bound torch's threads, where the work has imported torch; a worker without it starts many times sooner."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(count)
