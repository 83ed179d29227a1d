"""Named selections beside the scene: RUN/selections, one safetensors file each, read back with distrust."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import torch

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.errors import FormatError, LangfieldError
from langfield.raster.types import Gaussians
from langfield.viewer.rows import Rows, frozen

FORMAT = "langfield selection"
VERSION = 1
FOLDER = "selections"
MOST_FILES = 500
REMEDY = "delete the file or select again"


def scene_key(gaussians: Gaussians) -> str:
    """Give what tells whether a selection belongs to these Gaussians."""
    means = gaussians.means.detach().float().cpu().contiguous().numpy()
    return content_key(len(means), hashlib.sha256(means.tobytes()).hexdigest())


def file_name(name: str) -> str:
    """Give a file name for any name: what is readable of it, and a hash that tells it from others."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{readable or 'selection'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}.safetensors"


def inside(run: Path, *parts: str) -> Path:
    """Give a path below a run's folder.

    Raises:
        LangfieldError: a link leads out of it.
    """
    path = run.joinpath(*parts)
    if not path.resolve().is_relative_to(run.resolve()):
        raise LangfieldError("this path leaves the run's folder", path, "remove the link that is in the way")
    return path


def save_selection(run: Path, name: str, rows: Rows, key: str, count: int) -> Path:
    """Write a selection, replacing one of the same name whole.

    Args:
        run: the run's folder.
        name: any; shown as it is.
        rows: rising row numbers.
        key: of the scene (`scene_key`).
        count: number of the scene's Gaussians.

    Raises:
        StorageError: the disk is full or read-only; what stood there is untouched.
    """
    about = {"format": FORMAT, "version": VERSION, "name": name, "scene": key, "count": count}
    path = inside(run, FOLDER, file_name(name))
    write_tensors(path, {"rows": torch.from_numpy(rows.astype(np.int32))}, about)
    return path


def load_selection(path: Path, key: str, count: int) -> tuple[str, Rows]:
    """Read a selection's name and rows.

    Raises:
        FormatError: it is damaged, of another scene, or points at what is not there.
    """
    if path.is_file() and path.stat().st_size > 4 * count + 2**16:
        raise FormatError("a selection file is larger than its scene", path, REMEDY)
    tensors, about = read_tensors(path)
    if not isinstance(about, dict) or about.get("format") != FORMAT or about.get("version") != VERSION:
        raise FormatError("not a selection of this version", path, REMEDY)
    name, rows = about.get("name"), tensors.get("rows")
    if not isinstance(name, str) or not 0 < len(name) <= 80 or not name.isprintable():
        raise FormatError("a selection has no proper name", path, REMEDY)
    if about.get("scene") != key or about.get("count") != count:
        raise FormatError("a selection belongs to other Gaussians", path, REMEDY)
    if rows is None or set(tensors) != {"rows"} or rows.dtype != torch.int32 or rows.ndim != 1:
        raise FormatError("a selection has no list of rows", path, REMEDY)
    values = rows.numpy().astype(np.int64)
    if len(values) and (values[0] < 0 or values[-1] >= count or (np.diff(values) <= 0).any()):
        raise FormatError("a selection's rows do not rise inside its scene", path, REMEDY)
    return name, frozen(values)


def load_selections(run: Path, key: str, count: int) -> tuple[dict[str, Rows], list[str]]:
    """Read all of a run's selections; gives them by name, and a sentence for each that could not be read."""
    folder, found, problems = run / FOLDER, {}, []
    for path in sorted(folder.glob("*.safetensors"))[:MOST_FILES] if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            name, rows = load_selection(path, key, count)
            found[name] = rows
        except FormatError as error:
            problems.append(str(error))
    return found, problems


def forget_selection(run: Path, name: str) -> None:
    """Delete a selection's file where there is one."""
    inside(run, FOLDER, file_name(name)).unlink(missing_ok=True)
