"""From what was found of each row and seed to values with intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student

from langfield.commands.field_bench.score import FLAT, SOLID
from langfield.evaluate.intervals import bootstrap_interval

Interval = tuple[float, float]
Cell = Mapping[str, Any]
"""What was found of one row and seed: scores, times, bytes."""

Value = Callable[[list[Any]], float]
OF_QUERIES: Mapping[str, Value] = {"localisation": lambda row: row[2], "mIoU": lambda row: row[3]}
OF_SELECTIONS: Mapping[str, Value] = {
    "mIoU": lambda row: row[2],
    "Acc@0.25": lambda row: float(row[2] > 0.25),
    "Acc@0.5": lambda row: float(row[2] > 0.5),
}


def per_query(cell: Cell) -> dict[str, tuple[list[str], Float[np.ndarray, " Q"]]]:
    """Give, by metric, the texts that were asked and what each scored."""
    found = {}
    for space, protocol, metrics in (("2D", FLAT, OF_QUERIES), ("3D", SOLID, OF_SELECTIONS)):
        for rule, rows in cell[protocol].items():
            for metric, value in metrics.items():
                found[f"{space} {metric}, {rule}"] = _column(rows, value)
    return found


def _column(rows: list[Any], value: Value) -> tuple[list[str], Float[np.ndarray, " Q"]]:
    return [row[1] for row in rows], np.array([value(row) for row in rows], dtype=np.float64)


def summarise(cells: Sequence[Cell]) -> dict[str, Any]:
    """Give values with intervals of one row over its seeds.

    Returns:
        By metric: `mean`, `seeds` (a value each), `over_seeds` (95 %, Student's t; None for one seed) and, where it is
        a mean over queries, `over_names` (95 %, bootstrap over names of the seeds' mean).
    """
    found: dict[str, Any] = {}
    queries = [per_query(cell) for cell in cells]
    for metric in queries[0]:
        names = queries[0][metric][0]
        values = np.stack([one[metric][1] for one in queries])
        about = {"over_names": bootstrap_interval(values.mean(axis=0), names)}
        found[metric] = {**spread(values.mean(axis=1)), **about}
    for part in ("times", "bytes", "queries", "absent"):
        for name in cells[0][part]:
            found[name] = spread([cell[part][name] for cell in cells])
    return found


def spread(values: Sequence[float] | Float[np.ndarray, " S"]) -> dict[str, Any]:
    """Give mean, values and the 95 % interval of the mean over seeds."""
    got = np.asarray(values, dtype=np.float64)
    mean = float(got.mean())
    if len(got) < 2:
        return {"mean": mean, "seeds": got.tolist(), "over_seeds": None}
    half = float(student.ppf(0.975, len(got) - 1) * got.std(ddof=1) / math.sqrt(len(got)))
    return {"mean": mean, "seeds": got.tolist(), "over_seeds": (mean - half, mean + half)}


def difference(a: Sequence[Cell], b: Sequence[Cell], metric: str, other: str | None = None) -> dict[str, Any]:
    """Give how much more `a` scores than `b` on the same queries and seeds.

    Args:
        a, b: cells by seed, same order.
        metric: of `a`.
        other: metric of `b` where it is another.

    Returns:
        `mean`, `over_seeds` (paired by seed) and `over_names` (bootstrap over names of the paired difference).
    """
    first = [per_query(cell)[metric] for cell in a]
    second = [per_query(cell)[other or metric] for cell in b]
    values = np.stack([x[1] - y[1] for x, y in zip(first, second, strict=True)])
    return {**spread(values.mean(axis=1)), "over_names": bootstrap_interval(values.mean(axis=0), first[0][0])}


def apart(low: Interval | None, high: Interval | None) -> bool:
    """Tell whether the second interval lies above the first without touching it."""
    return low is not None and high is not None and high[0] > low[1]
