"""Tensors and nodes out of an ONNX file, read from the protobuf wire format without the onnx package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from langfield.errors import FormatError

# TensorProto.DataType of the kinds that the CLIP graph holds.
DTYPES: dict[int, str] = {1: "<f4", 2: "u1", 3: "i1", 6: "<i4", 7: "<i8"}
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True)
class Node:
    """One operation of the graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """What the graph holds: its stored tensors by name, and its nodes in order."""

    tensors: dict[str, np.ndarray]
    nodes: tuple[Node, ...]


def read_graph(path: Path) -> Graph:
    """Read the stored tensors and the nodes of an ONNX model.

    Raises:
        FormatError: not an ONNX file, cut short, or with a tensor whose size does not fit its shape.
    """
    try:
        model = memoryview(path.read_bytes())
        graph = next(value for field, value in _fields(model) if field == 7 and isinstance(value, memoryview))
        parts = [(field, value) for field, value in _fields(graph) if isinstance(value, memoryview)]
        tensors = dict(_tensor(value) for field, value in parts if field == 5)
        return Graph(tensors, tuple(_node(value) for field, value in parts if field == 1))
    except (OSError, ValueError, IndexError, StopIteration, UnicodeDecodeError, KeyError) as error:
        raise FormatError("not readable as an ONNX model", path) from error


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value) of one protobuf message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        field, wire = key >> 3, key & 7
        if wire == VARINT:
            value, at = _varint(data, at)
            yield field, value
            continue
        if wire == BYTES:
            size, at = _varint(data, at)
        else:
            size = {FIXED64: 8, FIXED32: 4}[wire]
        if size > len(data) - at:
            raise ValueError("message is cut short")
        yield field, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("number too long")


def _text(value: int | memoryview) -> str:
    return bytes(value).decode() if isinstance(value, memoryview) else ""


def _node(data: memoryview) -> Node:
    fields = list(_fields(data))
    texts = {number: tuple(_text(v) for f, v in fields if f == number) for number in (1, 2, 3, 4)}
    return Node("".join(texts[3]), "".join(texts[4]), texts[1], texts[2])


def _tensor(data: memoryview) -> tuple[str, np.ndarray]:
    dims: list[int] = []
    name, kind, raw = "", 0, b""
    numbers: list[int] = []
    for field, value in _fields(data):
        if field == 1:
            dims += _numbers(value)
        elif field == 2 and isinstance(value, int):
            kind = value
        elif field in (5, 7):  # small tensors spelled out as numbers instead of raw bytes
            numbers += _numbers(value)
        elif field == 8:
            name = _text(value)
        elif field in (4, 9) and not isinstance(value, int):  # floats one by one, or raw bytes
            raw = bytes(value) if field == 9 or len(value) > 4 else bytes(raw) + bytes(value)
    dtype = np.dtype(DTYPES[kind])
    if numbers:
        raw = np.array([_signed(n) for n in numbers], np.int64).astype(dtype).tobytes()
    if prod(dims) * dtype.itemsize != len(raw):
        raise ValueError(f"tensor {name} has {len(raw)} bytes for shape {dims}")
    return name, np.frombuffer(raw, dtype).reshape(dims)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _numbers(value: int | memoryview) -> list[int]:
    if isinstance(value, int):
        return [value]
    at, values = 0, []
    while at < len(value):
        number, at = _varint(value, at)
        values.append(number)
    return values
