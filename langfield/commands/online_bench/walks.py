"""Whole walks through a session, asked all the while: path, pictures, depth, words, and what every stage took."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langfield.capture.stream import Recorded, SourceSettings, open_source
from langfield.capture.types import Frame
from langfield.commands.evaluate import evaluate_protocol, subject_of
from langfield.errors import LangfieldError
from langfield.evaluate.labels import read_labels
from langfield.evaluate.protocols import PROTOCOLS
from langfield.field.instance_build import lift_things
from langfield.fit import lift_view
from langfield.online.features import FeatureMaker
from langfield.online.judge import judge
from langfield.online.run import run_stream
from langfield.online.session import Online
from langfield.online.start import start
from langfield.online.types import OnlineSettings
from langfield.run import Run, open_run

ASK_EVERY_S = 0.5
SCORED = ("lerf-ovs-2d", "lerf-ovs-3d")


@dataclass(frozen=True)
class Walk:
    """One way through one stream."""

    source: Path
    settings: OnlineSettings
    features: FeatureMaker | None
    frames: int | None
    """How many are taken; None for all."""
    folder: Path
    """Of the run; what is there is removed."""


def measure_walk(walk: Walk) -> dict[str, Any]:
    """Map a stream and give what came of it and what it took, as JSON data.

    Raises:
        LangfieldError: the stream cannot be mapped.
    """
    shutil.rmtree(walk.folder, ignore_errors=True)
    source = open_source(walk.source, SourceSettings(most=walk.frames))
    online = start(walk.folder, walk.settings, walk.features, source.name, walk.source.resolve())
    asking = Asking(online, _names(walk.source) if walk.settings.language != "none" else ())
    try:
        with asking:
            seconds = run_stream(online, source, walk.frames, lambda _: None)
        found = {
            "frames": online.tally.frames, "seconds": round(seconds, 2),
            "frames_per_s": round(online.tally.frames / seconds, 3), "outcomes": online.tally.outcomes,
            "keyframes": online.count, "gaussians": online.gaussians, "stages": online.tally.table(),
            "asked": asking.found(), **_judged(online, source),
        }  # fmt: skip
        glimpse = online.asker.glimpse
        begun = time.perf_counter()
        run = open_run(online.finish())
    finally:
        online.folder.release()
    found["finish_s"] = round(time.perf_counter() - begun, 2)
    labels = walk.source / "label"
    if run.field.codes is not None and labels.is_dir():
        found["words"] = _words(run, labels, walk.folder / "eval")
        if glimpse is not None:  # as it would have answered after the last keyframe, from the same views
            found["words_live"] = _words(replace(run, field=glimpse.field), labels, walk.folder / "eval_live")
    if walk.settings.language == "lift":
        found["offline"] = beside_offline(run, walk.settings)
    return found


def _judged(online: Online, source: Recorded) -> dict[str, Any]:
    truth = judge(online, source)
    return {"path": truth["path"], "others_drawn": truth["frames"], "keyframes_drawn": truth["keyframes"]}


class Asking:
    """Asks names of things in turn, from a thread of its own, twice a second while frames come in.

    Args:
        online: who is asked.
        names: what for; without any, nothing is asked.
    """

    def __init__(self, online: Online, names: Sequence[str]) -> None:
        self._online, self._names = online, names
        self._done, self._spent, self._wrong = threading.Event(), list[float](), list[str]()
        self._thread = threading.Thread(target=self._ask, name="langfield-bench-asking", daemon=True)

    def __enter__(self) -> Asking:
        if self._names:
            self._online.asker.load()
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._names:
            self._thread.join()

    def _ask(self) -> None:
        turn = 0
        while not self._done.wait(ASK_EVERY_S):
            glimpse = self._online.asker.glimpse
            if glimpse is None or glimpse.field.codes is None:
                continue
            begun = time.perf_counter()
            try:
                self._online.ask(self._names[turn % len(self._names)])
            except LangfieldError as error:
                self._wrong.append(str(error))
            self._spent.append(time.perf_counter() - begun)
            turn += 1

    def found(self) -> dict[str, Any] | None:
        """Give milliseconds of the answers, without the first, which loads what all need; None where none was given."""
        spent = 1000 * np.array(self._spent[1:])
        if not len(spent):
            return None
        median, high = np.quantile(spent, [0.5, 0.95])
        return {"answers": len(spent), "median_ms": round(float(median), 1), "p95_ms": round(float(high), 1),
                "mapping_waited_s": round(self._online.asker.turns.waited_s, 2), "errors": self._wrong[:3]}  # fmt: skip


def _names(folder: Path) -> tuple[str, ...]:
    """Give the names that a stream's labels ask for."""
    if not (folder / "label").is_dir():
        return ("thing",)
    source = open_source(folder)
    frames = [Frame(shot.picture.name, shot.picture, source.camera) for shot in source.shots]
    return tuple(sorted({query.text for query in read_labels(folder / "label", frames).queries}))


def _words(run: Run, labels: Path, folder: Path) -> dict[str, Any]:
    """Score a run by its labels, under each protocol by itself."""
    subject = subject_of(run)
    found = {name: evaluate_protocol(PROTOCOLS[name], subject, labels, folder / name) for name in SCORED}
    return {
        name: {one.source: {m: round(one.value(m), 4) for m in one.metrics} | {"queries": one.queries}
               for one in evaluated.summaries}
        for name, evaluated in found.items()
    }  # fmt: skip


def beside_offline(run: Run, settings: OnlineSettings) -> dict[str, Any]:
    """Lift the finished run's own views anew with the offline stage, and give how far its codes differ.

    Returns:
        share of codes that are equal, largest relative difference of reliability, and whether things are the same.
    """
    codes, codec, reliability = run.field.codes, run.field.codec, run.field.reliability
    if codes is None or codec is None or reliability is None:
        raise LangfieldError("the run has no lifted codes", run.path)
    features = {frame.name: run.features(frame) for frame in run.frames if frame.name in run.training_names}
    views = [lift_view(f, frame.camera) for frame in run.frames if (f := features.get(frame.name)) is not None]
    language = settings.language_map
    lifted, things = lift_things(run.field.gaussians, views, codec, language.lift, language.instances)
    apart = (lifted.reliability - reliability).abs() / lifted.reliability.abs().clamp_min(1e-6)
    mine = run.field.instances
    same = mine is not None and torch.equal(mine.rows, things.rows) and torch.equal(mine.first, things.first)
    return {
        "views": len(views), "equal_codes": float((lifted.codes == codes).all(dim=-1).float().mean()),
        "reliability_apart": float(apart.max()), "same_things": same,
    }  # fmt: skip
