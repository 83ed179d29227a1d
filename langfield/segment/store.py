"""Segments on disk: one npz per frame, whose size follows the edges of segments, not the pixels."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from jaxtyping import Int16

from langfield.artefacts import read_arrays, write_arrays
from langfield.errors import FormatError
from langfield.segment.types import LEVELS, MAX_SEGMENTS, Segments

VERSION = 2
"""2: id maps are kept as changes from row to row. Version 1, which kept them plain, is read too."""
DTYPES = {"ids": np.int16, "boxes": np.int32, "levels": np.int16, "scores": np.float32, "version": np.int32}


def save_segments(path: Path, segments: Segments) -> None:
    """Write segments atomically.

    Raises:
        FormatError: they break their own rules (see `check_segments`).
        StorageError: the file cannot be written.
    """
    check_segments(segments, path)
    names = ("ids", "boxes", "levels", "scores")
    arrays = {name: getattr(segments, name) for name in names}
    arrays |= {"ids": _changes(segments.ids), "version": np.array(VERSION, np.int32)}
    write_arrays(path, arrays)


def _changes(ids: Int16[np.ndarray, "L H W"]) -> Int16[np.ndarray, "L H W"]:
    """Give each row of pixels as its bits that differ from the row above: zero but along edges."""
    return np.concatenate([ids[:, :1], ids[:, 1:] ^ ids[:, :-1]], axis=1)


def load_segments(path: Path) -> Segments:
    """Read what `save_segments` wrote, distrusting it.

    Raises:
        FormatError: missing, damaged, of another version, or breaking the rules of `Segments`.
    """
    arrays = read_arrays(path)
    missing = DTYPES.keys() - arrays.keys()
    if missing:
        raise FormatError(f"no segments file: lacks {', '.join(sorted(missing))}", path, "run the segment stage again")
    for name, dtype in DTYPES.items():
        if arrays[name].dtype != dtype:
            raise FormatError(f"{name} should be {np.dtype(dtype)}, is {arrays[name].dtype}", path)
    if arrays["version"].shape != () or arrays["version"] not in (1, VERSION):
        raise FormatError(
            f"segments file of version {arrays['version'].ravel()[:1].tolist()}, this program reads {VERSION}",
            path,
            "run the segment stage again",
        )
    if arrays["version"] == VERSION and arrays["ids"].ndim == 3:
        arrays["ids"] = np.bitwise_xor.accumulate(arrays["ids"], axis=1)
    segments = Segments(arrays["ids"], arrays["boxes"], arrays["levels"], arrays["scores"])
    check_segments(segments, path)
    return segments


def check_segments(segments: Segments, where: object = None) -> None:
    """Check shapes and that every number points at something that exists.

    Raises:
        FormatError: a shape does not fit, an id is out of its level's rows, a box leaves the picture, or a score
            is not in 0..1.
    """
    problem = _shape_problem(segments) or _value_problem(segments)
    if problem:
        raise FormatError(f"segments are inconsistent: {problem}", where, "run the segment stage again")


def _shape_problem(s: Segments) -> str | None:
    if s.ids.ndim != 3 or s.ids.shape[0] != len(LEVELS) or 0 in s.ids.shape:
        return f"ids have shape {list(s.ids.shape)}, not [3, H, W]"
    if s.levels.ndim != 1 or len(s.levels) > MAX_SEGMENTS:
        return f"levels have shape {list(s.levels.shape)}, not [M] with M up to {MAX_SEGMENTS}"
    rows = len(s.levels)
    if s.boxes.shape != (rows, 4) or s.scores.shape != (rows,):
        return f"boxes {list(s.boxes.shape)} and scores {list(s.scores.shape)} do not fit {rows} levels"
    return None


def _value_problem(s: Segments) -> str | None:
    if ((s.levels < 0) | (s.levels >= len(LEVELS))).any() or (np.diff(s.levels.astype(int)) < 0).any():
        return "levels are not 0, 1, 2 in rising order"
    ends = np.searchsorted(s.levels, np.arange(len(LEVELS)), side="right")
    for level, (start, end) in enumerate(zip((0, *ends[:-1]), ends, strict=True)):
        used = s.ids[level]
        if used.max() >= end or ((used < start) & (used != -1)).any():
            return f"an id of level {LEVELS[level]} lies outside its rows {start}..{end - 1}"
    height, width = s.ids.shape[1:]
    x0, y0, x1, y1 = s.boxes.T.astype(int)
    if ((x0 < 0) | (y0 < 0) | (x1 <= x0) | (y1 <= y0) | (x1 > width) | (y1 > height)).any():
        return f"a box leaves the {width}x{height} picture or is empty"
    if not all(map(math.isfinite, s.scores)) or ((s.scores < 0) | (s.scores > 1 + 1e-3)).any():
        return "a score is not in 0..1"
    return None
