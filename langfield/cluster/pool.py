"""Workers that stay: each loads its models once, holds few items at a time, and is replaced when it dies.

Items are drawn only when a worker has room for one, so a slow stage holds back the one that feeds it, and neither side
ever holds more than `ahead` items a worker.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from langfield.cluster.actor import Actor
from langfield.cluster.start import import_ray
from langfield.cluster.types import Outcome, Problem, Reply, Tally, Work
from langfield.errors import EnvironmentProblem, StorageError
from langfield.progress import say

T = TypeVar("T")
V = TypeVar("V")
STOPS = ("EnvironmentProblem", "SettingsError")
"""Problems that every item would have."""


@dataclass(frozen=True)
class PoolSettings:
    """How work is spread."""

    workers: int | None = None
    """Processes; None takes one for each GPU where there are any, else for each CPU."""
    threads: int = 1
    """Threads, and CPUs reserved, of each."""
    ahead: int = 2
    """Items that a worker holds: the one in work and those that wait for it."""
    tries: int = 4
    """Workers that may die of an item before it counts as failed."""
    gpus: float = 0.0
    """GPUs reserved for each worker."""


@dataclass
class _Task:
    index: int
    item: Any
    tries: int = 0


@dataclass
class _Worker:
    handle: Any
    tasks: dict[Any, _Task] = field(default_factory=dict)
    """By reference to its reply, the oldest first."""
    pid: int | None = None
    """Known from its first reply on."""


class Pool:
    """A number of worker processes for one stage after the other.

    Args:
        settings: how work is spread; `workers` must be a number.
        watch: called after every reply with the tally; for tests and for whoever wants to look.
    """

    def __init__(self, settings: PoolSettings, watch: Callable[[Pool, Tally], None] | None = None) -> None:
        self.settings, self.watch = settings, watch
        self._ray = import_ray()
        self._make = self._ray.remote(Actor)
        self._workers: list[_Worker] = []
        self._deaths_in_a_row = 0

    def __enter__(self) -> Pool:
        self._workers = [self._start() for _ in range(self.settings.workers or 1)]
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers:
            self._ray.kill(worker.handle)
        self._workers = []

    def pids(self) -> list[int]:
        """Give the process numbers of the workers that have replied."""
        return [w.pid for w in self._workers if w.pid is not None]

    def map(self, work: Work[T, V], items: Iterable[T], tally: Tally) -> Iterator[Outcome[V]]:
        """Give what becomes of every item, each once, in the order they are finished.

        Args:
            work: what to do with each.
            items: drawn as workers have room.
            tally: grows with what happens.

        Raises:
            LangfieldError: a problem that all items would have, no worker can write, or workers die before they do
                anything.
        """
        start, before = time.monotonic(), tally.seconds
        source, again = enumerate(items), deque[_Task]()
        try:
            while True:
                self._fill(work, source, again)
                tasks = {reference: worker for worker in self._workers for reference in worker.tasks}
                if not tasks:
                    break
                ready, _ = self._ray.wait(list(tasks), num_returns=1)
                outcome = self._take(ready[0], tasks[ready[0]], again, tally)
                tally.seconds = before + time.monotonic() - start
                tally.first_s = tally.first_s or tally.seconds
                if self.watch is not None:
                    self.watch(self, tally)
                if outcome is not None:
                    yield outcome
        finally:
            for worker in self._workers:  # nobody waits for what a caller that broke off has left
                worker.tasks.clear()

    def _start(self) -> _Worker:
        how = self.settings
        options = {"num_cpus": how.threads, "num_gpus": how.gpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
        return _Worker(self._make.options(**options).remote(how.threads))

    def _fill(self, work: Work[T, V], source: Iterator[tuple[int, T]], again: deque[_Task]) -> None:
        """Give every worker an item before any gets a second."""
        for depth in range(self.settings.ahead):
            for worker in self._workers:
                if len(worker.tasks) > depth:
                    continue
                task = again.popleft() if again else _next(source)
                if task is None:
                    return
                worker.tasks[worker.handle.do.remote(work, task.item)] = task

    def _take(self, reference: Any, worker: _Worker, again: deque[_Task], tally: Tally) -> Outcome[Any] | None:
        """Read a reply; None where the item will be tried again."""
        try:
            reply: Reply[Any] = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return self._lost(worker, error, again, tally)
        self._deaths_in_a_row = 0
        task, worker.pid = worker.tasks.pop(reference), reply.pid
        tally.rss_mib = max(tally.rss_mib, reply.rss_mib)
        tally.busy_s, tally.cpu_s = tally.busy_s + reply.seconds, tally.cpu_s + reply.cpu_s
        if reply.problem is not None and reply.problem.kind == "StorageError":
            self._give_up(worker, reply.problem, task, again, tally)
            return None
        if reply.problem is not None and reply.problem.kind in STOPS:
            raise reply.problem.error()
        tally.done += reply.problem is None
        return Outcome(task.index, reply.value, reply.problem)

    def _lost(self, worker: _Worker, error: Exception, again: deque[_Task], tally: Tally) -> Outcome[Any] | None:
        """Replace a dead worker and put its items back; the one it was at counts a try."""
        first, *waiting = worker.tasks.values()
        again.extend(waiting)
        tally.lost_workers, self._deaths_in_a_row = tally.lost_workers + 1, self._deaths_in_a_row + 1
        self._workers.remove(worker)
        self._ray.kill(worker.handle)
        if self._deaths_in_a_row > self.settings.tries * (len(self._workers) + 1):
            raise EnvironmentProblem(
                f"workers die before they do anything: {str(error)[:200]}", None, "see Ray's logs on that machine"
            )
        self._workers.append(self._start())
        if first.tries + 1 >= self.settings.tries:
            problem = Problem("WorkerDied", f"{self.settings.tries} workers died of it")
            return Outcome(first.index, None, problem)
        again.appendleft(replace(first, tries=first.tries + 1))
        tally.retried += 1
        return None

    def _give_up(
        self, worker: _Worker, problem: Problem, task: _Task, again: deque[_Task], tally: Tally
    ) -> None:  # fmt: skip
        """Do without a worker that cannot write; its items go to others."""
        say(f"{tally.stage}: a worker cannot write and is given up: {problem.error()}")
        tally.full_disks, tally.retried = tally.full_disks + 1, tally.retried + 1
        self._workers.remove(worker)
        self._ray.kill(worker.handle)
        again.extend([task, *worker.tasks.values()])
        if not self._workers:
            raise StorageError(
                "no worker can write any more", problem.where, "free disk space and run the same command again"
            )


def _next(source: Iterator[tuple[int, Any]]) -> _Task | None:
    found = next(source, None)
    return None if found is None else _Task(*found)
