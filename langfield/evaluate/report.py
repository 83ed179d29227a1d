"""The report of an evaluation: every query's row, the means, how far they can be trusted, and what was lost where."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from langfield.artefacts import write_bytes, write_json
from langfield.errors import FormatError
from langfield.evaluate.intervals import Interval, bootstrap_interval, wilson_interval
from langfield.evaluate.types import Losses, Rules, Scored


@dataclass(frozen=True)
class Metric:
    """A mean over queries with its 95 % intervals."""

    value: float
    over_queries: Interval
    """Bootstrap over queries."""
    over_names: Interval
    """Bootstrap over distinct phrases: the same things recur over frames, so this is the honest one."""
    wilson: Interval | None = None
    """Wilson's interval over queries, where every query counts 0 or 1."""


@dataclass(frozen=True)
class Summary:
    """The means of one source under one protocol; never of several protocols."""

    protocol: str
    protocol_version: int
    source: str
    """What was scored, such as "field" or "2D features"."""
    queries: int
    names: int
    """Distinct phrases."""
    metrics: Mapping[str, Metric]
    losses: Mapping[str, Metric]
    """Mean loss of IoU to segmentation, choice and lifting; empty where nothing is known of it."""
    seed: int
    notes: tuple[str, ...] = field(default=())
    """What was not scored and why."""

    def value(self, metric: str) -> float:
        """Give a metric's mean."""
        return self.metrics[metric].value


def summarise(
    rules: Rules,
    scores: Sequence[Scored],
    source: str,
    notes: tuple[str, ...] = (),
    losses: Sequence[Losses] = (),
    seed: int = 0,
) -> Summary:
    """Average scores and bound the averages.

    Args:
        rules: the protocol the scores were made under.
        scores: one per query.
        source: what was scored.
        notes: carried along.
        losses: of those queries that have 2D features.
        seed: of the bootstraps.

    Raises:
        FormatError: there is no score.
    """
    if not scores:
        raise FormatError("nothing was scored", source, "label at least one frame of the capture")
    names = [s.text for s in scores]
    values = [s.values() for s in scores]
    lost = {kind: [getattr(one, kind) for one in losses] for kind in LOSSES} if losses else {}
    return Summary(
        protocol=rules.name,
        protocol_version=rules.version,
        source=source,
        queries=len(scores),
        names=len(set(names)),
        metrics={name: measure([v[name] for v in values], names, seed) for name in rules.metrics},
        losses={kind: measure(row, [one.text for one in losses], seed) for kind, row in lost.items()},
        seed=seed,
        notes=notes,
    )


LOSSES = ("segmentation", "choice", "lifting")


def measure(values: Sequence[float], names: Sequence[str], seed: int = 0) -> Metric:
    """Give the mean of one value per query with its intervals."""
    row = np.array(values, dtype=np.float64)
    shares = bool(np.isin(row, (0.0, 1.0)).all())
    return Metric(
        float(row.mean()),
        bootstrap_interval(row, range(len(row)), seed),
        bootstrap_interval(row, names, seed),
        wilson_interval(int(row.sum()), len(row)) if shares else None,
    )


def query_rows(scores: Sequence[Scored], losses: Sequence[Losses] = ()) -> list[dict[str, Any]]:
    """Give one plain row per query, in the order of the scores; losses are matched by frame and phrase."""
    known = {(one.frame, one.text): one for one in losses}
    return [_row(score, known.get((score.frame, score.text))) for score in scores]


def _row(score: Scored, lost: Losses | None) -> dict[str, Any]:
    values = {name: round(value, 4) for name, value in score.values().items()}
    parts = {} if lost is None else {"best_mask": lost.best, "best_scoring": lost.chosen} | _losses(lost)
    about = {"frame": score.frame, "label": score.text} | values | {k: round(v, 4) for k, v in parts.items()}
    return about | dict(score.columns())


def _losses(lost: Losses) -> dict[str, float]:
    return {f"lost_{kind}": getattr(lost, kind) for kind in LOSSES}


def as_text(summary: Summary) -> str:
    """Give the summary as a few lines for a person."""
    head = (
        f"{summary.source}: protocol {summary.protocol}, version {summary.protocol_version}, "
        f"{summary.queries} queries, {summary.names} names"
    )
    lines = [_line(name, metric) for name, metric in summary.metrics.items()]
    lines += [_line(f"lost to {kind}", metric) for kind, metric in summary.losses.items()]
    return "\n".join([head, *lines, *(f"  note: {note}" for note in summary.notes)])


def _line(name: str, metric: Metric) -> str:
    bounds = {"over names": metric.over_names, "over queries": metric.over_queries, "Wilson": metric.wilson}
    parts = [f"{how} {b[0]:.3f} to {b[1]:.3f}" for how, b in bounds.items() if b is not None]
    return f"  {name:<22}{metric.value:6.3f}   95 % {'; '.join(parts)}"


def as_csv(scores: Sequence[Scored], losses: Sequence[Losses] = ()) -> str:
    """Give the table of queries as CSV text."""
    rows = query_rows(scores, losses)
    columns = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def write_report(folder: Path, scores: Sequence[Scored], summary: Summary, losses: Sequence[Losses] = ()) -> None:
    """Write queries.csv, summary.json and summary.txt into a folder.

    Raises:
        StorageError: the disk is full or read-only.
    """
    write_bytes(folder / "queries.csv", as_csv(scores, losses).encode())
    write_json(folder / "summary.json", summary)
    write_bytes(folder / "summary.txt", (as_text(summary) + "\n").encode())
