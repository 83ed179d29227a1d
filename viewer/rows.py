"""Sets of Gaussians as rising row numbers that nobody can write to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int64

Rows = Int64[np.ndarray, " S"]
How = Literal["replace", "add", "subtract", "keep common"]


def frozen(values: np.ndarray | Iterable[int]) -> Rows:
    """Give row numbers rising, each once, read-only."""
    rows = np.unique(np.asarray(values if isinstance(values, np.ndarray) else list(values), dtype=np.int64))
    rows.setflags(write=False)
    return rows


EMPTY = frozen([])


def no_rows() -> Rows:
    """Give the empty set."""
    return EMPTY


def combine(old: Rows, new: Rows, how: How) -> Rows:
    """Put a new set of rows to an old one."""
    match how:
        case "replace":
            return frozen(new)
        case "add":
            return frozen(np.union1d(old, new))
        case "subtract":
            return frozen(np.setdiff1d(old, new, assume_unique=True))
        case "keep common":
            return frozen(np.intersect1d(old, new, assume_unique=True))


def as_mask(rows: Rows, count: int) -> Bool[np.ndarray, " N"]:
    """Give the rows as a mask over all Gaussians."""
    mask = np.zeros(count, dtype=bool)
    mask[rows] = True
    return mask
