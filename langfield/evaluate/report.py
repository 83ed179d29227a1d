"""The report of an evaluation: every query's row, the means, and how far they can be trusted."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from langfield.artefacts import write_bytes, write_json
from langfield.errors import FormatError
from langfield.evaluate.langsplat2d import PROTOCOL, VERSION, Score
from langfield.segment.types import LEVELS

Interval = tuple[float, float]
RESAMPLES = 10_000
Z95 = 1.959963984540054
COLUMNS: tuple[str, ...] = (
    "frame",
    "label",
    "hit",
    "iou",
    "level",
    "mask_level",
    "peak_score",
    "peak_x",
    "peak_y",
    "boxes",
)


@dataclass(frozen=True)
class Summary:
    """Means with their 95 % intervals."""

    source: str
    """What was scored, such as "field" or "2D features"."""
    queries: int
    names: int
    """Distinct phrases; the same things recur over frames, so the interval over names is the honest one."""
    accuracy: float
    """Localisation: share of queries whose peak lies in a box."""
    accuracy_wilson: Interval
    accuracy_bootstrap: Interval
    accuracy_bootstrap_names: Interval
    miou: float
    miou_bootstrap: Interval
    miou_bootstrap_names: Interval
    seed: int
    protocol: str = PROTOCOL
    protocol_version: int = VERSION
    notes: tuple[str, ...] = field(default=())
    """What was not scored and why."""


def summarise(scores: Sequence[Score], source: str, notes: tuple[str, ...] = (), seed: int = 0) -> Summary:
    """Average scores and bound the averages.

    Args:
        scores: one per query.
        source: what was scored.
        notes: carried along.
        seed: of the bootstrap.

    Raises:
        FormatError: there is no score.
    """
    if not scores:
        raise FormatError("nothing was scored", source, "label at least one frame of the capture")
    hits = np.array([float(s.hit) for s in scores])
    ious = np.array([s.iou for s in scores])
    names = [s.query.text for s in scores]
    return Summary(
        source=source,
        queries=len(scores),
        names=len(set(names)),
        accuracy=float(hits.mean()),
        accuracy_wilson=wilson_interval(int(hits.sum()), len(hits)),
        accuracy_bootstrap=bootstrap_interval(hits, range(len(hits)), seed),
        accuracy_bootstrap_names=bootstrap_interval(hits, names, seed),
        miou=float(ious.mean()),
        miou_bootstrap=bootstrap_interval(ious, range(len(ious)), seed),
        miou_bootstrap_names=bootstrap_interval(ious, names, seed),
        seed=seed,
        notes=notes,
    )


def wilson_interval(hits: int, n: int) -> Interval:
    """Give Wilson's 95 % interval of a share (Wilson 1927)."""
    share, z2 = hits / n, Z95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(values: Float[np.ndarray, " Q"], groups: Sequence[object], seed: int = 0) -> Interval:
    """Give the 95 % percentile interval of the mean, drawing whole groups with replacement.

    Args:
        values: one per query.
        groups: group of each query; all different for a bootstrap over queries, the phrases for one over names.
        seed: of the 10,000 draws.
    """
    _, of = np.unique(np.array([str(g) for g in groups]), return_inverse=True)
    sums, counts = np.bincount(of, values), np.bincount(of)
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=RESAMPLES)
    low, high = np.quantile((drawn @ sums) / (drawn @ counts), [0.025, 0.975])
    return float(low), float(high)


def query_rows(scores: Sequence[Score]) -> list[dict[str, Any]]:
    """Give one plain row per query, in the order of the scores."""
    return [
        {
            "frame": s.query.frame,
            "label": s.query.text,
            "hit": int(s.hit),
            "iou": round(s.iou, 4),
            "level": LEVELS[s.level],
            "mask_level": LEVELS[s.mask_level],
            "peak_score": round(s.peak_score, 4),
            "peak_x": s.peak_px[0],
            "peak_y": s.peak_px[1],
            "boxes": " ".join(",".join(f"{v:g}" for v in np.round(box, 1)) for box in s.query.boxes),
        }
        for s in scores
    ]


def as_text(summary: Summary) -> str:
    """Give the summary as a few lines for a person."""

    def line(name: str, value: float, **intervals: Interval) -> str:
        parts = [f"{low:.3f} to {high:.3f} {how.replace('_', ' ')}" for how, (low, high) in intervals.items()]
        return f"  {name:<22}{value:.3f}   95 %: {'; '.join(parts)}"

    return "\n".join(
        [
            f"{summary.source}: {summary.protocol} protocol, version {summary.protocol_version}, "
            f"{summary.queries} queries, {summary.names} names",
            line(
                "localisation accuracy",
                summary.accuracy,
                Wilson=summary.accuracy_wilson,
                over_queries=summary.accuracy_bootstrap,
                over_names=summary.accuracy_bootstrap_names,
            ),
            line("mIoU", summary.miou, over_queries=summary.miou_bootstrap, over_names=summary.miou_bootstrap_names),
            *(f"  note: {note}" for note in summary.notes),
        ]
    )


def as_csv(scores: Sequence[Score]) -> str:
    """Give the table of queries as CSV text."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(query_rows(scores))
    return out.getvalue()


def write_report(folder: Path, scores: Sequence[Score], summary: Summary) -> None:
    """Write queries.csv, summary.json and summary.txt into a folder.

    Raises:
        StorageError: the disk is full or read-only.
    """
    write_bytes(folder / "queries.csv", as_csv(scores).encode())
    write_json(folder / "summary.json", summary)
    write_bytes(folder / "summary.txt", (as_text(summary) + "\n").encode())
