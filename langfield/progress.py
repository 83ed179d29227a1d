"""One reporter for the whole package: bars with an ETA on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

T = TypeVar("T")
About = tuple[str, Callable[[], str] | None]
LINE_EVERY_S = 10.0
_WATCHER: ContextVar[Callable[[int, int], object] | None] = ContextVar("watcher", default=None)


def console() -> Console:
    """Give a console on standard error, so that results on standard output stay clean."""
    return Console(file=sys.stderr, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """Print one line for the person who waits; markup in it is not interpreted."""
    console().print(text, markup=False)


@contextmanager
def watched(tell: Callable[[int, int], object]) -> Iterator[None]:
    """Have somebody told of the steps taken inside, in this thread alone; what `tell` raises ends the work.

    Args:
        tell: takes how many steps are done, and how many there are.
    """
    token = _WATCHER.set(tell)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def step(done: int, total: int) -> None:
    """Say that a step of work too short for a bar is done, where somebody watches."""
    if (tell := _WATCHER.get()) is not None:
        tell(done, total)


def track(
    items: Iterable[T], label: str, total: int | None = None, now: Callable[[], str] | None = None
) -> Iterator[T]:
    """Yield `items` while showing how many are done, how long it took and how long it will take.

    Args:
        items: what is worked through, one unit of work each.
        label: a few words, such as "masks".
        total: number of items where `items` has no length.
        now: gives a few words on how it stands, shown beside.
    """
    count = total if total is not None else len(items) if isinstance(items, Sized) else None
    out = console()
    return _bar(items, (label, now), count, out) if out.is_terminal else _lines(items, (label, now), count)


def track_rest(todo: Sequence[T], label: str, total: int) -> Iterator[T]:
    """Walk through the unfinished part of `total` units of work, saying how much an earlier run has done."""
    if len(todo) < total:
        say(f"{label}: {total - len(todo)} of {total} cached")
    return track(todo, label)


def _bar(items: Iterable[T], about: About, total: int | None, out: Console) -> Iterator[T]:
    label, now = about
    columns = (
        TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[now]}"),
    )  # fmt: skip
    with Progress(*columns, console=out) as bar:
        task = bar.add_task(label, total=total, now="")
        for item in items:
            yield item
            bar.update(task, advance=1, now=now() if now is not None else "")


def _lines(items: Iterable[T], about: About, total: int | None) -> Iterator[T]:
    label, now = about
    start = last = time.monotonic()
    done = 0
    for done, item in enumerate(items, start=1):
        yield item
        at = time.monotonic()
        if at - last > LINE_EVERY_S:
            last = at
            eta = f", ETA {(at - start) / done * (total - done):.0f} s" if total else ""
            stand = f"; {now()}" if now is not None else ""
            say(f"{label}: {done}/{total or '?'} in {at - start:.0f} s{eta}{stand}")
    say(f"{label}: {done} done in {time.monotonic() - start:.1f} s")


def how_to_ask(run: Path, when: bool = False) -> str:
    """Give the lines that a finished run ends with: the commands that ask it and open it.

    Args:
        run: its folder.
        when: it knows states, so that it can be asked when something is so.
    """
    lines = ["ask it, or open it in a browser:", f'langfield query {run} "WORDS" --picture hit.png']
    lines += [f'langfield query {run} "WORDS" --when --picture when.png'] if when else []
    return "\n  ".join([*lines, f"langfield view {run}"])
