"""`langfield reproduce`: all scenes of a benchmark, and the published tables beside what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from langfield.artefacts import content_key, file_key, read_json, write_json
from langfield.commands.evaluate import evaluate_protocol, subject_of
from langfield.commands.output import print_json, print_text
from langfield.errors import FormatError, LangfieldError
from langfield.evaluate.benchmarks import BENCHMARKS, Benchmark, Scene, find_scenes, make_table, table_text
from langfield.evaluate.protocols import PROTOCOLS
from langfield.evaluate.report import Metric, Summary
from langfield.progress import say
from langfield.run import open_run
from langfield.settings import RunSettings

Train = Callable[[Path, Path, RunSettings], Path]
"""Gives the folder of a finished run for a capture, a folder of runs and settings."""
ALL_VIEWS = RunSettings(hold_out_every=0)
"""The published protocols score views that were trained on."""


@dataclass(frozen=True)
class Reproduced:
    """What came out, scene by scene."""

    benchmark: Benchmark
    summaries: Mapping[str, Mapping[str, Summary]]
    """The field's, by protocol and scene."""
    failed: Mapping[str, str]
    """Scenes that gave nothing, and why."""


def reproduce(
    benchmark: Annotated[Literal["lerf-ovs", "3d-ovs"], tyro.conf.Positional],
    data: Path,
    out: Path = Path("outputs/reproduce"),
    scenes: tuple[str, ...] = (),
    settings: RunSettings = ALL_VIEWS,
    json: bool = False,
) -> int:
    """Train and score every scene of a benchmark, and print the published tables beside ours.

    What is finished is not done again: kill it at any moment and run the same command again. With
    --settings.hold-out-every the held-out protocols are scored too. Exit status 1 where a scene failed.

    Args:
        benchmark: which one.
        data: its folder; lerf-ovs: figurines/, ramen/, teatime/, waldo_kitchen/ and label/; 3d-ovs: bed/, bench/, ...
        out: folder of runs and reports.
        scenes: only these; all that are there by default.
        settings: of every run.
        json: print everything as JSON.
    """
    from langfield.plugin.launch import train_run

    chosen = BENCHMARKS[benchmark]
    found = reproduce_scenes(chosen, find_scenes(chosen, data, scenes), out, settings, train_run)
    about = as_data(found, settings)
    write_json(out / f"{benchmark}.json", about)
    if json:
        print_json(about)
    else:
        print_text(as_text(found))
        print_text(f"\nper query, with pictures: {out}/SCENE/PROTOCOL/report.html; all numbers: {out / benchmark}.json")
    return 1 if found.failed else 0


def reproduce_scenes(
    benchmark: Benchmark, scenes: Sequence[Scene], out: Path, settings: RunSettings, train: Train
) -> Reproduced:
    """Train and score scenes one after the other; one that fails does not end the others.

    Args:
        benchmark: whose protocols are followed.
        scenes: what lies on disk.
        out: folder of runs and reports.
        settings: of every run.
        train: gives a finished run.
    """
    summaries: dict[str, dict[str, Summary]] = {name: {} for name in benchmark.protocols}
    failed: dict[str, str] = {}
    for scene in scenes:
        say(f"{benchmark.name}: {scene.name}")
        try:
            run = train(scene.capture, out / "runs", settings)
            for name, summary in _score(benchmark, scene, run, out / scene.name).items():
                summaries.setdefault(name, {})[scene.name] = summary
        except LangfieldError as error:
            say(f"{scene.name} failed: {error}")
            failed[scene.name] = str(error)
    return Reproduced(benchmark, summaries, failed)


def _score(benchmark: Benchmark, scene: Scene, run: Path, out: Path) -> dict[str, Summary]:
    """Give the field's summary under every protocol; one that stands in the report of this very field is read back."""
    inputs = [file_key(p) for p in sorted(scene.labels.rglob("*")) if p.is_file()]
    opened, found = None, {}
    for name in (*benchmark.protocols, *(f"{p}-held-out" for p in benchmark.protocols if p.startswith("lerf"))):
        rules, done = PROTOCOLS[name], out / name / "done.json"
        key = content_key(name, rules.version, inputs, file_key(run / "field.safetensors"))
        summary = _read_back(done, key)
        if summary is None:
            opened = opened or open_run(run)
            if name.endswith("-held-out") and not _holds_out(opened.manifest):
                continue
            summary = evaluate_protocol(rules, subject_of(opened), scene.labels, out / name).summaries[0]
            write_json(done, {"key": key, "run": run, "summary": summary})
        found[name] = summary
    return found


def _holds_out(manifest: Mapping[str, Any]) -> bool:
    return bool(manifest.get("held_out_views"))


def _read_back(path: Path, key: str) -> Summary | None:
    """Give the summary an earlier call left for the same field, labels and protocol."""
    try:
        data = read_json(path)
        if data["key"] != key:
            return None
        told = data["summary"]
        parts = {kind: {k: _metric(v) for k, v in told[kind].items()} for kind in ("metrics", "losses")}
        return Summary(**(told | parts | {"notes": tuple(told["notes"])}))
    except (FormatError, KeyError, TypeError, AttributeError, IndexError):
        return None


def _metric(data: Mapping[str, Any]) -> Metric:
    bounds = {
        k: None if data[k] is None else (data[k][0], data[k][1]) for k in ("over_queries", "over_names", "wilson")
    }
    return Metric(value=data["value"], **bounds)  # pyright: ignore


def as_data(found: Reproduced, settings: RunSettings) -> dict[str, Any]:
    """Give everything as JSON data: summaries with intervals and losses, and the tables."""
    scenes = found.benchmark.scenes
    return {
        "benchmark": found.benchmark.name,
        "settings": settings.result_settings(),
        "summaries": found.summaries,
        "tables": {name: make_table(name, scenes, ours) for name, ours in found.summaries.items()},
        "failed": found.failed,
    }


def as_text(found: Reproduced) -> str:
    """Give the tables, our intervals, and what failed, for a person."""
    parts = []
    for name, ours in found.summaries.items():
        lines = [table_text(name, found.benchmark.scenes, ours)]
        lines += [f"  {scene}: {_intervals(summary)}" for scene, summary in ours.items()]
        parts.append("\n".join(lines))
    parts += [f"{scene} failed: {why}" for scene, why in found.failed.items()]
    return "\n\n".join(parts)


def _intervals(summary: Summary) -> str:
    bounds = [f"{m} {100 * v.over_names[0]:.1f} to {100 * v.over_names[1]:.1f}" for m, v in summary.metrics.items()]
    return f"{summary.queries} queries of {summary.names} names, 95 % over names: {', '.join(bounds)}"
