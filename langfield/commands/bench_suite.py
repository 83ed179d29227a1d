"""`langfield bench suite`: what methods of the suite win on trained runs with labels, over seeds; resumable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from langfield.artefacts import file_key, read_json, write_json
from langfield.commands.bench_options import SuiteBench
from langfield.commands.use_bench.parts import CLICKS, TEXT, Lesson, asked, found_again, taught, text_alone
from langfield.commands.use_bench.truth import Truth, truth_of
from langfield.errors import FormatError, SettingsError
from langfield.progress import say
from langfield.query.linking import PLAIN
from langfield.scene import Scene, load
from langfield.suite.families import FAMILIES

VERSION = 1
PARTS = ("ask", "teach", "find")
SHOWN = {
    "ask": ("localisation", "mIoU", "accuracy", "AUROC not here", "AUROC absent"),
    "teach": ("localisation", "mIoU", "accuracy", "AUROC not here", "examples", "cpu_s"),
    "find": ("R@1", "R@5", "things", "cpu_s"),
}
Measure = Callable[[Scene, Truth], dict[str, Any]]


def bench_suite(runs: tuple[Path, ...], what: SuiteBench) -> dict[str, Any]:
    """Measure method by method and seed by seed, writing what is found after each; what is there is not measured again.

    Args:
        runs: with things, segments and label/ beside the capture.
        what: parts, seeds, who writes texts.

    Returns:
        by run its values by part and row, and a table of means over seeds.

    Raises:
        SettingsError: no such part, or a run's capture has no labels.
    """
    if set(what.only) - set(PARTS):
        raise SettingsError("no such part", ", ".join(what.only), f"choose among: {', '.join(PARTS)}")
    found: dict[str, Any] = {}
    for path in runs:
        scene = load(path)
        name = Path(str(scene.run.manifest["data"])).name
        found[name] = _measure(scene, name, what)
    return {"runs": found, "table": "\n\n".join(table(name, values["rows"]) for name, values in found.items())}


def _measure(scene: Scene, name: str, what: SuiteBench) -> dict[str, Any]:
    labels = what.labels or Path(str(scene.run.manifest["data"])) / "label"
    if not labels.is_dir():
        raise SettingsError("the run's capture has no labels", labels, "name a folder of LERF-OVS labels: --labels DIR")
    file, key = what.out / f"suite_{name}.json", f"{VERSION} {file_key(scene.run.path / 'field.safetensors')[:16]}"
    known = _known(file, key)
    truth: Truth | None = None
    for part, row, seed, measure in rows_of(what):
        values = known["rows"].setdefault(part, {}).setdefault(row, {})
        if str(seed) in values:
            continue
        if truth is None:
            truth = truth_of(scene, labels)
            known["about"] = about(truth)
        say(f"bench suite: {name}, {part}, {row}, seed {seed}")
        values[str(seed)] = measure(scene, truth)
        write_json(file, known)
    return known


def about(truth: Truth) -> dict[str, Any]:
    """Say what the labels know of a scene's things."""
    counts = {"names": len(truth.names), "views": len(truth.looks), "things": len(truth.owner)}
    counts |= {"named": int((truth.owner >= 0).sum()), "named, with parts": int((truth.parts >= 0).sum())}
    return counts | {"without a name": int((truth.owner == -1).sum()), "best IoU there is": round(truth.reach, 4)}


def rows_of(what: SuiteBench) -> Iterator[tuple[str, str, int, Measure]]:
    """Give every measurement there is: part, row, seed, and what measures it."""
    if not what.only or "ask" in what.only:
        yield "ask", TEXT, 0, text_alone
        for name in FAMILIES["ask"][0]:
            for writer in what.texts:
                row = name if writer == "templates" else f"{name}, {Path(writer.partition(':')[2] or writer).stem}"
                yield "ask", row, 0, lambda s, t, name=name, writer=writer: asked(s, t, name, writer)
    if not what.only or "find" in what.only:
        for name in (PLAIN, *FAMILIES["find"][0]):
            for seed in range(what.seeds):
                yield "find", name, seed, lambda s, _, name=name, seed=seed: found_again(s, name, seed)
    if not what.only or "teach" in what.only:
        yield from _lessons(what)


def _lessons(what: SuiteBench) -> Iterator[tuple[str, str, int, Measure]]:
    for clicks in CLICKS:
        for none in (False, True):
            for name in FAMILIES["teach"][0]:
                for spread in what.spread:
                    told = ", and none" if none else ""
                    row = f"{name}, {clicks} click{'s' if clicks > 1 else ''}{told}, spread {spread}"
                    for seed in range(what.seeds):
                        lesson = Lesson(name, clicks, none, spread, seed)
                        yield "teach", row, seed, lambda s, t, lesson=lesson: taught(s, t, lesson)


def table(name: str, parts: Mapping[str, Mapping[str, Any]]) -> str:
    """Give one run's means over seeds as lines for people."""
    lines = []
    for part, rows in parts.items():
        shown = SHOWN[part]
        lines += [f"| {name}, {part} | {' | '.join(shown)} |", "|" + "---|" * (len(shown) + 1)]
        for row, seeds in rows.items():
            if refusals := [one["refuses"] for one in seeds.values() if "refuses" in one]:
                lines.append(f"| {row} | {refusals[0]} |" + " |" * (len(shown) - 1))
            else:
                cells = [_cell([one[key] for one in seeds.values() if key in one]) for key in shown]
                lines.append(f"| {row} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, high, mean = min(values), max(values), float(np.mean(values))
    if isinstance(values[0], int):
        return f"{mean:.0f}"
    return f"{mean:.3f}" + ("" if high - low < 0.0005 else f" ({low:.3f}–{high:.3f})")


def _known(file: Path, key: str) -> dict[str, Any]:
    if not file.is_file():
        return {"key": key, "about": {}, "rows": {}}
    found = read_json(file)
    if not isinstance(found, dict) or not isinstance(found.get("rows"), dict):
        raise FormatError("not a report of bench suite", file, "choose another folder with --out")
    return found if found.get("key") == key else {"key": key, "about": {}, "rows": {}}
