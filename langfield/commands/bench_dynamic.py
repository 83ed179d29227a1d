"""`langfield bench dynamic`: when things are in a state, ours beside 4D LangSplat's ways, over seeds; resumable."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from langfield.artefacts import read_json, write_json
from langfield.commands.bench_options import DynamicBench
from langfield.commands.dynamic_bench.rows import Answers, Row, answers, names, states_of
from langfield.commands.dynamic_bench.source import Source, Trained, open_dynamic, overlap, train
from langfield.errors import FormatError, SettingsError
from langfield.evaluate.dynamic import TimeScore, score_time, summarise_time
from langfield.evaluate.dynamic_score import score_things_over_time, step_times
from langfield.field.status import StatusTracks
from langfield.progress import say
from langfield.settings import RunSettings, moving_settings
from langfield.suite.sentences import SentenceEncoder, sentence_encoder

VERSION = 1
Overlaps = dict[tuple[int, str], Float[np.ndarray, " T"]]
SHOWN = (
    "Acc (keyword)", "vIoU (keyword)", "Acc (sentence)", "vIoU (sentence)", "false active", "answered absent", "missed",
)  # fmt: skip


def bench_dynamic(data: Path, what: DynamicBench, settings: RunSettings | None = None) -> dict[str, Any]:
    """Measure row by row and seed by seed, writing what is found after each; what is there is not measured again.

    Args:
        data: a capture with times, captions and annotations/.
        what: rows and seeds.
        settings: of a run; the method's own by default.

    Returns:
        by seed the field's quality and its rows, and a table of means over seeds.

    Raises:
        SettingsError: a row is not known.
    """
    chosen = {key: row for key, row in names().items() if not what.only or key in what.only}
    if what.only and len(chosen) < len(set(what.only)):
        raise SettingsError("no such row", ", ".join(what.only), f"choose among: {' | '.join(names())}")
    source = open_dynamic(data, settings or moving_settings())
    file, name = what.out / "dynamic.json", f"{VERSION} {source.key}"
    known = _known(file, name)

    def keep() -> None:
        write_json(file, {"key": name, "seeds": known})

    encoder = sentence_encoder(source.spoken.captions.provenance["encoder"]["name"])
    for seed in range(what.seeds):
        part = known.setdefault(f"seed {seed}", {"rows": {}})
        missing = [row for key, row in chosen.items() if key not in part["rows"]]
        if missing:
            say(f"bench dynamic: seed {seed}")
            _measure((source, encoder, train(source, seed), seed), part, missing, keep)
    found = {"seeds": known, "means": means(known, list(chosen))}
    return {**found, "table": table(found["means"], known)}


def _measure(
    given: tuple[Source, SentenceEncoder, Trained, int], part: dict[str, Any], missing: Sequence[Row],
    keep: Callable[[], None],
) -> None:  # fmt: skip
    """Fill in what one seed lacks."""
    source, encoder, trained, seed = given
    part["field"] = dict(trained.about)
    if "things" not in part:
        part["things"] = things_of(source, trained)
        keep()
    overlaps: Overlaps = {}
    states: dict[tuple[str, int], StatusTracks] = {}
    for row in missing:
        say(f"bench dynamic: seed {seed}, {row.key}")
        start = time.monotonic()
        of = row.states, row.count
        if of not in states:
            states[of] = states_of(row, source, trained.field, seed)
        ask = answers(row, source, replace(trained.field, status_tracks=states[of]), encoder)
        found = score_row(source, trained, ask, overlaps)
        part["rows"][row.key] = {**found, "seconds": round(time.monotonic() - start, 1)}
        keep()


def things_of(source: Source, trained: Trained) -> dict[str, Any]:
    """Give mIoU and mAcc of things at any time, and each thing's IoU."""
    rows = score_things_over_time(source.subject(trained.field), source.labels)
    values = [row.values() for row in rows]
    return {
        "mIoU": float(np.mean([v["mIoU"] for v in values])), "mAcc": float(np.mean([v["mAcc"] for v in values])),
        "of": {row.text: round(row.iou, 4) for row in rows},
    }  # fmt: skip


def score_row(source: Source, trained: Trained, ask: Answers, overlaps: Overlaps) -> dict[str, Any]:
    """Give one row's numbers, and each question's."""
    replies = [ask(q.text) for q in source.queries]
    pairs = {(thing, q.thing) for (thing, _, _), q in zip(replies, source.queries, strict=True)} - overlaps.keys()
    if pairs:
        overlaps |= overlap(source, trained.field, pairs)
    steps = step_times(source.capture.frames)
    scores: list[TimeScore] = []
    for (thing, active, times_s), query in zip(replies, source.queries, strict=True):
        nearest = np.abs(np.asarray(times_s)[None] - steps[:, None]).argmin(axis=1)
        scores.append(score_time(query, active[nearest], overlaps[thing, query.thing]))
    rows = [
        {"text": s.query.text, "kind": s.query.kind, "occurs": s.query.occurs, "acc": round(s.accuracy, 4),
         "viou": None if s.viou is None else round(s.viou, 4), "active": round(s.called_active, 4)}
        for s in scores
    ]  # fmt: skip
    return {**{k: round(v, 4) for k, v in summarise_time(scores).items()}, "queries": rows}


def means(seeds: Mapping[str, Any], chosen: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Give every row's mean over seeds, and its lowest and highest."""
    found: dict[str, dict[str, Any]] = {}
    for key in chosen:
        rows = [s["rows"][key] for s in seeds.values() if key in s["rows"]]
        found[key] = {
            name: {"mean": float(np.mean(values)), "low": min(values), "high": max(values)}
            for name in rows[0]
            if name in SHOWN or name in ("Acc", "vIoU")
            for values in [[row[name] for row in rows]]
        }
    return found


def table(found: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, Any]) -> str:
    """Give the means as lines for people."""
    head = " | ".join(["row", *SHOWN])
    lines = [f"| {head} |", "|" + "---|" * (len(SHOWN) + 1)]
    for key, values in found.items():
        cells = [_cell(values[name]) if name in values else "" for name in SHOWN]
        lines.append(f"| {' | '.join([key, *cells])} |")
    fields = [
        f"{name}: things mIoU {s['things']['mIoU']:.3f}, mAcc {s['things']['mAcc']:.3f}; {s['field']}"
        for name, s in seeds.items()
    ]
    return "\n".join([*lines, "", *fields])


def _cell(value: Mapping[str, float]) -> str:
    same = value["high"] - value["low"] < 0.0005
    return f"{value['mean']:.3f}" + ("" if same else f" ({value['low']:.3f}–{value['high']:.3f})")


def _known(file: Path, key: str) -> dict[str, Any]:
    if not file.is_file():
        return {}
    found = read_json(file)
    seeds = found.get("seeds") if isinstance(found, dict) else None
    if not isinstance(seeds, dict):
        raise FormatError("not a report of bench dynamic", file, "choose another folder with --out")
    return seeds if found.get("key") == key else {}
