"""Answers of an online map held against labels, by the protocol lerf-ovs-2d and lerf-ovs-3d."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from langfield.capture.types import Frame
from langfield.commands.dense import pictures_of
from langfield.commands.evaluate import subject_of
from langfield.evaluate.labels import read_labels
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.report import summarise
from langfield.field.types import Field
from langfield.run import Run

PROTOCOLS_USED = {"": "lerf-ovs-2d", "3d_": "lerf-ovs-3d"}


def label_names(labels: Path) -> list[str]:
    """Give the names in a folder of labels beside rgb/; none where there is no folder."""
    if not labels.is_dir():
        return []
    frames: list[Frame] = pictures_of(labels.parent)
    return sorted({query.text for query in read_labels(labels, frames).queries})


def score_field(run: Run, labels: Path, field: Field | None = None) -> dict[str, float]:
    """Score a run, or another field over its views.

    Args:
        run: gives views and encoders.
        labels: LERF-OVS label files.
        field: what is asked; None for the run's own.

    Returns:
        queries, and by metric its value, those of lerf-ovs-3d with 3d_ before their names.
    """
    subject = subject_of(run)
    subject = replace(subject, field=field) if field is not None else subject
    found: dict[str, float] = {}
    for prefix, name in PROTOCOLS_USED.items():
        outcome = PROTOCOLS[name].score(subject, labels)
        source, scores = next(iter(outcome.scores.items()))
        summary = summarise(PROTOCOLS[name], scores, source, outcome.notes, outcome.losses)
        found |= {f"{prefix}{metric}": one.value for metric, one in summary.metrics.items()}
        found["queries"] = summary.queries
    return found
