"""Files that stages leave for each other: content keys, atomic writes, reads that distrust sizes."""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import math
import os
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import get_ident
from typing import Any

import numpy as np
import torch

from langfield.errors import FormatError, StorageError

GIB = 2**30
MAX_INFLATION = 1032
"""Bytes that one byte of deflate can stand for, at most."""
# What zipfile, zlib and numpy raise on damaged bytes.
NPZ_ERRORS = (
    OSError, ValueError, TypeError, EOFError, KeyError, RuntimeError, SyntaxError, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def plain(value: Any) -> Any:
    """Give `value` as JSON data: dataclasses become dicts, tuples lists, paths their text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, (np.ndarray, torch.Tensor, np.generic)):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def content_key(*parts: Any) -> str:
    """Hash settings, keys and versions into a stage's key (32 hex digits).

    Args:
        parts: JSON-like data, dataclasses or arrays; order matters, dict order does not.
    """
    text = json.dumps([plain(p) for p in parts], sort_keys=True, allow_nan=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def file_key(path: Path) -> str:
    """Give the SHA-256 (64 hex digits) of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it is synced and renamed over it.

    Raises:
        StorageError: the disk is full or cannot be written; what stood at `path` is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{get_ident()}.tmp{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise StorageError(
            f"could not write a file: {error.strerror or error}", path, "free disk space or choose another folder"
        ) from error
    finally:
        with suppress(OSError):  # a parent that is a file fails here too; the error above says it better
            temporary.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Wait until no other process is inside for the same folder; one that cannot be locked lets all in at once."""
    with ExitStack() as stack:
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            number = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, number)  # lets go of the lock, and so does the end of the process
            fcntl.flock(number, fcntl.LOCK_EX)
        yield


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, data: Any) -> None:
    """Write JSON-like data (dataclasses and arrays allowed) to `path` atomically."""
    write_bytes(path, (json.dumps(plain(data), indent=1) + "\n").encode())


def read_json(path: Path, max_bytes: int = 256 * 2**20) -> Any:
    """Read a JSON file.

    Raises:
        FormatError: it is missing, larger than `max_bytes`, or not JSON.
    """
    if not path.is_file():
        raise FormatError("file not found", path)
    if path.stat().st_size > max_bytes:
        raise FormatError(f"JSON file is larger than {max_bytes} bytes", path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"not readable as JSON: {error}", path) from error


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays as a compressed npz, atomically; the name should end in .npz."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **dict(arrays))


def read_arrays(path: Path, max_bytes: int = GIB) -> dict[str, np.ndarray]:
    """Read an npz written by `write_arrays`, never unpickling; memory is taken for what the archive holds only.

    Raises:
        FormatError: missing, damaged, or its arrays would take more than `max_bytes` together.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
            need = sum(entry.file_size for entry in entries)
            most = min(max_bytes, MAX_INFLATION * path.stat().st_size)
            if need > most:
                raise FormatError(f"arrays of {need} bytes exceed the limit of {most}", path)
            if len({entry.filename for entry in entries}) != len(entries):
                raise FormatError("an array is there twice", path)
            return {entry.filename.removesuffix(".npy"): _array(archive, entry, path) for entry in entries}
    except NPZ_ERRORS as error:
        raise FormatError(f"not readable as arrays: {str(error)[:200]}", path) from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """Read one array whose header fits the bytes that are there."""
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError(f"array {entry.filename[:80]} is compressed in another way", path)
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise FormatError(f"array {entry.filename[:80]} is of another version", path)
        shape, by_column, dtype = np.lib.format.read_array_header_1_0(file)
        data = file.read()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) or dtype.itemsize == 0:
        raise FormatError(f"array {entry.filename[:80]} is cut short or not of plain numbers", path)
    return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if by_column else "C")


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write named tensors as safetensors with a JSON header `about`, atomically."""
    from safetensors.torch import save

    contiguous = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    write_bytes(path, save(contiguous, metadata={"about": json.dumps(plain(about or {}))}))


def read_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and their `about` header from a safetensors file.

    Raises:
        FormatError: missing, cut short, not safetensors, or `about` is no JSON object.
    """
    from safetensors import SafetensorError, safe_open

    check_safetensors_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("about", "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise FormatError(f"not readable as safetensors: {str(error)[:200]}", path) from error
    if not isinstance(about, dict):
        raise FormatError("the description in the file is no JSON object", path)
    return tensors, about


def read_rows(path: Path, start: int, stop: int, names: Sequence[str]) -> dict[str, torch.Tensor]:
    """Read some rows of tensors from a safetensors file; memory is taken for these rows only.

    Raises:
        FormatError: missing, cut short, not safetensors, or there are no such rows.
    """
    from safetensors import SafetensorError, safe_open

    check_safetensors_header(path)
    try:
        with safe_open(path, framework="pt") as file:
            parts = {name: file.get_slice(name) for name in names}
            least = min(part.get_shape()[0] for part in parts.values())
            if not 0 <= start <= stop <= least:
                raise FormatError(f"there are no rows {start} to {stop}, only {least}", path)
            return {name: part[start:stop].clone() for name, part in parts.items()}
    except (SafetensorError, OSError, ValueError, IndexError) as error:
        raise FormatError(f"not readable as safetensors: {str(error)[:200]}", path) from error


def check_safetensors_header(path: Path) -> None:
    """Check that a file exists and its declared header fits inside it.

    Raises:
        FormatError: missing or cut short.
    """
    if not path.is_file():
        raise FormatError("file not found", path)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
    if len(start) < 8 or struct.unpack("<Q", start)[0] + 8 > size:
        raise FormatError("file is cut short or not safetensors", path)
