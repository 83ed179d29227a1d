"""The index of a sharded field: what lies where, how much of it, and what its bytes must be; read with distrust."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json, write_json
from langfield.errors import FormatError

FOLDER, FILE = "shards", "index.json"
FORMAT, VERSION = "langfield shards", 1
MAX_BYTES = 2**26
MAX_SHARDS, MAX_LEVELS = 65_536, 16
MAX_GAUSSIANS = 2**31 - 1
NAME = re.compile(r"[0-9a-z][0-9a-z_-]{0,40}\.safetensors")
HASH = re.compile(r"[0-9a-f]{64}")
REMEDY = "make the shards again with `langfield shard`"


@dataclass(frozen=True)
class Part:
    """A file of shards."""

    name: str
    count: int
    """Gaussians in it."""
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Shard:
    """A block of Gaussians."""

    low: tuple[float, ...]
    """Lower corner of a box around what its Gaussians reach, world units."""
    high: tuple[float, ...]
    levels: tuple[Part, ...]
    """The Gaussians themselves, then ever coarser stand-ins."""

    @property
    def count(self) -> int:
        """Number of its Gaussians."""
        return self.levels[0].count


@dataclass(frozen=True)
class ShardIndex:
    """All shards; rows of the whole field count through them in order."""

    shards: tuple[Shard, ...]
    common: Part | None
    """What belongs to no single Gaussian, such as things."""
    codec_sha256: str | None
    provenance: dict[str, Any]

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return sum(shard.count for shard in self.shards)

    @cached_property
    def first(self) -> tuple[int, ...]:
        """Row of each shard's first Gaussian, and at the end the number of all."""
        rows = [0]
        for shard in self.shards:
            rows.append(rows[-1] + shard.count)
        return tuple(rows)


def is_sharded(folder: Path) -> bool:
    """Tell whether a folder holds a sharded field."""
    return (folder / FOLDER / FILE).is_file()


def write_index(folder: Path, index: ShardIndex) -> None:
    """Write the index, which makes the shards count: it comes last."""
    write_json(folder / FOLDER / FILE, {"format": FORMAT, "version": VERSION, **_plain(index)})


def _plain(index: ShardIndex) -> dict[str, Any]:
    return {
        "gaussians": index.count, "shards": index.shards, "common": index.common, "codec_sha256": index.codec_sha256,
        "provenance": index.provenance,
    }  # fmt: skip


def read_index(folder: Path) -> ShardIndex:
    """Read the index and hold it against the files that are there.

    Raises:
        FormatError: it is missing, damaged or of another version, or a file is missing or of another size.
    """
    path = folder / FOLDER / FILE
    data = read_json(path, MAX_BYTES)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise FormatError("not an index of shards", path, REMEDY)
    if data.get("version") != VERSION:
        raise FormatError(
            f"shards of version {str(data.get('version'))[:20]}, known is {VERSION}", path, "update langfield"
        )
    try:
        index = _index(data)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise FormatError(f"the index of shards lacks or garbles {str(error)[:100]}", path, REMEDY) from error
    if data.get("gaussians") != index.count or not 1 <= index.count <= MAX_GAUSSIANS:
        raise FormatError(f"shards hold {index.count} Gaussians, their index says another number", path, REMEDY)
    for part in parts_of(index):
        file = path.parent / part.name
        if not file.is_file() or file.stat().st_size != part.bytes:
            raise FormatError(f"a shard is missing or not of {part.bytes} bytes", file, REMEDY)
    return index


def parts_of(index: ShardIndex) -> list[Part]:
    """Give all files of an index."""
    own = [part for shard in index.shards for part in shard.levels]
    return own if index.common is None else [*own, index.common]


def _index(data: dict[str, Any]) -> ShardIndex:
    shards, common, codec = data["shards"], data["common"], data["codec_sha256"]
    if not isinstance(shards, list) or not 1 <= len(shards) <= MAX_SHARDS or not isinstance(data["provenance"], dict):
        raise ValueError("list of shards, or provenance")
    if codec is not None and not (isinstance(codec, str) and HASH.fullmatch(codec)):
        raise ValueError("codec_sha256")
    made = tuple(shard_from_json(entry) for entry in shards)
    return ShardIndex(made, None if common is None else _part(common), codec, data["provenance"])


def shard_from_json(data: Any) -> Shard:
    """Make a shard from JSON data.

    Raises:
        KeyError, TypeError, ValueError: it is none.
    """
    levels = tuple(_part(entry) for entry in data["levels"][: MAX_LEVELS + 1])
    if not 1 <= len(levels) <= MAX_LEVELS or any(a.count < b.count for a, b in pairwise(levels)):
        raise ValueError("levels of a shard")
    return Shard(_corner(data["low"]), _corner(data["high"]), levels)


def _corner(data: Any) -> tuple[float, ...]:
    numbers = tuple(float(value) for value in data[:4])
    if len(numbers) != 3 or not all(map(math.isfinite, numbers)):
        raise ValueError("a corner of a shard")
    return numbers


def _part(data: Any) -> Part:
    name, count, size, key = data["name"], data["count"], data["bytes"], data["sha256"]
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError("name of a file")
    if type(count) is not int or type(size) is not int or not 0 <= count <= MAX_GAUSSIANS or size < 8:
        raise ValueError("count or bytes of a file")
    if not isinstance(key, str) or not HASH.fullmatch(key):
        raise ValueError("sha256 of a file")
    return Part(name, count, size, key)
