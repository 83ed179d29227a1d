"""A field in shards: read where it is needed, shard by shard and level by level, from files mapped into memory.

RUN/shards holds an index, for each block of space one file for each level of detail, and one for what belongs to no
single Gaussian. Shards hold every row of every part of the field as it was, so that the whole comes back to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from langfield.artefacts import check_safetensors_header, file_key
from langfield.codec import Codebook
from langfield.codec.types import Codec
from langfield.errors import FormatError
from langfield.field.instances import Instances
from langfield.field.parts import PARTS, put_together
from langfield.field.shard_index import FOLDER, REMEDY, Part, read_index
from langfield.field.store import CODEC_FILE, read_codec
from langfield.field.types import Field
from langfield.field.world import world_of
from langfield.raster.types import Gaussians

SCALE = "codes.scale"
"""One over the length of each code's vector, where the codec is a codebook: float32 [L, N], made once."""
ROWS = {part.name: part.shape.index("N") for part in PARTS if "N" in part.shape}
"""Parts with a row for each Gaussian, and the axis of that row."""
DRAWN = tuple(name for name in ROWS if not name.startswith("status"))
KNOWN = {part.name: part for part in PARTS}


class Shards:
    """A sharded field, opened; nothing but the index and the codec is in memory until it is asked for.

    Args:
        folder: the run's.

    Raises:
        FormatError: the index is missing or damaged, or the codec is another field's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.index = folder, read_index(folder)
        world_of(self.index.provenance)
        self.codec: Codec | None = read_codec(folder / CODEC_FILE, self.index.codec_sha256)

    def __len__(self) -> int:
        """Number of shards."""
        return len(self.index.shards)

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        return self.index.count

    def tensors(self, number: int, level: int = 0, names: Iterable[str] | None = None) -> dict[str, Tensor]:
        """Give tensors of a shard, mapped from its file.

        Args:
            number: of the shard.
            level: 0 for the Gaussians themselves, then coarser ones.
            names: those that are wanted and there; all by default.

        Raises:
            FormatError: the file is damaged, or is not what the index says.
        """
        part = self.index.shards[number].levels[level]
        return mapped(self.folder / FOLDER / part.name, part, names)

    def field(self, number: int, level: int = 0) -> Field:
        """Give a shard as a field without things, every number checked.

        Raises:
            FormatError: see `tensors`, or a number is not finite.
        """
        found = self.tensors(number, level, DRAWN)
        return Field(
            codec=self.codec, provenance=self.index.provenance, **{"codes": None, **put_together(found, self.codec)}
        )

    def codes(self, number: int, level: int = 0) -> tuple[Shaped[Tensor, "L n d"] | None, Float[Tensor, "L n"] | None]:
        """Give codes and, of a codebook's, one over their lengths; mapped, not read."""
        found = self.tensors(number, level, ("codes", SCALE))
        codes, scale = found.get("codes"), found.get(SCALE)
        if codes is not None and isinstance(self.codec, Codebook) and codes.dtype != torch.int16:
            raise FormatError("codes of a shard are not words", self.folder / FOLDER, REMEDY)
        if codes is not None and self.codec is not None and codes.shape[2] != self.codec.width:
            raise FormatError("codes of a shard are not the codec's", self.folder / FOLDER, REMEDY)
        return codes, scale

    @cached_property
    def common(self) -> dict[str, Tensor]:
        """What belongs to no single Gaussian."""
        part = self.index.common
        return {} if part is None else mapped(self.folder / FOLDER / part.name, part)

    @cached_property
    def things(self) -> Instances | None:
        """The things, their rows counted through all shards; None where the field has none."""
        from langfield.field.instances import load_instances

        own = {name.removeprefix("instances."): t for name, t in self.common.items() if name.startswith("instances.")}
        if not own or self.codec is None:
            return None
        return load_instances(own, self.count, self.codec.dim)

    def split(self, rows: Int64[np.ndarray, " S"]) -> dict[int, tuple[Int64[Tensor, " s"], Int64[Tensor, " s"]]]:
        """Give, for each shard that holds any of these rows, where they stand in the list, and their rows in it."""
        first = np.array(self.index.first)
        owner = np.searchsorted(first, rows, side="right") - 1
        if len(rows) and (owner.min() < 0 or owner.max() >= len(self)):
            raise FormatError(f"rows go beyond the {self.count} Gaussians", self.folder, REMEDY)
        out = {}
        for shard in np.unique(owner).tolist():
            places = np.flatnonzero(owner == shard)
            out[shard] = torch.from_numpy(places), torch.from_numpy(rows[places] - first[shard])
        return out

    def rows(self, rows: Int64[np.ndarray, " S"], names: Iterable[str] = DRAWN) -> dict[str, Tensor]:
        """Give some rows of some parts, in their order; only the shards that hold them are touched."""
        found: dict[str, Tensor] = {}
        for shard, (places, own) in self.split(rows).items():
            for name, tensor in self.tensors(shard, 0, names).items():
                axis = ROWS.get(name, 1)
                picked = tensor.index_select(axis, own)
                if name not in found:
                    shape = [*tensor.shape[:axis], len(rows), *tensor.shape[axis + 1 :]]
                    found[name] = tensor.new_zeros(shape)
                found[name].index_copy_(axis, places, picked)
        return found

    def gaussians(self, rows: Int64[np.ndarray, " S"]) -> Gaussians:
        """Give some of the Gaussians, in their order."""
        names = ("means", "quats", "log_scales", "logit_opacities", "sh")
        found = self.rows(rows, names)
        if not found:
            shard = self.tensors(0, 0, names)
            found = {name: shard[name][:0] for name in names}
        return Gaussians(*(found[name] for name in names))


def mapped(path: Path, part: Part, names: Iterable[str] | None = None) -> dict[str, Tensor]:
    """Map tensors of a file into memory after its sizes were checked.

    Raises:
        FormatError: it is not of the stated size, not safetensors, or a part has another shape than it must.
    """
    from safetensors import SafetensorError, safe_open

    check_safetensors_header(path)
    if path.stat().st_size != part.bytes:
        raise FormatError(f"a shard is not of {part.bytes} bytes", path, REMEDY)
    try:
        with safe_open(path, framework="pt") as file:
            there = set(file.keys())
            wanted = there if names is None else [name for name in names if name in there]
            found = {name: file.get_tensor(name) for name in wanted}
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise FormatError(f"not readable as safetensors: {str(error)[:200]}", path) from error
    for name, tensor in found.items():
        _check(name, tensor, part, path)
    return found


def _check(name: str, tensor: Tensor, part: Part, path: Path) -> None:
    """Check number of axes, number format and rows of what has a row for each Gaussian."""
    if name == SCALE:
        fits = tensor.ndim == 2 and tensor.dtype == torch.float32 and tensor.shape[1] == part.count
    else:
        row = KNOWN.get(name)
        fits = row is not None and tensor.ndim == len(row.shape) and tensor.dtype in row.dtypes
        fits = fits and (name not in ROWS or tensor.shape[ROWS[name]] == part.count)
    if not fits:
        found = f"{path}: {name}, {tuple(tensor.shape)}, {tensor.dtype}"
        raise FormatError("a shard holds what does not belong there", found, REMEDY)


def load_shards(folder: Path) -> Field:
    """Read a sharded field as a whole, its rows in the order of the shards; hashes are checked.

    Raises:
        FormatError: a file is missing or damaged, or parts do not belong together.
    """
    shards = Shards(folder)
    for part in [shard.levels[0] for shard in shards.index.shards] + [p for p in (shards.index.common,) if p]:
        if file_key(folder / FOLDER / part.name) != part.sha256:
            raise FormatError("a shard is not the one that was written", folder / FOLDER / part.name, REMEDY)
    parts = [shards.tensors(i, 0, ROWS) for i in range(len(shards))]
    if len({frozenset(p) for p in parts}) > 1:
        raise FormatError("shards do not have the same parts", folder / FOLDER, REMEDY)
    try:
        joined = {name: torch.cat([p[name] for p in parts], dim=ROWS[name]) for name in parts[0]}
    except RuntimeError as error:
        raise FormatError("parts of shards do not fit together", folder / FOLDER, REMEDY) from error
    found = put_together({**joined, **shards.common}, shards.codec)
    return Field(codec=shards.codec, provenance=shards.index.provenance, **{"codes": None, **found})


def order_of_rows(things: Instances, place: Int64[Tensor, " N"]) -> Instances:
    """Give things whose Gaussians have moved to other rows.

    Args:
        things: with the old rows.
        place: new row of each old one.
    """
    owner, rows = things.owner, place[things.rows.long()]
    order = torch.from_numpy(np.lexsort((rows.numpy(), owner.numpy())))
    return replace(things, rows=rows[order].int())


def rows_of(tensors: Mapping[str, Tensor], rows: Int64[Tensor, " S"]) -> dict[str, Tensor]:
    """Give the rows of parts that have one for each Gaussian."""
    return {name: t.index_select(ROWS[name], rows) for name, t in tensors.items() if name in ROWS}
