"""Captions of a video as a file: per thing what it does in all, and what state it is in at every picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json, write_json
from langfield.errors import FormatError
from langfield.suite.captions.types import MAX_CHARS

VERSION = 1
MAX_BYTES = 256 * 2**20
MAX_OBJECTS = 4096
MAX_NAME = 255


@dataclass(frozen=True)
class ObjectCaptions:
    """What is said of one thing."""

    instance: int
    """Its number in the masks, from 1."""
    name: str
    """What it is called; "" where nobody knows."""
    video: str
    """Caption of the whole video; "" where there is none."""
    frames: Mapping[str, str]
    """Name of a picture to what the thing's state is there, in the order of time."""


@dataclass(frozen=True)
class Captions:
    """What is said of every thing of a video."""

    objects: tuple[ObjectCaptions, ...]
    times_s: Mapping[str, float] = field(default_factory=dict)
    """Name of a picture to its time, seconds; empty where the capture alone knows."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Who said it, with which prompts and marks."""

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        """Walk through (instance, picture, text)."""
        return ((o.instance, frame, text) for o in self.objects for frame, text in o.frames.items())


def write_captions(path: Path, captions: Captions) -> None:
    """Write captions as JSON, atomically."""
    rows = [{"name": o.name, "instance": o.instance, "video": o.video, "frames": o.frames} for o in captions.objects]
    about = {"times_s": captions.times_s, "notes": captions.notes, "provenance": captions.provenance}
    write_json(path, {"version": VERSION, "objects": rows, **about})


def read_captions(path: Path) -> Captions:
    """Read captions: those of `write_captions`, or written by hand or script with "version" and "objects" alone.

    Raises:
        FormatError: missing, damaged, above 256 MiB, or an instance is there twice.
    """
    data = read_json(path, MAX_BYTES)
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise FormatError(f"not captions of version {VERSION}", path)
    rows, times, notes = data.get("objects"), data.get("times_s", {}), data.get("notes", [])
    if not isinstance(rows, list) or len(rows) > MAX_OBJECTS:
        raise FormatError(f"captions need a list of at most {MAX_OBJECTS} objects", path)
    objects = tuple(_object(row, f"{path}, object {i}") for i, row in enumerate(rows, 1))
    if len({o.instance for o in objects}) != len(objects):
        raise FormatError("an instance is there twice", path)
    provenance = data.get("provenance", {})
    if not isinstance(provenance, dict) or not isinstance(notes, list) or not all(isinstance(n, str) for n in notes):
        raise FormatError("notes must be a list of texts, provenance an object", path)
    return Captions(objects, _times(times, path), tuple(notes), provenance)


def _object(row: Any, where: str) -> ObjectCaptions:
    if not isinstance(row, dict):
        raise FormatError("an object's captions must be a JSON object", where)
    instance, name, video = row.get("instance"), row.get("name", ""), row.get("video", "")
    if not isinstance(instance, int) or isinstance(instance, bool) or not 0 < instance < 2**31:
        raise FormatError("instance must be a number from 1", where)
    frames = row.get("frames")
    if not _text(name, MAX_NAME) or not _text(video, MAX_CHARS) or not isinstance(frames, dict):
        raise FormatError("an object needs texts as name and video, and frames", where)
    for frame, text in frames.items():
        if not _text(frame, MAX_NAME) or not _text(text, MAX_CHARS) or not text.strip():
            raise FormatError(f"frame {frame[:40]!r} has no text of at most {MAX_CHARS} characters", where)
    return ObjectCaptions(instance, name, video, frames)


def _text(value: Any, most: int) -> bool:
    return isinstance(value, str) and len(value) <= most


def _times(times: Any, path: Path) -> dict[str, float]:
    numbers = isinstance(times, dict) and all(
        isinstance(t, (int, float)) and not isinstance(t, bool) and abs(t) < 1e9 for t in times.values()
    )
    if not numbers:
        raise FormatError("times_s must give each picture a number of seconds", path)
    return {name: float(t) for name, t in times.items()}
