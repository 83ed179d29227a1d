"""Write a field in shards: each file whole or not at all, the index last, and what is there already is kept."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from langfield.artefacts import content_key, file_key, read_json, write_json, write_tensors
from langfield.codec import Codebook
from langfield.codec.types import Codec
from langfield.errors import FormatError, SettingsError
from langfield.field.blocks import cut_space
from langfield.field.lod import Detail, along_curve, pyramid, reach
from langfield.field.parts import put_together, take_apart
from langfield.field.shard_index import FILE, FOLDER, Part, Shard, ShardIndex, shard_from_json, write_index
from langfield.field.shards import ROWS, SCALE, order_of_rows, rows_of
from langfield.field.store import CODEC_FILE, save_codec
from langfield.field.types import Field
from langfield.progress import track
from langfield.raster import word_scales
from langfield.raster.types import Gaussians

VERSION = 1
"""Raised when what is written changes, so that old files are not taken for new ones."""


@dataclass(frozen=True)
class ShardSettings:
    """How a field is cut into shards."""

    each: int = 65_536
    """Gaussians in a shard, about."""
    fewest: int = 256
    """No level of detail is made of so few Gaussians or fewer."""
    levels: int = 6
    """Coarser levels at most."""


class ShardWriter:
    """Writes shards one after the other, so that no more than one has to be in memory.

    Args:
        folder: the run's; a finished index in it goes.
        codec: of all shards.
        key: of what is written; files of another key are not kept.
        settings: how levels are made.

    Raises:
        StorageError: the disk is full or read-only.
    """

    def __init__(self, folder: Path, codec: Codec | None, key: str, settings: ShardSettings = ShardSettings()) -> None:
        self._folder, self._codec, self._settings = folder / FOLDER, codec, settings
        self._key = content_key("shards", VERSION, key, settings)
        self._shards: dict[int, Shard] = {}
        self._codec_key = save_codec(folder / CODEC_FILE, codec)
        (self._folder / FILE).unlink(missing_ok=True)

    def write(self, number: int, part: Field) -> Int64[Tensor, " n"]:
        """Write a shard unless it is there; gives the rows of the part in the order they lie in it.

        Raises:
            StorageError: the disk is full or read-only.
        """
        order = along_curve(part.gaussians.means)[1]
        kept = self._kept(number)
        if kept is None:
            kept = self._write(number, rows_of(take_apart(part)[0], order))
            write_json(self._folder / f"{number:05d}.json", {"key": self._key, "shard": kept})
        self._shards[number] = kept
        return order

    def _kept(self, number: int) -> Shard | None:
        """Give a shard that an earlier run wrote, its files as it left them."""
        try:
            data = read_json(self._folder / f"{number:05d}.json")
            shard = shard_from_json(data["shard"]) if data["key"] == self._key else None
        except (FormatError, KeyError, TypeError, ValueError):
            return None
        files = [self._folder / part.name for part in shard.levels] if shard else []
        whole = [
            f.is_file() and file_key(f) == p.sha256 for f, p in zip(files, shard.levels if shard else (), strict=True)
        ]
        return shard if all(whole) else None

    def _write(self, number: int, tensors: dict[str, Tensor]) -> Shard:
        names = ("means", "quats", "log_scales", "logit_opacities", "sh")
        detail = Detail(Gaussians(*(tensors[name] for name in names)), tensors.get("codes"))
        parts = [self._file(number, 0, tensors, len(detail))]
        boxes = [reach(detail.gaussians)]
        for level, coarse in enumerate(pyramid(detail, self._settings.fewest, self._settings.levels), start=1):
            own: dict[str, Tensor] = dict(zip(names, coarse.gaussians.tensors(), strict=True))
            own |= {} if coarse.codes is None else {"codes": coarse.codes}
            parts.append(self._file(number, level, own, len(coarse)))
            boxes.append(reach(coarse.gaussians))
        low, high = torch.stack([b[0] for b in boxes]).amin(0), torch.stack([b[1] for b in boxes]).amax(0)
        return Shard(tuple(low.tolist()), tuple(high.tolist()), tuple(parts))

    def _file(self, number: int, level: int, tensors: dict[str, Tensor], count: int) -> Part:
        if isinstance(self._codec, Codebook) and "codes" in tensors:
            step = torch.full((len(self._codec.basis), 1), self._codec.unit)
            step[-1] = 1
            gram = self._codec.gram * step * step.T
            tensors = {**tensors, SCALE: torch.stack([word_scales(own, gram) for own in tensors["codes"]])}
        return self._put(f"{number:05d}-{level}.safetensors", tensors, count)

    def _put(self, name: str, tensors: dict[str, Tensor], count: int) -> Part:
        path = self._folder / name
        write_tensors(path, tensors, {"key": self._key})
        return Part(name, count, path.stat().st_size, file_key(path))

    def finish(self, common: dict[str, Tensor], provenance: dict[str, Any]) -> ShardIndex:
        """Write what belongs to no single Gaussian, and the index; notes for a resume go.

        Args:
            common: parts of the field without rows for Gaussians; rows they name count through all shards.
            provenance: the field's.

        Raises:
            SettingsError: a shard is missing.
        """
        if sorted(self._shards) != list(range(len(self._shards))) or not self._shards:
            raise SettingsError("shards are numbered from 0 without a gap", f"{len(self._shards)} written")
        part = self._put("common.safetensors", common, 0) if common else None
        shards = tuple(self._shards[i] for i in range(len(self._shards)))
        index = ShardIndex(shards, part, self._codec_key, provenance)
        write_index(self._folder.parent, index)
        for note in self._folder.glob("[0-9]*.json"):
            note.unlink()
        return index


def write_shards(
    folder: Path, field: Field, key: str, settings: ShardSettings = ShardSettings()
) -> tuple[ShardIndex, Int64[Tensor, " N"]]:
    """Write a field in shards; run again after a kill it goes on where it was.

    Args:
        folder: the run's.
        field: one that stands still.
        key: tells it from others, such as the hash of its file.
        settings: how it is cut.

    Returns:
        The index, and the field's row that each row of the shards was.

    Raises:
        SettingsError: the scene moves, or a setting is out of range.
        StorageError: the disk is full or read-only.
    """
    if field.deformation is not None or field.status_tracks is not None or field.status_net is not None:
        raise SettingsError("a scene that moves cannot be cut into shards", None, "keep the run as it is")
    if settings.each < 1 or settings.fewest < 1 or not 0 <= settings.levels <= 15 or len(field.gaussians) == 0:
        raise SettingsError("shards take each >= 1, fewest >= 1, levels 0 to 15 and at least one Gaussian", settings)
    tensors, _ = take_apart(field)
    means = field.gaussians.means.detach()
    owner = cut_space(means, -(-len(means) // settings.each)).owner(means)
    rows = torch.argsort(owner, stable=True).split(torch.bincount(owner).tolist())
    writer, orders = ShardWriter(folder, field.codec, key, settings), list[Tensor]()
    for number, own in enumerate(track(rows, "shards")):
        part = rows_of(tensors, own)
        orders.append(own[writer.write(number, _as_field(part, field))])
    order = torch.cat(orders)
    common = {name: t for name, t in tensors.items() if name not in ROWS}
    if field.instances is not None:
        moved = order_of_rows(field.instances, torch.empty_like(order).scatter_(0, order, torch.arange(len(order))))
        common |= {f"instances.{name}": t for name, t in moved.tensors().items()}
    return writer.finish(common, field.provenance), order


def _as_field(part: dict[str, Tensor], field: Field) -> Field:
    return Field(codec=field.codec, provenance={}, **{"codes": None, **put_together(part, field.codec)})


def copy_beside(source: Path, target: Path) -> None:
    """Copy what a run has besides its field: manifest last, so that it counts as a run when all is there."""
    target.mkdir(parents=True, exist_ok=True)
    for name in ("capture.json", "captions.json"):
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)
    if (source / "segments").is_dir():
        shutil.copytree(source / "segments", target / "segments", dirs_exist_ok=True)
    write_json(target / "manifest.json", read_json(source / "manifest.json"))
