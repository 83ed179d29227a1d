"""`langfield bench online`: whole walks on a rendered and a real stream, and what language costs; resumable."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from langfield.artefacts import content_key, read_json, write_json
from langfield.cache import Cache
from langfield.capture.record import record
from langfield.capture.stream import SourceSettings, open_source
from langfield.commands.bench_options import OnlineBench
from langfield.commands.online_bench.costs import measure_costs
from langfield.commands.online_bench.walks import Walk, measure_walk
from langfield.errors import FormatError, LangfieldError
from langfield.online.features import StageFeatures, quick_settings
from langfield.online.measure_language import made_updates, measure_updates
from langfield.online.noise import Noisy
from langfield.online.types import OnlineSettings
from langfield.progress import say
from langfield.run import open_run
from langfield.settings import RunSettings

VERSION = 2


def bench_online(what: OnlineBench) -> dict[str, Any]:
    """Measure part by part, writing what is found after each; parts that are there are not measured again.

    Returns:
        by part what it found, or under "skipped" why it was not measured; and a table.
    """
    file = what.out / "online.json"
    key = content_key(VERSION, str(what.scene), what.frames, what.sample)
    known = _known(file, key)
    for name, measure in _parts(what).items():
        if name in known and name not in what.redo:
            continue
        say(f"bench online: {name}")
        try:
            known[name] = measure()
        except LangfieldError as error:
            known[name] = {"skipped": str(error)}
        write_json(file, {"key": key, "parts": known})
    compared = against(known)
    return {"parts": known, "compared": compared, "table": table(known, compared)}


def _parts(what: OnlineBench) -> Mapping[str, Callable[[], dict[str, Any]]]:
    given, tracked = OnlineSettings(poses="given"), OnlineSettings(poses="tracked")
    paper = replace(given, language="online-langsplat")
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "given": partial(_walk, what, "given", what.scene, given),
        "tracked": partial(_walk, what, "tracked", what.scene, tracked),
        "noisy": partial(_noisy, what, tracked),
        "stale": partial(_walk, what, "stale", what.scene, replace(given, freshen_s=0.0)),
        "live": partial(_live, what, tracked),
        "online-langsplat": partial(_walk, what, "online-langsplat", what.scene, paper),
        "costs": partial(_costs, what),
        "language update": lambda: measure_updates(*made_updates()),
    }
    if what.real is not None:
        # nine frames are one keyframe or two; every frame may become one
        real = replace(tracked, language="none", keyframe_every=1)
        parts["real"] = partial(_walk, what, "real", what.real, real)
    return {name: part for name, part in parts.items() if not what.only or name in what.only}


def _walk(what: OnlineBench, name: str, source: Path, settings: OnlineSettings) -> dict[str, Any]:
    features = StageFeatures(RunSettings()) if settings.language == "lift" else None
    return measure_walk(Walk(source, settings, features, what.frames, what.out / name))


def _live(what: OnlineBench, settings: OnlineSettings) -> dict[str, Any]:
    """Walk with the features of a camera that moves, none of them made before."""
    with tempfile.TemporaryDirectory() as folder:
        features = StageFeatures(quick_settings(), Cache(Path(folder)))
        features.load()
        return measure_walk(Walk(what.scene, settings, features, what.frames, what.out / "live"))


def _noisy(what: OnlineBench, settings: OnlineSettings) -> dict[str, Any]:
    """Walk through the scene as a real camera would have seen it (`scenes/make_noisy.py`)."""
    folder = what.out / "noisy_source"
    if not (folder / "rgb.txt").is_file():
        record(Noisy(open_source(what.scene, SourceSettings(most=what.frames))), folder)
    label = folder / "label"
    if (what.scene / "label").is_dir() and not label.exists():
        label.symlink_to((what.scene / "label").resolve())
    return _walk(what, "noisy", folder, settings)


def _costs(what: OnlineBench) -> dict[str, Any]:
    source = open_source(what.scene, SourceSettings(most=what.frames))
    return measure_costs(source, open_run(what.out / "live"), what.sample)


def _known(file: Path, key: str) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = read_json(file)
    parts = found.get("parts") if isinstance(found, dict) else None
    if not isinstance(parts, dict):
        raise FormatError("not a report of bench online", file, "choose another folder with --out")
    return parts if found.get("key") == key else {}


def against(parts: Mapping[str, Any]) -> dict[str, float]:
    """Hold our way against LangSplat's and against the paper's online one, where both were measured.

    With LangSplat's twice: language alone (ours: features and language), and all that makes a map (ours: tracking,
    mapping, showing and saving too; LangSplat's cameras are given).
    """
    found: dict[str, float] = {}
    ours, costs, paper = (parts.get(name, {}) for name in ("live", "costs", "online-langsplat"))
    if "stages" in ours and "langsplat" in costs:
        spent = {name: row["seconds"] for name, row in ours["stages"].items()}
        mine = {"language_frame_s": spent["features"] + spent["language"], "frame_s": sum(spent.values())}
        for name, seconds in mine.items():
            found[f"our_{name}"] = round(seconds / ours["frames"], 3)
            found[f"langsplat_{name}_over_ours"] = round(costs["langsplat"][name] * ours["frames"] / seconds, 1)
    given = parts.get("given", {})
    if "stages" in given and "stages" in paper:
        mine, theirs = (p["stages"]["language"]["ms_each"] for p in (given, paper))
        found["paper_language_ms_over_ours"] = round(theirs / mine, 2)
    for name in ("given", "stale", "tracked", "noisy"):
        part = parts.get(name, {})
        if "words" in part and "words_live" in part:
            live, finished = (part[kind]["lerf-ovs-2d"]["things"]["mIoU"] for kind in ("words_live", "words"))
            found[f"{name}_live_mIoU_over_finished"] = round(live / max(finished, 1e-9), 4)
    return found


def table(parts: Mapping[str, Any], compared: Mapping[str, float]) -> str:
    """Give the measurements as lines for people."""
    lines = []
    for name, part in parts.items():
        if "skipped" in part:
            lines.append(f"{name}: not measured, {part['skipped']}")
        elif "stages" in part:
            lines += _walk_lines(name, part)
        else:
            lines.append(f"{name}: {part}")
    return "\n".join([*lines, *(f"{name}: {value}" for name, value in compared.items())])


def _walk_lines(name: str, part: Mapping[str, Any]) -> list[str]:
    path = part["path"]
    where = "no true poses" if path is None else f"ATE {100 * path['ate_rmse']:.2f} cm, drift {path['drift']:.2%}"
    size = f"{part['keyframes']} keyframes, {part['gaussians']} Gaussians"
    lines = [f"{name}: {part['frames_per_s']} frames/s, {size}; {where}"]
    drawn = [("keyframes", part["keyframes_drawn"]), ("others", part["others_drawn"])]
    for kind, one in drawn:
        if one["psnr_db"] is not None:
            depth = "unknown" if one["depth_l1"] is None else f"{100 * one['depth_l1']:.2f} cm"
            lines.append(f"  {kind}: PSNR {one['psnr_db']:.2f} dB, depth L1 {depth}")
    lines += [f"  {s}: {r['ms_each']} ms, {r['times']} times, {r['share']:.0%}" for s, r in part["stages"].items()]
    for kind, when in (("words", "finished"), ("words_live", "while it grew")):
        for protocol, sources in part.get(kind, {}).items():
            lines += [f"  {when}, {protocol}, {source}: {values}" for source, values in sources.items()]
    lines += [f"  {what}: {part[what]}" for what in ("asked", "offline") if part.get(what)]
    return lines
