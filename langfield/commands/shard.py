"""`langfield shard`: a large field into shards with levels of detail."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import tyro

from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError

EACH = 65_536


def shard(run: Annotated[Path, tyro.conf.Positional], out: Path, each: int = EACH, json: bool = False) -> None:
    """Write a run whose field is cut into shards; `langfield query`, `eval` and `view` take it like any other.

    Questions and the page then read only what they need. Stopped, the same command goes on where it was.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        out: folder of the new run.
        each: Gaussians in a shard, about.
        json: print what was written as JSON.
    """
    from langfield.artefacts import file_key
    from langfield.field.shard_index import parts_of
    from langfield.field.shard_write import ShardSettings, copy_beside, write_shards
    from langfield.field.store import FIELD_FILE, load_field
    from langfield.run import find_run

    source = find_run(run)
    if out.resolve() == source.resolve():
        raise SettingsError("a run cannot be cut up in its own folder", f"--out {out}", "name another folder")
    index, _ = write_shards(out, load_field(source), file_key(source / FIELD_FILE), ShardSettings(each))
    copy_beside(source, out)
    data: dict[str, Any] = {
        "out": out, "gaussians": index.count, "shards": len(index.shards),
        "bytes": sum(p.bytes for p in parts_of(index)),
        "levels": [sum(s.levels[k].count for s in index.shards if k < len(s.levels)) for k in range(7)],
    }  # fmt: skip
    data["levels"] = [count for count in data["levels"] if count]
    if json:
        return print_json(data)
    print_text(f"{out}: {index.count} Gaussians in {len(index.shards)} shards, {data['bytes'] / 1e6:.1f} MB")
    print_text(f"levels of detail: {', '.join(map(str, data['levels']))} Gaussians")
    return None
