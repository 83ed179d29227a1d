"""`langfield bench field`: language fields made in four ways of the same Gaussians and 2D features, over seeds."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import langfield
from langfield.artefacts import content_key, read_json, write_bytes, write_json
from langfield.commands.bench_options import FieldBench
from langfield.commands.field_bench import rows
from langfield.commands.field_bench.bars import check
from langfield.commands.field_bench.scene import Geometry, Scene, open_scene, train_geometry
from langfield.commands.field_bench.score import RULES, score_row, time_queries
from langfield.commands.field_bench.show import NOTES, as_markdown, as_text
from langfield.commands.field_bench.table import Cell, summarise
from langfield.errors import SettingsError
from langfield.interchange import feature_bytes
from langfield.progress import say
from langfield.settings import RunSettings

ROOMS = ("codec", "raster", "field", "query", "evaluate")
PARTS = ("baseline", "rows", "scene", "score", "things")
DECIDING = (*(f"{room}/*.py" for room in ROOMS), *(f"commands/field_bench/{part}.py" for part in PARTS))
"""Sources that decide what is found."""


def bench_field(scenes: Sequence[Path], what: FieldBench, out: Path | None, settings: RunSettings) -> dict[str, Any]:
    """Make, score and time every row of every seed, and hold the codebook against what is claimed of it.

    What is finished is kept in the cache, cell by cell: run again, it goes on where it stopped. Where sources have
    changed since, scores and times are made again, and trained geometry and the baseline's fit are not.

    Args:
        scenes: captures with a folder label/.
        what: seeds, views, whether to measure times again.
        out: JSON file; a table of the same name ending in .md is written beside it. None writes nothing.
        settings: of the stages before the language stage.

    Raises:
        SettingsError: there is no scene, or an option is out of range.
        FormatError: a capture or its labels cannot be read.
    """
    if not scenes or what.seeds < 1 or len(what.max_views) > len(scenes):
        raise SettingsError(
            "bench field needs scenes, a seed or more, and --max-views for no more scenes than there are",
            f"{len(scenes)} scenes, {what.seeds} seeds, {len(what.max_views)} --max-views",
            "give --scene DIR [DIR ...]",
        )  # fmt: skip
    found: dict[str, Any] = {"seeds": what.seeds, "notes": NOTES, "scenes": {}}
    views = [*what.max_views, *[None] * len(scenes)]
    for data, most in zip(scenes, views, strict=False):
        scene = open_scene(data, replace(settings, max_views=most))
        found["scenes"][scene.name] = _of_scene(scene, what)
        if out is not None:
            write_json(out, found)
            write_bytes(out.with_suffix(".md"), as_markdown(found).encode())
    return {**found, "table": as_text(found)}


def _of_scene(scene: Scene, what: FieldBench) -> dict[str, Any]:
    made = [train_geometry(scene, seed) for seed in range(what.seeds)]
    benches = {name: [_Bench(scene, geometry, name, i) for i, geometry in enumerate(made)] for name in rows.ROWS}
    in_turn = [benches[name][seed] for seed in range(what.seeds) for name in rows.ROWS]
    for one in in_turn:
        one.score()
    for one in in_turn:  # in a second pass, so that rows are timed soon after each other
        one.take_time(what.retime)
    cells: dict[str, list[Cell]] = {name: [one.cell() for one in benches[name]] for name in rows.ROWS}
    about = [geometry.about for geometry in made]
    return {
        "views": len(scene.training), "queries": len(scene.labels.queries),
        "names": len({q.text for q in scene.labels.queries}), "notes": scene.labels.notes, "geometry": about,
        "feature_bytes": feature_bytes(scene.features),
        "rows": {name: summarise(cells[name]) for name in cells},
        "made": {name: [cell["made"] for cell in cells[name]] for name in cells},
        "load": [cell["load"] for name in cells for cell in cells[name]],
        "claims": check(cells, RULES),
    }  # fmt: skip


@dataclass(frozen=True)
class _Bench:
    """One row and seed."""

    scene: Scene
    geometry: Geometry
    row: str
    seed: int

    def score(self) -> None:
        """Find the scores, if the cache does not have them."""
        path = self._path("scores")
        if not self.scene.cache.has("bench", path):
            say(f"{self.scene.name}, seed {self.seed}: {self.row}")
            made = rows.make(self.row, self.scene, self.geometry, self.seed)
            parts = {"made": made.about, "bytes": rows.bytes_per_gaussian(made.field)}
            write_json(path, {**score_row(self.scene, made.field), **parts})

    def take_time(self, again: bool) -> None:
        """Measure times, if the cache does not have them or they are wanted again."""
        path = self._path("times")
        if again or not self.scene.cache.has("bench", path):
            say(f"{self.scene.name}, seed {self.seed}: {self.row}, times")
            load, made = os.getloadavg()[0], rows.make(self.row, self.scene, self.geometry, self.seed)
            parts = {"queries": time_queries(self.scene, made.field), "load": load}
            taken = rows.time_row(self.row, self.scene, self.geometry, self.seed, int(made.about.get("steps", 0)))
            write_json(path, {**parts, "times": taken})

    def cell(self) -> Cell:
        """Give what was found."""
        return {**read_json(self._path("scores")), **read_json(self._path("times"))}

    def _path(self, part: str) -> Path:
        key = content_key("field bench", part, _sources(), self.scene.key, self.geometry.key, self.row, self.seed)
        return self.scene.cache.path("bench", key, ".json")


def _sources() -> str:
    """Hash what decides the scores."""
    root = Path(langfield.__file__).parent
    files = sorted(path for pattern in DECIDING for path in root.glob(pattern))
    return hashlib.sha256(b"".join(_named(root, files))).hexdigest()


def _named(root: Path, files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        yield str(path.relative_to(root)).encode() + path.read_bytes()
