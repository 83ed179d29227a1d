"""`langfield bench cluster`: equality, memory, scheduling, throughput and costs of the stages on Ray; resumable."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from langfield.artefacts import read_json, write_json
from langfield.commands.bench_options import ClusterBench
from langfield.commands.cluster_bench.costs import costs
from langfield.commands.cluster_bench.point import Point, measure
from langfield.commands.cluster_bench.seams import measure_seams
from langfield.commands.cluster_bench.sleep import Sleep
from langfield.errors import FormatError, SettingsError
from langfield.progress import say

VERSION = 1
VIEWS_OF_A_PART = 100
SLEEPERS = 4
STEADY = ("photos", "features", "look", "add", "solve")
Keep = Callable[[str, Callable[[], Any]], Any]


def bench_cluster(what: ClusterBench) -> dict[str, Any]:
    """Measure part by part, writing what is found after each; what is there is not measured again.

    Args:
        what: towns and parts.

    Returns:
        by part what was found, and a table.

    Raises:
        SettingsError: a part is not known, or there is no town.
        LangfieldError: a measurement failed; the others are in the file.
    """
    parts = [name for name in PARTS if not what.only or name in what.only]
    if set(what.only) - set(PARTS):
        raise SettingsError("no such part", ", ".join(what.only), f"choose among: {', '.join(PARTS)}")
    missing = [town for town in what.towns if not (town / "language_features").is_dir()]
    if missing:
        remedy = f"make one: python scenes/make_town.py --photos 200 --features --out {missing[0]}"
        raise SettingsError("no town with features", missing[0], remedy)
    file = what.out / "cluster.json"
    known = _known(file)
    for name in parts:
        PARTS[name](what, _keeper(file, known, name, name in what.redo))
    found = {name: known[name] for name in PARTS if name in known}
    machine = {"cores": os.cpu_count(), "processor": platform.machine()}
    write_json(file, {"version": VERSION, "machine": machine, "parts": known})
    return {**found, "table": table(found)}


def _keeper(file: Path, known: dict[str, Any], part: str, redo: bool) -> Keep:
    """Give what measures something once and keeps it in the file."""
    rows = known.setdefault(part, {})
    if redo:
        rows.clear()

    def keep(key: str, work: Callable[[], Any]) -> Any:
        if key not in rows:
            say(f"bench cluster: {part}, {key}")
            rows[key] = work()
            write_json(file, {"version": VERSION, "parts": known})
        return rows[key]

    return keep


def _known(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = read_json(file)
    parts = found.get("parts") if isinstance(found, dict) else None
    if not isinstance(parts, dict) or not all(isinstance(rows, dict) for rows in parts.values()):
        raise FormatError("not a report of bench cluster", file, "choose another folder with --out")
    return parts if found.get("version") == VERSION else {}


def _equal(what: ClusterBench, keep: Keep) -> None:
    runs = [
        keep(f"{w} workers", lambda w=w: measure(Point(str(what.towns[0]), w, serial=w == what.workers[0])))
        for w in what.workers
    ]
    kinds = ("codebook", "codes", "reliability")
    keep(
        f"equal for {what.workers} workers",
        lambda: {kind: len({run[kind] for run in runs}) == 1 for kind in kinds} | {"serial": runs[0]["serial"]},
    )


def _memory(what: ClusterBench, keep: Keep) -> None:
    for town in what.towns:
        photos = len(read_json(town / "transforms.json")["frames"])
        keep(f"{photos} photos", lambda t=town, n=photos: measure(Point(str(t), 2, parts=-(-n // VIEWS_OF_A_PART))))


def _overhead(what: ClusterBench, keep: Keep) -> None:
    keep("tasks of 1 s", lambda: scheduling(what.tasks, 1.0))
    keep("empty tasks", lambda: scheduling(1000, 0.0))


def scheduling(tasks: int, seconds: float) -> dict[str, Any]:
    """Give what a task costs beside what it does: tasks that sleep on more workers than there are cores.

    Args:
        tasks: how many.
        seconds: that each sleeps.
    """
    from langfield.cluster.pool import Pool, PoolSettings
    from langfield.cluster.start import connected
    from langfield.cluster.types import Tally

    with connected("local", SLEEPERS), Pool(PoolSettings(workers=SLEEPERS)) as pool:
        list(pool.map(Sleep(0.0), range(2 * SLEEPERS), Tally("warm")))
        start = time.monotonic()
        list(pool.map(Sleep(seconds), range(tasks), Tally("sleep")))
        wall = time.monotonic() - start
    ideal = -(-tasks // SLEEPERS) * seconds
    return {
        "tasks": tasks, "workers": SLEEPERS, "wall_s": round(wall, 3), "ideal_s": ideal,
        "overhead": round(wall / ideal - 1, 4) if ideal else None, "ms_a_task": round(1e3 * (wall - ideal) / tasks, 3),
    }  # fmt: skip


def _throughput(what: ClusterBench, keep: Keep) -> None:
    rates: dict[int, list[dict[str, float | None]]] = {1: [], 2: []}
    for again in range(what.repeats):
        for workers in (1, 2):
            run = keep(f"{workers} workers, run {again}", lambda w=workers: measure(Point(str(what.towns[0]), w)))
            rates[workers].append({name: run["stages"][name]["per_second_steady"] for name in STEADY})
    found = {}
    for name in STEADY:
        one, two = ([rate for r in rates[w] if (rate := r[name])] for w in (1, 2))
        if one and two:
            found[name] = round(median(two) / median(one), 3)
    keep(f"two workers over one, {what.repeats} runs", lambda: found)
    if what.real is not None:
        one, two = (_with_real_models(what, keep, workers)["stages"]["features"]["seconds"] for workers in (1, 2))
        keep(f"two workers over one, {what.real_photos} photos, real models", lambda: {"features": round(one / two, 3)})


def _costs(what: ClusterBench, keep: Keep) -> None:
    if what.real is not None:
        data = what.real
        keep("one photo apart", lambda: costs(data))


def _real(what: ClusterBench, keep: Keep) -> None:
    if what.real is not None:
        _with_real_models(what, keep, 2)


def _with_real_models(what: ClusterBench, keep: Keep, workers: int) -> dict[str, Any]:
    point = Point(str(what.real), workers, what.real_photos, real=True, lifted=False)
    return keep(f"{what.real_photos} photos, {workers} workers", lambda: measure(point))


def _blocks(what: ClusterBench, keep: Keep) -> None:
    if "blocks" in (*what.only, *what.redo):
        keep("in blocks and whole", lambda: measure_seams(what.towns[0], what.out / "blocks"))


PARTS: dict[str, Callable[[ClusterBench, Keep], None]] = {
    "equal": _equal, "memory": _memory, "overhead": _overhead, "throughput": _throughput, "costs": _costs,
    "real": _real, "blocks": _blocks,
}  # fmt: skip


def table(found: Mapping[str, Any]) -> str:
    """Give what was found as lines for people."""
    lines = []
    for part, rows in found.items():
        for key, row in rows.items():
            if part == "blocks":
                lines += [f"{part}: {way}: {_seams(of)}" for way, of in row.items()]
                continue
            if "stages" in row:
                most = max(stage["rss_mib"] for stage in row["stages"].values())
                text = f"{row['seconds']:.1f} s, a worker {most:.0f} MiB, the driver {row['rss_mib']:.0f} MiB at most"
            else:
                text = ", ".join(f"{name} {value}" for name, value in row.items())
            lines.append(f"{part}: {key}: {text}")
    return "\n".join(lines)


def _seams(of: Mapping[str, Any]) -> str:
    held, scored = of["held out"], of["run"]
    things = ", ".join(
        f"{name} {metric:.3f}" for name, metric in scored[next(iter(scored))].items() if name != "queries"
    )
    near = f"{held['psnr_near_db']:.1f} dB near a border ({held['pixels_near']:.0%} of pixels)"
    return f"{near}, {held['psnr_away_db']:.1f} elsewhere; {things}"
