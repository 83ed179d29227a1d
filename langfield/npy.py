"""NumPy's .npy files from other programs: numbers only, and no larger than the file that holds them."""

from __future__ import annotations

import math
import tokenize
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy.lib import format as npy

from langfield.artefacts import atomic_path
from langfield.errors import FormatError

# What numpy's reader of headers raises on damaged ones.
HEADER_ERRORS = (
    OSError, ValueError, EOFError, SyntaxError, TypeError, OverflowError, MemoryError, RecursionError,
    tokenize.TokenError,
)  # fmt: skip
READERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npy(path: Path) -> Shaped[np.ndarray, "*shape"]:
    """Read an array of numbers; nothing is unpickled, and no memory is taken that the file does not fill.

    Raises:
        FormatError: missing, damaged, not of numbers, or shorter or longer than its header says.
    """
    if not path.is_file():
        raise FormatError("file not found", path)
    try:
        with path.open("rb") as file:
            shape, fortran, dtype = _header(file)
            rest = path.stat().st_size - file.tell()
            if dtype.kind not in "fiu" or min(shape, default=0) < 0:
                raise FormatError(f"an array of {dtype} and shape {list(shape)}, not of numbers", path)
            if math.prod(shape) * dtype.itemsize != rest:
                raise FormatError(f"{rest} bytes of numbers where the header says {list(shape)} {dtype}", path)
            flat = np.fromfile(file, dtype)
    except HEADER_ERRORS as error:
        raise FormatError(f"not readable as an npy array: {error}", path) from error
    return flat.reshape(shape, order="F" if fortran else "C").astype(dtype.newbyteorder("="), copy=False)


def _header(file: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy.read_magic(file)
    if version not in READERS:
        raise ValueError(f"version {version}")
    return READERS[version](file)


def write_npy(path: Path, array: Shaped[np.ndarray, "*shape"]) -> None:
    """Write an array atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.save(file, array, allow_pickle=False)
