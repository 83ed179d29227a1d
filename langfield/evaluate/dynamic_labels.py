"""Labels of what changes: 4D LangSplat's annotation folder, and our own file of questions.

4D LangSplat (arXiv 2503.10437; eval/eval.py) reads `train/_annotations.coco.json`, a COCO file of outlines, and
`video_annotations.json`, which says {thing: {question: [[first, last], ...]}} in steps, both included. Ours,
`queries.json`, adds the kind of each question and states that never occur. Differences: all outlines of an annotation
count, where theirs takes the first; a frame is found by its name, where theirs takes the number before the first `_`
for its place (tried last here).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from langfield.artefacts import read_json
from langfield.capture.lens import map_points_to_frame
from langfield.capture.types import Frame
from langfield.errors import FormatError
from langfield.evaluate.labels import MAX_JSON_BYTES, Labels, Query, index_frames, stem_of

COCO = "train/_annotations.coco.json"
INTERVALS = ("queries.json", "video_annotations.json")
KINDS = ("keyword", "sentence")
MAX_ROWS = 200_000
MAX_STEPS = 100_000


@dataclass(frozen=True)
class StateQuery:
    """A question about when a thing is in a state."""

    text: str
    thing: str
    """Name of the thing, as the outlines call it."""
    intervals: tuple[tuple[int, int], ...]
    """First and last step, both included; none where the state never occurs."""
    kind: str = "keyword"
    """"keyword" or "sentence"."""

    @property
    def occurs(self) -> bool:
        """Tell whether the state occurs at all."""
        return bool(self.intervals)

    def active(self, steps: int) -> Bool[np.ndarray, " T"]:
        """Say at which of `steps` steps the thing is in the state."""
        out = np.zeros(steps, bool)
        for first, last in self.intervals:
            out[first : last + 1] = True
        return out


def find_intervals(folder: Path) -> Path | None:
    """Give the file of questions in an annotation folder or beside it, ours before 4D LangSplat's."""
    places = [home / name for name in INTERVALS for home in (folder, folder.parent)]
    return next((path for path in places if path.is_file()), None)


def read_queries(file: Path) -> tuple[StateQuery, ...]:
    """Read questions with their intervals, in our layout or 4D LangSplat's.

    Raises:
        FormatError: missing, damaged, or an interval is not two steps in order.
    """
    data = read_json(file, MAX_JSON_BYTES)
    if not isinstance(data, dict):
        raise FormatError("file of intervals holds no JSON object", file)
    rows = data["queries"] if isinstance(data.get("queries"), list) else _rows_of_4d_langsplat(data, file)
    if len(rows) > MAX_ROWS:
        raise FormatError(f"{len(rows)} questions exceed the limit of {MAX_ROWS}", file)
    if not rows:
        raise FormatError("file of intervals asks nothing", file)
    return tuple(_query(row, file) for row in rows)


def _rows_of_4d_langsplat(data: Mapping[str, Any], file: Path) -> list[dict[str, Any]]:
    rows = []
    for thing, texts in data.items():
        if not isinstance(texts, dict):
            raise FormatError(f"'{thing:.60}' has no table of questions", file)
        rows += [{"text": text, "object": thing, "intervals": spans} for text, spans in texts.items()]
    return rows


def _query(row: Any, file: Path) -> StateQuery:
    if not isinstance(row, dict):
        raise FormatError("a question is no JSON object", file)
    text, thing = (_text(row, key, file) for key in ("text", "object"))
    kind, spans = row.get("kind", "keyword"), row.get("intervals")
    if kind not in KINDS or not isinstance(spans, list):
        raise FormatError(f"'{text:.60}' is of no known kind or has no list of intervals", file)
    intervals = []
    for span in spans:
        whole = isinstance(span, list) and len(span) == 2 and all(type(v) is int for v in span)
        if not whole or not 0 <= span[0] <= span[1] < MAX_STEPS:
            raise FormatError(f"an interval of '{text:.60}' is not its first and last step", file)
        intervals.append((span[0], span[1]))
    return StateQuery(text, thing, tuple(intervals), kind)


def steps_of(frames: Sequence[Frame]) -> dict[str, int]:
    """Give each frame's step by name: the rank of its time, or its place where frames have no times.

    Args:
        frames: all of the capture's, or steps would shift.
    """
    times = [f.camera.time_s for f in frames]
    if any(t is None for t in times):
        return {frame.name: i for i, frame in enumerate(frames)}
    rank = {t: i for i, t in enumerate(sorted({t for t in times if t is not None}))}
    return {frame.name: rank[t] for frame, t in zip(frames, times, strict=True) if t is not None}


def read_outlines(file: Path, frames: Sequence[Frame]) -> Labels:
    """Read a COCO file's outlines and map them into the capture's frames.

    Args:
        file: the file, or the annotation folder that holds `train/_annotations.coco.json`.
        frames: the capture's; an outline drawn on a resized picture is scaled to the frame's own.

    Raises:
        FormatError: missing, damaged, or none of its pictures belongs to the capture.
    """
    file = file / COCO if file.is_dir() else file
    data = read_json(file, MAX_JSON_BYTES)
    names = {_id(c, "id", file): _text(c, "name", file) for c in _rows(data, "categories", file)}
    by_name, notes = index_frames(frames), []
    homes: dict[int, tuple[Frame, float, float] | None] = {}
    for image in _rows(data, "images", file):
        name = _text(image, "file_name", file)
        frame = next((by_name[n] for n in (name, stem_of(name), name.split("_")[0]) if n in by_name), None)
        if frame is None:
            notes.append(f"labelled picture {name:.120} is not in the capture")
        homes[_id(image, "id", file)] = (frame, *_scale(image, frame, file)) if frame is not None else None
    found: dict[tuple[str, str], list[Float[np.ndarray, "P 2"]]] = {}
    for row in _rows(data, "annotations", file):
        image, category = _id(row, "image_id", file), _id(row, "category_id", file)
        if image not in homes or category not in names:
            raise FormatError(f"an annotation names picture {image} and category {category}, not both there", file)
        if (home := homes[image]) is not None:
            frame, sx, sy = home
            polygons = [np.asarray(map_points_to_frame(frame, p * [sx, sy])) for p in _polygons(row, file)]
            found.setdefault((frame.name, names[category]), []).extend(polygons)
    queries = tuple(Query(frame, text, tuple(p)) for (frame, text), p in found.items() if p)
    if not queries:
        raise FormatError("no labelled picture belongs to this capture", file, "check that file names agree")
    return Labels(queries, tuple(notes))


def _rows(data: Any, key: str, file: Path) -> list[dict[str, Any]]:
    rows = data.get(key) if isinstance(data, dict) else None
    if not isinstance(rows, list) or len(rows) > MAX_ROWS or not all(isinstance(r, dict) for r in rows):
        raise FormatError(f"COCO file has no list of {key}", file)
    return rows


def _id(row: Mapping[str, Any], key: str, file: Path) -> int:
    value = row.get(key)
    if type(value) is not int or not -(2**53) < value < 2**53:
        raise FormatError(f"COCO file: {key} is not a whole number: {value!r:.40}", file)
    return value


def _text(row: Mapping[str, Any], key: str, file: Path) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip():
        raise FormatError(f"{key} is not a text: {value!r:.40}", file)
    return value.strip()


def _scale(image: Mapping[str, Any], frame: Frame, file: Path) -> tuple[float, float]:
    """Give what outlines are multiplied by to lie on the frame's original picture."""
    width, height = _id(image, "width", file), _id(image, "height", file)
    if min(width, height) < 1:
        raise FormatError(f"COCO file: a picture of {width}x{height}", file)
    original = frame.source or frame.camera
    return original.width / width, original.height / height


def _polygons(row: Mapping[str, Any], file: Path) -> list[Float[np.ndarray, "P 2"]]:
    shapes = row.get("segmentation")
    if not isinstance(shapes, list):
        raise FormatError("an annotation has no outlines", file, "export polygons, not run lengths")
    polygons = []
    for flat in shapes:
        numbers = isinstance(flat, list) and all(isinstance(v, (int, float)) and -1e9 < v < 1e9 for v in flat)
        if not numbers or len(flat) < 6 or len(flat) % 2:
            raise FormatError("an outline is not x y pairs of three or more points", file)
        polygons.append(np.array(flat, np.float64).reshape(-1, 2))
    return polygons
