"""Start points from PLY files, read with distrust: nothing is allocated that the file does not hold."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from langfield.capture.types import Points
from langfield.errors import FormatError

MAX_HEADER_LINES = 1_000
_KINDS = {
    "char": "i1", "int8": "i1", "uchar": "u1", "uint8": "u1", "short": "i2", "int16": "i2", "ushort": "u2",
    "uint16": "u2", "int": "i4", "int32": "i4", "uint": "u4", "uint32": "u4", "float": "f4", "float32": "f4",
    "double": "f8", "float64": "f8",
}  # fmt: skip
_ORDER = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": "="}


@dataclass(frozen=True)
class _Element:
    name: str
    count: int
    fields: list[tuple[str, str]]
    has_list: bool


def no_points() -> Points:
    """Give an empty set of start points."""
    return Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))


def make_points(xyz: np.ndarray, rgb: np.ndarray | None, where: object) -> Points:
    """Give checked points.

    Args:
        xyz: world units, any float [P, 3].
        rgb: 0 to 255 [P, 3], or None for middle grey.
        where: what to name in an error.

    Raises:
        FormatError: a position is NaN or beyond what float32 holds.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        position = np.asarray(xyz).astype(np.float32)
        colour = np.full(position.shape, 128) if rgb is None else np.nan_to_num(np.asarray(rgb, np.float64))
    bad = int((~np.isfinite(position).all(axis=1)).sum())
    if bad:
        raise FormatError(f"{bad} of {len(position)} points are not finite", where)
    return Points(torch.from_numpy(position), torch.from_numpy(colour.clip(0, 255).round().astype(np.uint8)))


def read_ply_points(path: Path) -> Points:
    """Read positions and colours of a PLY's vertices (ascii or binary).

    Args:
        path: has x, y, z and, if it has colours, red, green, blue (0 to 255, or 0 to 1 as floats).

    Raises:
        FormatError: missing, not a PLY, cut short, or without x, y, z.
    """
    rows = read_ply_rows(path)
    names = rows.dtype.names or ()
    rgb = None
    if {"red", "green", "blue"} <= set(names):
        rgb = np.stack([rows[c].astype(np.float64) for c in ("red", "green", "blue")], axis=1)
        if rows.dtype["red"].kind == "f" and rgb.size and np.nanmax(rgb) <= 1.0:
            rgb = rgb * 255
    xyz = np.stack([rows[c].astype(np.float64) for c in "xyz"], axis=1)
    return make_points(xyz, rgb, path)


def read_ply_rows(path: Path) -> np.ndarray:
    """Read a PLY's vertices with all their scalar properties, as a structured array.

    Raises:
        FormatError: missing, not a PLY, cut short, or without x, y, z.
    """
    if not path.is_file():
        raise FormatError("point file not found", path)
    with path.open("rb") as file:
        order, elements = _header(file, path)
        rows = _vertices(file, order, elements, path)
    if not {"x", "y", "z"} <= set(rows.dtype.names or ()):
        raise FormatError("PLY vertices have no x, y, z", path)
    return rows


def _header(file: BinaryIO, path: Path) -> tuple[str, list[_Element]]:
    """Read up to end_header; give the byte order and the elements."""
    if file.readline(16).strip() != b"ply":
        raise FormatError("not a PLY file", path)
    order, elements = "", []
    for _ in range(MAX_HEADER_LINES):
        words = file.readline(1024).decode("ascii", "replace").split()
        match words:
            case ["end_header"]:
                if not order:
                    raise FormatError("PLY header names no known format", path)
                return order, elements
            case ["format", kind, *_]:
                order = _ORDER.get(kind, "")
            case ["element", name, count] if count.isdigit() and len(count) < 16:
                elements.append(_Element(name, int(count), [], False))
            case ["property", "list", _, _, _] if elements:
                elements[-1] = _Element(elements[-1].name, elements[-1].count, elements[-1].fields, True)
            case ["property", kind, name] if elements and kind in _KINDS:
                elements[-1].fields.append((name, _KINDS[kind]))
            case ["comment" | "obj_info", *_]:
                pass
            case _:
                raise FormatError(f"PLY header line not understood: {' '.join(words)!r:.60}", path)
    raise FormatError("PLY header does not end", path)


def _vertices(file: BinaryIO, order: str, elements: list[_Element], path: Path) -> np.ndarray:
    """Read the vertex element as a structured array, skipping fixed-size elements before it."""
    left = path.stat().st_size - file.tell()
    for element in elements:
        if element.has_list:
            raise FormatError(f"PLY element '{element.name:.40}' with lists stands before or in the vertices", path)
        try:
            dtype = np.dtype([(name, (order if order != "=" else "<") + kind) for name, kind in element.fields])
        except ValueError as error:
            raise FormatError("PLY element names a property twice", path) from error
        # In ascii, every number takes a digit and a separator; the last one may lack the latter.
        need = element.count * (dtype.itemsize if order != "=" else 2 * len(element.fields)) - (order == "=")
        if need > left or (element.count and not element.fields):
            raise FormatError(f"PLY declares {element.count} of '{element.name:.40}' but is cut short", path)
        if order == "=":
            rows = _ascii_rows(file, element, dtype, path)
        else:
            rows = np.frombuffer(file.read(need), dtype=dtype)
            left -= need
        if element.name == "vertex":
            return rows
    raise FormatError("PLY has no vertices", path)


def _ascii_rows(file: BinaryIO, element: _Element, dtype: np.dtype, path: Path) -> np.ndarray:
    """Read `count` lines of numbers."""
    table = np.empty((element.count, len(element.fields)))
    for row in range(element.count):
        words = file.readline(65_536).split()
        try:
            table[row] = [float(w) for w in words]
        except ValueError as error:
            raise FormatError(f"PLY row {row} of '{element.name:.40}' is not {table.shape[1]} numbers", path) from error
    rows = np.empty(element.count, dtype=dtype)
    for column, (name, kind) in enumerate(element.fields):
        limits = np.iinfo(kind) if kind[0] in "iu" else None
        values = table[:, column] if limits is None else np.nan_to_num(table[:, column]).clip(limits.min, limits.max)
        with np.errstate(over="ignore"):
            rows[name] = values
    return rows
