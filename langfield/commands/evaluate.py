"""`langfield eval`: the localisation eval script, and what 2D features alone would have scored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from langfield.capture.types import Frame
from langfield.commands.output import print_json, print_text
from langfield.evaluate.labels import Labels, read_labels
from langfield.evaluate.langsplat2d import Score
from langfield.evaluate.pictures import write_gallery
from langfield.evaluate.report import as_text, summarise, write_report
from langfield.evaluate.sources import score_features, score_field
from langfield.run import Run, open_run
from langfield.suite.types import TextEncoder


def evaluate(
    run: Annotated[Path, tyro.conf.Positional],
    labels: Path,
    out: Path | None = None,
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Score a field by LangSplat's 2D protocol, and beside it the 2D features it was made from.

    Labelled frames are matched by file name. Writes queries.csv, summary.json and pictures per source.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        labels: folder of label files in the LERF-OVS layout.
        out: folder of the report; RUN/eval by default.
        text_encoder: use another text encoder than the run's.
        json: print the summaries as JSON.
    """
    opened = open_run(run)
    folder = out or opened.path / "eval"
    read = read_labels(labels, opened.frames)
    encoder = opened.text_encoder(text_encoder)
    sources = {"field": score_field(opened.field, opened.frames, read, encoder)} | _features(opened, read, encoder)
    summaries = []
    for name, scores in sources.items():
        summary = summarise(scores, name, _notes(opened, read, scores))
        write_report(folder / _slug(name), scores, summary)
        summaries.append(summary)
    photos = {f.name: f for f in opened.frames}
    pictures = write_gallery(folder / "pictures", sources["field"], lambda name: _photo(photos[name]))
    if json:
        print_json({"report": folder, "summaries": summaries, "pictures": pictures})
        return
    print_text("\n".join(as_text(summary) for summary in summaries))
    print_text(f"tables per query and {len(pictures)} pictures: {folder}")


def _features(run: Run, labels: Labels, encoder: TextEncoder) -> dict[str, list[Score]]:
    """Score the 2D features of the labelled frames that have them, with both fills of pixels without a mask."""
    frames = [f for f in run.frames if run.features(f) is not None]
    kept = Labels(tuple(q for q in labels.queries if q.frame in {f.name for f in frames}), labels.notes)
    if not kept.queries:
        return {}

    def load(frame: Frame) -> tuple[np.ndarray, object]:
        found = run.features(frame)
        assert found is not None  # noqa: S101 - chosen above
        segments, vectors = found.load()
        return segments.ids, vectors

    return {
        "2D features": score_features(load, frames, kept, encoder),  # pyright: ignore
        "2D features, no mask = 0": score_features(load, frames, kept, encoder, fill=0.0),  # pyright: ignore
    }


def _notes(run: Run, labels: Labels, scores: Sequence[Score]) -> tuple[str, ...]:
    held = {s.query.frame for s in scores} - run.training_names
    notes = labels.notes
    if held:
        notes = (*notes, f"{len(held)} labelled views were held out of training: {', '.join(sorted(held))}")
    return notes


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
