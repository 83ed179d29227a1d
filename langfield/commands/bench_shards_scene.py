"""A scene of millions of Gaussians for `bench shards`: copies of a smaller one side by side, written shard by shard."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from langfield.artefacts import content_key, file_key, write_json
from langfield.capture.points import no_points
from langfield.capture.types import Camera, Capture, Frame
from langfield.commands.bench_options import ShardBench
from langfield.errors import SettingsError
from langfield.field.instances import Instances
from langfield.field.shard_index import is_sharded, parts_of
from langfield.field.shard_write import ShardSettings, ShardWriter
from langfield.field.shards import Shards
from langfield.field.store import FIELD_FILE
from langfield.field.types import Field
from langfield.progress import say, track
from langfield.raster.types import Gaussians
from langfield.run import find_run, frames_to_json, open_run
from langfield.viewer.measure import made_up

MADE_UP = 20_000
GAP = 1.1
"""From copy to copy, in extents of the scene."""
MOST_VIEWS = 12
"""Of each copy."""
ABOVE = 6.0
"""How far above the made-up scene its views are taken."""
SINGLE = "made up"


def prepare(what: ShardBench) -> dict[str, Any]:
    """Write copies of a scene side by side, shard by shard, with views and things of all."""
    if what.gaussians < 1000 or what.shards < 1:
        raise SettingsError("bench shards needs 1,000 Gaussians and a shard", what)
    field, frames, key = _source(what)
    copies = max(1, round(what.gaussians / len(field.gaussians)))
    key = content_key(key, copies, what.shards)
    note = what.folder / "bench.json"
    if not is_sharded(what.folder) or not note.is_file() or key not in note.read_text():
        shutil.rmtree(what.folder, ignore_errors=True)
        _write(what, field, frames, copies, key)
        write_json(note, {"key": key})
    index = Shards(what.folder).index
    return {
        "source": "/".join(what.run.resolve().parts[-3:]) if what.run else SINGLE,
        "gaussians": index.count, "shards": len(index.shards), "copies": copies,
        "bytes": sum(p.bytes for p in parts_of(index)),
    }  # fmt: skip


def _source(what: ShardBench) -> tuple[Field, tuple[Frame, ...], str]:
    if what.run is not None:
        run = open_run(what.run)
        step = max(1, len(run.frames) // MOST_VIEWS)
        return run.field, run.frames[::step], file_key(find_run(what.run) / FIELD_FILE)
    field = made_up(MADE_UP, what.folder).field
    return replace(field, instances=_kinds(field)), _overhead(field), f"{SINGLE} 1"


def _kinds(field: Field) -> Instances:
    """Give as things the Gaussians whose codes are the same; the most common ones are the floor."""
    if field.codes is None or field.codec is None:
        raise SettingsError("the scene has no codes")
    table, kind = torch.unique(field.codes[-1], dim=0, return_inverse=True)
    rows = [(kind == i).nonzero()[:, 0].int() for i in range(len(table))]
    rows, table = zip(*sorted(zip(rows, table, strict=True), key=lambda pair: -len(pair[0]))[1:], strict=True)
    sizes = torch.tensor([0, *map(len, rows)])
    members = torch.stack([torch.tensor([i, 0, i]) for i in range(len(rows))]).int()
    vectors = field.codec.decode(torch.stack(table)).half()
    many = len(rows)
    return Instances(vectors, torch.full((many,), 9).int(), torch.ones(many), sizes.cumsum(0), torch.cat(rows), members)


def _overhead(field: Field) -> tuple[Frame, ...]:
    """Give four views down onto the made-up scene."""
    means = field.gaussians.means
    low, high = means.amin(0).double(), means.amax(0).double()
    frames = []
    for i, (x, y) in enumerate(((0.3, 0.3), (0.7, 0.3), (0.3, 0.7), (0.7, 0.7))):
        pose = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
        pose[:3, 3] = low + (high - low) * torch.tensor([x, y, 1.0])
        pose[2, 3] += ABOVE
        K = torch.tensor([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]], dtype=torch.float64)
        frames.append(Frame(f"{i}.png", Path(f"{i}.png"), Camera(K, 320, 240, pose)))
    return tuple(frames)


def _write(what: ShardBench, field: Field, frames: tuple[Frame, ...], copies: int, key: str) -> None:
    offsets, across = _grid(field, copies)
    writer = ShardWriter(what.folder, field.codec, key, ShardSettings())
    things, start = list[Instances](), 0
    for number, own in enumerate(track(np.array_split(offsets, min(what.shards, copies)), "shards")):
        part = _repeated(field, torch.from_numpy(own).float())
        order = writer.write(number, part)
        if field.instances is not None:
            place = torch.empty_like(order).scatter_(0, order, torch.arange(len(order)) + start)
            things += _moved(field.instances, place, len(field.gaussians), len(own))
        start += len(order)
    common = {f"instances.{n}": t for n, t in _joined(things).tensors().items()} if things else {}
    writer.finish(common, field.provenance)
    every = [_shifted(f, o, i) for i, o in enumerate(offsets) for f in frames]
    write_json(what.folder / "capture.json", frames_to_json(Capture(what.folder, tuple(every), no_points())))
    settings = {"text_encoder": open_run(what.run).manifest["settings"]["text_encoder"] if what.run else "hashes"}
    names = [f.name for f in every]
    write_json(
        what.folder / "manifest.json",
        {"version": 1, "state": "finished", "settings": settings, "training_views": names},
    )
    say(f"{start} Gaussians over {across} by {across} copies, {len(every)} views")


def _grid(field: Field, copies: int) -> tuple[np.ndarray, int]:
    """Give where copies lie, in rows of a square; neighbours follow each other."""
    means = field.gaussians.means.double().numpy()
    side = (np.quantile(means, 0.98, axis=0) - np.quantile(means, 0.02, axis=0)) * GAP
    flat = np.argsort(side)[1:]  # along the two longer sides
    across = int(np.ceil(np.sqrt(copies)))
    offsets = np.zeros((copies, 3))
    for i in range(copies):
        row, column = divmod(i, across)
        offsets[i, flat] = side[flat] * [row, column if row % 2 == 0 else across - 1 - column]
    return offsets, across


def _repeated(field: Field, offsets: Tensor) -> Field:
    """Give copies of a field beside each other."""
    many, g = len(offsets), field.gaussians.detach()
    means = (g.means[None] + offsets[:, None]).flatten(0, 1)
    rest = [t.repeat(many, *[1] * (t.ndim - 1)) for t in g.tensors()[1:]]
    codes = None if field.codes is None else field.codes.repeat(1, many, 1)
    return Field(Gaussians(means, *rest), codes, field.codec, {})


def _moved(things: Instances, place: Tensor, each: int, copies: int) -> list[Instances]:
    """Give the things of each copy with their rows in the whole."""
    out, owner = [], things.owner
    for k in range(copies):
        rows = place[things.rows.long() + k * each]
        order = torch.from_numpy(np.lexsort((rows.numpy(), owner.numpy())))
        out.append(replace(things, rows=rows[order].int()))
    return out


def _joined(parts: list[Instances]) -> Instances:
    sizes = torch.cat([p.sizes for p in parts])
    members = torch.cat([p.members + torch.tensor([i * len(p), 0, 0]).int() for i, p in enumerate(parts)])
    vectors, views, reliability = (
        torch.cat([getattr(p, n) for p in parts]) for n in ("vectors", "views", "reliability")
    )
    first = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    return Instances(vectors, views, reliability, first, torch.cat([p.rows for p in parts]), members)


def _shifted(frame: Frame, offset: np.ndarray, copy: int) -> Frame:
    pose = frame.camera.T_world_camera.clone()
    pose[:3, 3] += torch.from_numpy(offset).to(pose)
    return Frame(f"{copy:04d}_{frame.name}", frame.path, replace(frame.camera, T_world_camera=pose))
