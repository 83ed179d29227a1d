"""Benchmarks as their authors pack them: which scenes lie in a folder, and our numbers beside the published ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langfield.errors import FormatError
from langfield.evaluate.published import LERF_SCENES, MEAN, OVS_SCENES, PUBLISHED
from langfield.evaluate.report import Summary


@dataclass(frozen=True)
class Benchmark:
    """A set of scenes that papers report together."""

    name: str
    scenes: tuple[str, ...]
    """In the order of the tables."""
    protocols: tuple[str, ...]
    labels: tuple[str, ...]
    """Where a scene's labels lie below the benchmark's folder."""


@dataclass(frozen=True)
class Scene:
    """One scene on disk."""

    name: str
    capture: Path
    labels: Path


BENCHMARKS: dict[str, Benchmark] = {
    b.name: b
    for b in (
        Benchmark("lerf-ovs", LERF_SCENES, ("lerf-ovs-2d", "lerf-ovs-3d"), ("label/{}", "{}/label")),
        Benchmark("3d-ovs", OVS_SCENES, ("3d-ovs",), ("{}/segmentations",)),
    )
}


def find_scenes(benchmark: Benchmark, data: Path, wanted: Sequence[str] = ()) -> list[Scene]:
    """Find the benchmark's scenes below a folder, whichever of them are there.

    Args:
        benchmark: whose scenes.
        data: its folder.
        wanted: only these; all by default.

    Raises:
        FormatError: none is there, or one that is wanted is not.
    """
    found = [s for name in benchmark.scenes if (s := _scene(benchmark, data, name)) is not None]
    known = {scene.name for scene in found}
    missing = [name for name in wanted if name not in known]
    if missing or not found:
        places = " or ".join(place.format("SCENE") for place in benchmark.labels)
        raise FormatError(
            f"{benchmark.name} lacks {', '.join(missing or benchmark.scenes)}",
            data,
            f"a scene needs its capture in SCENE/ and its labels in {places}/",
        )
    return [scene for scene in found if not wanted or scene.name in wanted]


def _scene(benchmark: Benchmark, data: Path, name: str) -> Scene | None:
    labels = [data / place.format(name) for place in benchmark.labels]
    there = next((folder for folder in labels if folder.is_dir()), None)
    return Scene(name, data / name, there) if there is not None and (data / name).is_dir() else None


def make_table(protocol: str, scenes: Sequence[str], ours: Mapping[str, Summary]) -> list[dict[str, object]]:
    """Put our numbers of one protocol above the published ones, in per cent.

    Args:
        protocol: its name.
        scenes: the benchmark's, in order.
        ours: the field's summary per scene; scenes may be missing, and then there is no mean.
    """
    known = PUBLISHED[protocol.removesuffix("-held-out")]
    cells = {name: tuple(100 * s.value(m) for m in known.metrics) for name, s in ours.items()}
    if set(scenes) <= set(cells):
        cells[MEAN] = tuple(float(v) for v in np.mean([cells[name] for name in scenes], axis=0))
    mine: dict[str, object] = {"method": "langfield", "cells": cells, "source": "this run", "note": ""}
    rows = [{"method": p.method, "cells": p.cells, "source": p.source, "note": p.note} for p in known.rows]
    return [mine, *rows]


def table_text(protocol: str, scenes: Sequence[str], ours: Mapping[str, Summary]) -> str:
    """Give the table of one protocol for a person, with its sources below."""
    metrics, columns = PUBLISHED[protocol.removesuffix("-held-out")].metrics, [*scenes, MEAN]
    version = next(iter(ours.values())).protocol_version if ours else "?"
    lines = [f"{protocol}, version {version}: {' / '.join(metrics)}, per cent"]
    lines.append(f"  {'':<18}" + "".join(f"{name:>17}" for name in columns))
    notes = []
    for row in make_table(protocol, scenes, ours):
        cells, method = row["cells"], row["method"]
        if not isinstance(cells, Mapping):
            raise TypeError("a row's cells are a mapping")
        mark = f" [{len(notes) + 1}]" if row["note"] else ""
        if row["note"]:
            notes.append(f"  [{len(notes) + 1}] {row['note']}")
        shown = "".join(f"{_cell(cells.get(name)):>17}" for name in columns)
        lines.append(f"  {f'{method}{mark}':<18}{shown}   {row['source']}")
    return "\n".join([*lines, *notes])


def _cell(values: Sequence[float] | None) -> str:
    return "" if values is None else " / ".join(f"{v:.1f}" for v in values)
