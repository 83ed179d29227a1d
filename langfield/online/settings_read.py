"""Settings from the JSON data they were written as."""

from __future__ import annotations

import dataclasses
import types
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from langfield.errors import FormatError

T = TypeVar("T")


def read_settings(kind: type[T], data: Any, where: Path) -> T:
    """Give a frozen tree of settings back; leaves that are not there, of an older program, take their defaults.

    Args:
        kind: the dataclass.
        data: what `artefacts.plain` made of it.
        where: what to name in an error.

    Raises:
        FormatError: a leaf is of another kind than it should be.
    """
    if not isinstance(data, dict):
        raise FormatError(f"settings of {kind.__name__} are no JSON object", where, "start anew in another folder")
    hints = get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind) if f.name in data]  # pyright: ignore[reportArgumentType]
    return kind(**{name: _leaf(hints[name], data[name], f"{where}: {name}") for name in names})


def _leaf(hint: Any, value: Any, where: str) -> Any:
    """Give one value as its annotation wants it."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read_settings(hint, value, Path(where))
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _one_of(parts, value, where)
    if origin is Literal and value in parts:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [parts[0]] * len(value) if len(parts) == 2 and parts[1] is Ellipsis else list(parts)
        if len(kinds) == len(value):
            return tuple(_leaf(kind, one, where) for kind, one in zip(kinds, value, strict=True))
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint in (int, float, str, bool, type(None)) and type(value) is hint:
        return value
    raise FormatError(f"a setting is {str(value)[:40]!r}, which is not {hint}", where, "start anew in another folder")


def _one_of(parts: tuple[Any, ...], value: Any, where: str) -> Any:
    for part in parts:
        try:
            return _leaf(part, value, where)
        except FormatError:
            continue
    raise FormatError(f"a setting is {str(value)[:40]!r}", where, "start anew in another folder")
