"""`langfield bench online`: a walk mapped while it is asked, held against offline lifting and LangSplat."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json, write_json
from langfield.capture.record import record
from langfield.capture.stream import Recorded, open_source
from langfield.commands.bench_options import OnlineBench
from langfield.commands.online_bench.langsplat import langsplat_seconds, quick_seconds
from langfield.commands.online_bench.offline import against_offline
from langfield.commands.online_bench.questions import Questioner
from langfield.commands.online_bench.score import label_names, score_field
from langfield.errors import SettingsError
from langfield.online.features import StageFeatures
from langfield.online.judge import judge
from langfield.online.noise import NoiseSettings, Noisy
from langfield.online.run import run_stream
from langfield.online.session import Online
from langfield.online.start import start
from langfield.online.types import OnlineSettings
from langfield.progress import say
from langfield.run import open_run
from langfield.settings import RunSettings

MAX_REPORT_BYTES = 2**20
HEAD = ("case", "ATE cm", "drift %", "depth L1 cm", "PSNR dB", "2D loc.", "2D mIoU", "live mIoU", "frames/s",
        "language ms", "query p95 ms")  # fmt: skip


def bench_online(source: Path, what: OnlineBench, out: Path) -> dict[str, Any]:
    """Map the walk in every case that OUT does not know yet, and give all of them with a table.

    Args:
        source: an RGB-D stream, with label/ where answers are scored.
        what: cases and sizes.
        out: gets a run for every case, and report.json after each.

    Raises:
        SettingsError: no case is asked for, or OUT is of other sizes.
        FormatError: the stream, its labels or report.json cannot be read.
    """
    if not what.cases or (what.frames is not None and what.frames < 2):
        raise SettingsError("bench online needs a case and two frames or more", f"{what.cases}, {what.frames} frames")
    report = out / "report.json"
    sizes = {"source": source.resolve().name, "frames": what.frames, "seed": what.seed}
    found = read_json(report, MAX_REPORT_BYTES) if report.is_file() else {"sizes": sizes, "cases": {}}
    if not isinstance(found, dict) or found.get("sizes") != sizes:
        raise SettingsError("report.json there is of another walk or size", report, "choose another --out")
    for case in what.cases:
        if case in found["cases"]:
            continue
        say(f"case {case}")
        found["cases"][case] = _case(case, source, what, out)
        write_json(report, found)
    return {**found, "table": as_table(found["cases"])}


def as_table(cases: Mapping[str, Any]) -> str:
    """Give cases as a Markdown table, and below it what was compared."""
    rows = [HEAD, tuple("---" for _ in HEAD), *(_row(name, case) for name, case in cases.items())]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    for name, case in cases.items():
        against, ours, theirs = case["offline"], case["ours_s_a_keyframe"], case["langsplat"]["s_a_keyframe"]
        same = "equal" if against["sums_equal"] and against["codes_differ"] == 0 else "NOT equal"
        lines.append(f"{name}: {same} to offline lifting on the same map and poses ({against['views']} views)")
        lines.append(
            f"{name}: {ours:.2f} s a keyframe for segments, vectors and language, LangSplat's way {theirs:.0f}"
            f" ({theirs / ours:.0f} x; its fit extrapolated)"
        )
    return "\n".join(lines)


def _row(name: str, case: Mapping[str, Any]) -> tuple[str, ...]:
    path, drawn = case["truth"]["path"] or {}, case["truth"]["frames"]
    final, live = case["scores"].get("final", {}), case["scores"].get("live", {})
    language = case["stages"].get("language", {}).get("ms_each")
    values = (
        (_hundred(path.get("ate_rmse")), 2), (_hundred(path.get("drift")), 2), (_hundred(drawn["depth_l1"]), 2),
        (drawn["psnr_db"], 1), (final.get("localisation"), 3),
        (final.get("mIoU"), 3), (live.get("mIoU"), 3), (case["frames_per_s"], 2), (language, 0),
        (case["questions"]["p95_ms"], 0),
    )  # fmt: skip
    return (name, *("" if value is None else f"{value:.{digits}f}" for value, digits in values))


def _hundred(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _case(case: str, source: Path, what: OnlineBench, out: Path) -> dict[str, Any]:
    """Map the walk once, asking meanwhile."""
    folder = out / case
    shutil.rmtree(folder, ignore_errors=True)
    stream = _stream(case, source, out)
    settings = OnlineSettings(poses="given" if case == "given" else "tracked", seed=what.seed)
    features = StageFeatures(RunSettings())
    session = start(folder, settings, features, stream.name, source.resolve())
    names = label_names(source / "label")
    try:
        with Questioner(session, names, what.question_every_s) as asked:
            seconds = run_stream(
                session, stream, what.frames, lambda told: say(told) if isinstance(told, str) else None
            )
        found: dict[str, Any] = _measured(session, stream, seconds) | {"questions": asked.summary()}
        glimpse = session.asker.glimpse
        session.finish()
    finally:
        session.folder.release()
    run = open_run(folder)
    labels = source / "label"
    if names and glimpse is not None:
        found["scores"] = {"final": score_field(run, labels), "live": score_field(run, labels, glimpse.field)}
    quick, language = quick_seconds(run, what.sample_frames), found["stages"].get("language", {})
    return found | {
        "offline": against_offline(run, session, settings),
        "langsplat": langsplat_seconds(run, what.sample_frames),
        "quick_features_s": quick,
        "ours_s_a_keyframe": quick + language.get("ms_each", 0.0) / 1000,
    }


def _stream(case: str, source: Path, out: Path) -> Recorded:
    if case != "noisy":
        return open_source(source)
    noisy = out / "noisy_stream"
    if not (noisy / "rgb.txt").is_file():
        record(Noisy(open_source(source), NoiseSettings(0)), noisy)
    return open_source(noisy)


def _measured(session: Online, stream: Recorded, seconds: float) -> dict[str, Any]:
    tally = session.tally
    return {
        "frames": tally.frames, "frames_per_s": round(tally.frames / max(seconds, 1e-9), 3),
        "outcomes": dict(tally.outcomes), "keyframes": session.count, "gaussians": session.gaussians,
        "stages": tally.table(), "truth": judge(session, stream), "scores": {},
    }  # fmt: skip
