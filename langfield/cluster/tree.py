"""Sums of float64 tensors over many files, along a tree that only the order of the files decides.

So the bits of a sum depend neither on how many workers there are nor on who was first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.cluster.photos import collect
from langfield.cluster.store import Store
from langfield.cluster.types import Tally, Work, Workers
from langfield.errors import FormatError

T = TypeVar("T")
V = TypeVar("V")
VERSION = 1
FAN = 8
"""Files added by one item."""


@dataclass(frozen=True)
class SumWork:
    """Adds files of equal tensors; gives the sum's file, named below the store's root."""

    store: Store

    def open(self) -> Callable[[tuple[Path, ...]], Path]:
        """See `langfield.cluster.types.Work`."""
        return self._sum

    def _sum(self, files: tuple[Path, ...]) -> Path:
        store = self.store.at_worker()
        path = store.cache.path("sums", content_key("sum", VERSION, [f.stem for f in files]), ".safetensors")
        if not store.has("sums", path):
            total = read_tensors(store.fetch("sums", files[0]))[0]
            for file in files[1:]:
                total = _add(total, read_tensors(store.fetch("sums", file))[0], file)
            write_tensors(path, total)
            store.keep(path)
        return path.relative_to(store.root)


def _add(total: dict[str, Tensor], more: dict[str, Tensor], where: Path) -> dict[str, Tensor]:
    shapes = {name: t.shape for name, t in more.items()}
    if shapes != {name: t.shape for name, t in total.items()} or any(t.dtype != torch.float64 for t in more.values()):
        raise FormatError("sums of different shapes", where, "remove it and run again")
    return {name: total[name] + more[name] for name in total}


def tree_sum(pool: Workers, store: Store, files: Sequence[Path], tally: Tally) -> dict[str, Tensor]:
    """Give the sum of files that workers have left, float64.

    Args:
        pool: what works.
        store: where the files are.
        files: named below the store's root, one at least; their order decides the last bits.
        tally: grows.

    Raises:
        FormatError: a file is missing or damaged, or shapes differ.
        LangfieldError: a problem of all items, see `Pool.map`.
    """
    level = list(files)
    while len(level) > 1:
        groups = [tuple(level[at : at + FAN]) for at in range(0, len(level), FAN)]
        level = all_of(pool, SumWork(store), groups, tally)
    return read_tensors(store.fetch("sums", level[0]))[0]


def all_of(pool: Workers, work: Work[T, V], items: Sequence[T], tally: Tally) -> list[V]:
    """Do all items and give what came of them in order.

    Raises:
        FormatError: one cannot be done: here nothing can be left out.
    """
    failed = len(tally.failed)
    found = collect(pool, work, items, [f"{tally.stage} {i}" for i in range(len(items))], tally)
    if len(tally.failed) > failed:
        raise FormatError(f"{tally.stage}: {tally.failed[failed]['why']}", None, "run the same command again")
    return [found[i] for i in range(len(items))]
