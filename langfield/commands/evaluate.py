"""`langfield eval`: score a field under named protocols, and say where what was lost was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

from langfield.artefacts import write_json
from langfield.capture.types import Frame
from langfield.commands.output import print_json, print_text
from langfield.evaluate.absent_eval import AbsentReport, evaluate_absent, peak_relevancy
from langfield.evaluate.absent_eval import as_text as absent_text
from langfield.evaluate.page import write_page
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.report import Summary, as_text, summarise, write_report
from langfield.evaluate.types import Features, Outcome, Rules, Subject
from langfield.query.calibrate import presence
from langfield.run import Run, open_run
from langfield.scene import Scene

ProtocolName = Literal[
    "lerf-ovs-2d",
    "lerf-ovs-3d",
    "lerf-ovs-2d-held-out",
    "lerf-ovs-3d-held-out",
    "3d-ovs",
    "replica",
    "replica-3d",
    "4d-langsplat",
    "4d-langsplat-agnostic",
    "4d-langsplat-never",
]


@dataclass(frozen=True)
class Evaluated:
    """What one protocol said of one run, and where its report lies."""

    summaries: tuple[Summary, ...]
    """The field's first."""
    outcome: Outcome
    report: Path
    """The page with pictures."""


@dataclass(frozen=True)
class EvalOptions:
    """How a field is scored."""

    protocol: tuple[ProtocolName, ...] = ("lerf-ovs-2d", "lerf-ovs-3d")
    """One or more; numbers of different protocols are never averaged."""
    out: Path | None = None
    """Folder of the reports; RUN/eval by default."""
    text_encoder: str | None = None
    """Use another text encoder than the run's."""
    absent: bool = False
    """Score also how well labelled names are told from 100 names of things that are not there."""
    seed: int = 0
    """Of the bootstrap intervals."""
    json: bool = False
    """Print the summaries as JSON."""


def evaluate(
    run: Annotated[Path, tyro.conf.Positional],
    labels: Path,
    options: Annotated[EvalOptions, tyro.conf.arg(name="")] = EvalOptions(),
) -> None:
    """Score a field under named protocols; each writes a page with pictures, a row per query and a summary.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        labels: folder of labels: LERF-OVS label files, a 3D-OVS scene, or label pictures and points with their names.
        options: how it is scored.
    """
    opened = open_run(run)
    folder, subject = options.out or opened.path / "eval", subject_of(opened, options.text_encoder)
    found = [
        evaluate_protocol(PROTOCOLS[name], subject, labels, folder / name, options.seed) for name in options.protocol
    ]
    about = _absent(subject, found, options.seed) if options.absent else []
    data: dict[str, Any] = {
        "run": opened.path,
        "summaries": [s for one in found for s in one.summaries],
        "reports": [one.report for one in found],
        "absent": about,
    }
    write_json(folder / "summary.json", data)
    if options.json:
        print_json(data)
        return
    for one in found:
        print_text("\n".join(as_text(summary) for summary in one.summaries))
        print_text(f"  every query with pictures: {one.report}")
    for one in about:
        print_text(absent_text(one))


def subject_of(run: Run, text_encoder: str | None = None) -> Subject:
    """Give what protocols question: the run's field, views and 2D features."""

    def features(frame: Frame) -> Features | None:
        found = run.features(frame)
        if found is None:
            return None
        segments, vectors = found.load()
        return segments.ids, vectors

    scene = Scene(run, text_encoder)
    return Subject(
        run.field, run.frames, frozenset(run.training_names), run.text_encoder(text_encoder), features,
        (lambda: scene.events) if run.field.status_tracks is not None else None,
    )  # fmt: skip


def evaluate_protocol(rules: Rules, subject: Subject, labels: Path, folder: Path, seed: int = 0) -> Evaluated:
    """Follow one protocol and write its report.

    Args:
        rules: the protocol.
        subject: what is scored.
        labels: folder of labels.
        folder: of the report: report.html, and per source queries.csv, summary.json and summary.txt.
        seed: of the bootstrap intervals.

    Raises:
        FormatError: labels that cannot be read or belong to another capture.
        QueryError: encoder and field do not fit, or a label cannot be asked.
    """
    outcome = rules.score(subject, labels)
    summaries = []
    for source, scores in outcome.scores.items():
        losses = outcome.losses if not summaries else ()  # they are the field's
        summary = summarise(rules, scores, source, outcome.notes, losses, seed)
        write_report(folder / _slug(source), scores, summary, losses)
        summaries.append(summary)
    photos = {f.name: f for f in subject.frames}
    page = folder / "report.html"
    write_page(
        page,
        f"{rules.about}: {labels.resolve().parent.name}/{labels.name}",
        summaries,
        outcome,
        lambda name: _photo(photos[name]),
    )
    return Evaluated(tuple(summaries), outcome, page)


def _absent(subject: Subject, found: Sequence[Evaluated], seed: int) -> list[AbsentReport]:
    """Score labelled and absent names by the calibrated score, and by the relevancy it is made from."""
    names = [s.text for one in found for s in next(iter(one.outcome.scores.values()))]
    field, encoder = subject.field, subject.encoder
    return [
        evaluate_absent(lambda texts: presence(field, encoder, texts), "calibrated score", names, seed=seed),
        evaluate_absent(peak_relevancy(field, encoder), "peak relevancy", names, seed=seed),
    ]


def _photo(frame: Frame) -> np.ndarray:
    """Give the frame's photo, or a grey picture where the cache no longer holds it."""
    from langfield.capture.images import read_picture
    from langfield.errors import FormatError

    try:
        return read_picture(frame.path)
    except FormatError:
        return np.full((frame.camera.height, frame.camera.width, 3), 128, np.uint8)


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in name).strip("-")
