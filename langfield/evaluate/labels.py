"""Labels in the LERF-OVS JSON layout, matched to frames by file name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float

from langfield.artefacts import read_json
from langfield.capture.lens import map_points_to_frame
from langfield.capture.types import Frame
from langfield.errors import FormatError

MAX_FILES = 10_000
MAX_JSON_BYTES = 64 * 2**20
MAX_OBJECTS = 10_000


@dataclass(frozen=True)
class Query:
    """All things of one name in one frame: one question with several right answers."""

    frame: str
    """Name of the capture's frame."""
    text: str
    polygons: tuple[Float[np.ndarray, "P 2"], ...]
    """x y in pixels of the frame."""

    @property
    def boxes(self) -> Float[np.ndarray, "B 4"]:
        """Give x0 y0 x1 y1 per polygon, in pixels."""
        return np.array([[*p.min(axis=0), *p.max(axis=0)] for p in self.polygons])


@dataclass(frozen=True)
class OfQuery:
    """What every result of one query knows."""

    query: Query

    @property
    def frame(self) -> str:
        """Name of the frame."""
        return self.query.frame

    @property
    def text(self) -> str:
        """The phrase."""
        return self.query.text


@dataclass(frozen=True)
class Labels:
    """What can be asked of a capture, and what could not be matched."""

    queries: tuple[Query, ...]
    notes: tuple[str, ...]
    """Labelled frames that the capture lacks, objects without an outline."""


def read_labels(folder: Path, frames: Sequence[Frame]) -> Labels:
    """Read every JSON file of a folder and map its polygons into the capture's frames.

    A file belongs to the frame whose name equals its `info.name`, with or without folder and suffix.

    Args:
        folder: holds one JSON file per labelled frame.
        frames: the capture's frames; where one was undistorted or resized, polygons are mapped along.

    Raises:
        FormatError: no file, a damaged file, or no labelled frame that belongs to the capture.
    """
    paths = sorted(folder.glob("*.json"))[: MAX_FILES + 1]
    if not paths or len(paths) > MAX_FILES:
        raise FormatError(f"folder holds {'no' if not paths else 'too many'} label files", folder, "name another")
    by_name = index_frames(frames)
    queries: list[Query] = []
    notes: list[str] = []
    for path in paths:
        name, objects = _read_file(path)
        frame = by_name.get(name) or by_name.get(stem_of(name))
        if frame is None:
            notes.append(f"labelled frame {name} is not in the capture: its {len(objects)} objects are not scored")
        else:
            queries += _queries_of(frame, objects, path, notes)
    if not queries:
        raise FormatError("no labelled frame belongs to this capture", folder, "check that file names agree")
    return Labels(tuple(queries), tuple(notes))


def draw_mask(polygons: Sequence[Float[np.ndarray, "P 2"]], height: int, width: int) -> Bool[np.ndarray, "H W"]:
    """Fill polygons, edges included, as LangSplat does (points cut to whole pixels)."""
    canvas = np.zeros((height, width), np.uint8)
    for polygon in polygons:
        points = np.clip(polygon, -(2**20), 2**20).astype(np.int32)
        cv2.fillPoly(canvas, [points], 1)
    return canvas.astype(bool)


def index_frames(frames: Sequence[Frame]) -> dict[str, Frame]:
    """Index frames by name, by name without folder, and by stem where that is unambiguous."""
    index: dict[str, Frame] = {}
    for key in (stem_of, _base):
        keys = [key(frame.name) for frame in frames]
        index |= {k: f for k, f in zip(keys, frames, strict=True) if keys.count(k) == 1}
    return index | {frame.name: frame for frame in frames}


def _base(name: str) -> str:
    return Path(name).name


def stem_of(name: str) -> str:
    """Drop folder and picture suffix of a name; a name such as 1341847982.730674 keeps its digits."""
    path = Path(name)
    return path.stem if path.suffix.lower() in {".png", ".jpg", ".jpeg", ".heic", ".webp", ".tif"} else path.name


def _read_file(path: Path) -> tuple[str, list[dict[str, Any]]]:
    data = read_json(path, MAX_JSON_BYTES)
    info = data.get("info") if isinstance(data, dict) else None
    name = info.get("name") if isinstance(info, dict) else None
    objects = data.get("objects") if isinstance(data, dict) else None
    if not isinstance(name, str) or not isinstance(objects, list) or len(objects) > MAX_OBJECTS:
        raise FormatError("label file lacks info.name or a list of objects", path, "write it in the LERF-OVS layout")
    for entry in objects:
        if not isinstance(entry, dict) or not isinstance(entry.get("category"), str) or not entry["category"].strip():
            raise FormatError("an object has no category", path, "name every object")
    return name, objects


def _queries_of(frame: Frame, objects: list[dict[str, Any]], path: Path, notes: list[str]) -> list[Query]:
    by_text: dict[str, list[np.ndarray]] = {}
    for entry in objects:
        polygon = _polygon(entry, path)
        if polygon is None:
            notes.append(f"{path.name}: {entry['category']} has no outline and is not scored")
        else:
            by_text.setdefault(entry["category"].strip(), []).append(np.asarray(map_points_to_frame(frame, polygon)))
    return [Query(frame.name, text, tuple(polygons)) for text, polygons in by_text.items()]


def _polygon(entry: dict[str, Any], path: Path) -> Float[np.ndarray, "P 2"] | None:
    """Read one outline, [[x, y], ...] in pixels of the original picture."""
    points = entry.get("segmentation")
    if not points:
        return None
    usable = isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(v, (int, float)) and -1e9 < v < 1e9 for v in p)
        for p in points
    )
    if not usable or len(points) < 3:
        raise FormatError("an outline is not a list of three or more x y pairs", f"{path}: {entry['category'][:40]}")
    return np.array(points, dtype=np.float64)
