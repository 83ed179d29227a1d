"""D-NeRF's layout: transforms_train.json, transforms_val.json and transforms_test.json with a time per frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from langfield.capture import transforms
from langfield.capture.images import SUFFIXES
from langfield.capture.types import Capture

SPLITS = {"train": "train", "val": "test", "test": "test"}
"""Name of a file to what its frames are for."""


def find(path: Path) -> Path | None:
    """Give the folder with a transforms_train.json."""
    return path if (path / _file("train")).is_file() else None


def read(folder: Path, allow_outside: bool = False, damaged: dict[str, str] | None = None) -> Capture:
    """Read the files of all splits as one capture; frames of val and test are marked as such.

    Args:
        folder: what `find` gave.
        allow_outside: accept pictures outside the folder.
        damaged: see `langfield.capture.read_capture`.

    Raises:
        FormatError: as for a transforms.json, or the splits hold the same picture.
    """
    entries: list[dict[str, Any]] = []
    splits: dict[Path, str] = {}
    for name, split in SPLITS.items():
        file = folder / _file(name)
        if name != "train" and not file.is_file():
            continue
        meta = transforms.read_meta(file)
        shared = {key: value for key, value in meta.items() if key != "frames"}
        entries += [{**shared, **entry} for entry in meta["frames"]]
        splits |= {_stem(folder, entry.get("file_path")): split for entry in meta["frames"]}
    capture = transforms.build({"frames": entries}, folder / _file("train"), allow_outside, damaged)
    frames = tuple(replace(f, split=splits[_stem(folder, f.path)]) for f in capture.frames)
    return replace(capture, frames=frames, world="nerf synthetic")


def _file(split: str) -> str:
    return f"transforms_{split}.json"


def _stem(folder: Path, text: object) -> Path:
    """Give a picture's path without its suffix, as written."""
    path = folder / str(text)
    return path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
