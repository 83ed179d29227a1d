"""Tables of names with CLIP text vectors: what a text bridge is trained from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from langfield.artefacts import read_arrays, write_arrays
from langfield.errors import FormatError
from langfield.progress import track
from langfield.suite.types import TextEncoder

TARGET, SOURCE = "vit_b16", "vit_b32"
MAX_NAMES = 200_000
BATCH = 64


@dataclass(frozen=True)
class Table:
    """Names with their vectors in the space wanted, in a neighbouring one, or in both."""

    name: str
    names: tuple[str, ...]
    target: Float32[np.ndarray, "N D"] | None
    """Unit vectors of the space that the bridge leads to (column vit_b16)."""
    source: Float32[np.ndarray, "N E"] | None
    """Unit vectors of a space that is translated first (column vit_b32)."""


def read_table(path: Path) -> Table:
    """Read one npz table: `names` [N] and one or both of the columns; nothing is unpickled.

    Raises:
        FormatError: damaged, without a known column, or with rows that do not match the names.
    """
    arrays = read_arrays(path)
    names = arrays.get("names")
    if names is None or names.ndim != 1 or names.dtype.kind != "U" or not 0 < len(names) <= MAX_NAMES:
        raise FormatError("a text table needs an array 'names' of strings", path)
    columns = [_column(arrays, key, len(names), path) for key in (TARGET, SOURCE)]
    if all(column is None for column in columns):
        raise FormatError(f"a text table needs a column {TARGET} or {SOURCE}", path)
    return Table(path.stem, tuple(names.tolist()), columns[0], columns[1])


def _column(arrays: dict[str, np.ndarray], key: str, count: int, path: Path) -> np.ndarray | None:
    if key not in arrays:
        return None
    values = arrays[key]
    if values.ndim != 2 or len(values) != count or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise FormatError(f"column {key} {values.shape} does not hold one finite vector per name", path)
    values = values.astype(np.float32)
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)


def read_tables(folder: Path) -> list[Table]:
    """Read every npz of a folder, in the order of their file names.

    Raises:
        FormatError: there is none, or one is damaged.
    """
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise FormatError("no text tables (*.npz) in this folder", folder)
    return [read_table(path) for path in paths]


def write_table(words: Sequence[str], encoder: TextEncoder, path: Path) -> None:
    """Encode a word list with a real text tower and write it as a table (what `langfield weights table` does).

    Args:
        words: names, one vector each; blank ones and repeats are left out.
        encoder: text tower whose space the bridge shall lead to.
        path: npz to write.

    Raises:
        FormatError: no words.
    """
    names = [word for word in dict.fromkeys(w.strip() for w in words) if word]
    if not names:
        raise FormatError("the word list is empty", path)
    batches = [names[i : i + BATCH] for i in range(0, len(names), BATCH)]
    rows = [encoder.encode_texts(batch).cpu().numpy() for batch in track(batches, "words")]
    write_arrays(path, {"names": np.array(names), TARGET: np.concatenate(rows).astype(np.float16)})


def plain_name(name: str) -> str:
    """Give a table's name as a person would write it: no underscores, no bracketed hint, lower case."""
    return re.sub(r"\s*\(.*?\)", "", name.replace("_", " ")).strip().strip('"').lower()


def spoken_name(name: str) -> str:
    """Give a table's name without underscores, bracketed hint kept: what the sentence encoder reads."""
    return name.replace("_", " ")
