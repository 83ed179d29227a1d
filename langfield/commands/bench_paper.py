"""`langfield bench paper`: Online Language Splatting, apart and joint, and our lifting on the same frames."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from langfield.artefacts import plain
from langfield.capture.rgbd import at_size
from langfield.capture.stream import RgbdFrame, open_source
from langfield.capture.types import Camera, Frame
from langfield.codec.two_stage_fit import read_stage_one
from langfield.commands.bench_options import PaperBench
from langfield.commands.dense import pictures_of
from langfield.errors import SettingsError
from langfield.evaluate.labels import Query, read_labels
from langfield.online.features import StageFeatures
from langfield.online.language import LanguageMap
from langfield.online.language_lift import LiftedLanguage
from langfield.online.paper.compare import Material, Row, compare
from langfield.online.paper.settings import PaperSettings
from langfield.online.paper.teacher import STAGE_ONE_FILE
from langfield.online.types import OnlineSettings
from langfield.progress import track
from langfield.settings import RunSettings
from langfield.suite import text_encoder
from langfield.suite.dense import FOLDER, load

HEAD = (
    "| language | PSNR, dB | ATE RMSE, cm | mIoU | language, ms a keyframe | at the end, ms | s a frame | keyframes "
    "| Gaussians |"
)


def bench_paper(source: Path, what: PaperBench) -> dict[str, Any]:
    """Run every way over the same frames, and give rows and a table.

    Raises:
        SettingsError: nothing is asked for.
        FormatError: the stream or its labels cannot be read.
        EnvironmentProblem: weights are not on this machine.
    """
    if what.frames < 2 or not what.modes:
        raise SettingsError("bench paper needs two frames or more and a mode", f"{what.frames} frames")
    settings = OnlineSettings(poses=what.poses, side_px=what.side_px, seed=what.seed)
    raw = [frame for frame, _ in zip(open_source(source), range(what.frames), strict=False)]
    frames = [at_size(frame, what.side_px) for frame in raw]
    candidates = raw[:: settings.keyframe_every]
    material = Material(frames, **_features(source, candidates, what), queries=_queries(source, frames))
    material = replace(material, texts=text_encoder() if material.queries else None)
    lifted: Callable[[], LanguageMap] = lambda: LiftedLanguage(settings.language_map, settings.caps)  # noqa: E731
    stage_one = read_stage_one(FOLDER / STAGE_ONE_FILE)
    rows = compare(material, settings, stage_one, lifted, what.modes, PaperSettings(seed=what.seed))
    return {"what": plain(what), "rows": [plain(row) for row in rows], "table": as_table(rows)}


def as_table(rows: Sequence[Row]) -> str:
    """Give rows as a Markdown table."""
    lines = [
        f"| {r.mode} | {r.psnr_db:.2f} | {100 * r.ate_m:.2f} | {r.miou:.3f} | {r.language_ms:.0f} | {r.finish_ms:.0f} "
        f"| {r.frame_s:.2f} | {r.keyframes} | {r.gaussians} |"
        for r in rows
    ]
    return "\n".join([HEAD, "|---" * HEAD.count(" |") + "|", *lines])


def _features(source: Path, frames: Sequence[RgbdFrame], what: PaperBench) -> dict[str, Any]:
    """Make dense features, and where lifting is asked for masks with embeddings, of what may become a keyframe."""
    found: dict[str, Any] = {}
    if {"disentangled", "joint"} & set(what.modes):
        encoder = load()
        found["dense"] = {f.index: encoder.encode(f.image) for f in track(list(frames), "dense features")}
    if "lift" in what.modes:
        maker, paths = StageFeatures(RunSettings()), {p.name: p.path for p in pictures_of(source)}
        small = [(f, paths[Path(f.name).name]) for f in frames]
        found["segments"] = {f.index: maker(at_size(f, what.side_px), p) for f, p in track(small, "masks")}
    return found


def _queries(source: Path, frames: Sequence[RgbdFrame]) -> list[Query]:
    """Read the labels of these frames, at their size; none where the stream has none."""
    if not (source / "label").is_dir():
        return []
    nowhere = Camera(torch.eye(3), 1, 1, torch.eye(4))
    by_file = {Path(f.name).name: f for f in frames}
    known = {p.name: p.path for p in pictures_of(source) if p.name in by_file}
    queries = []
    for query in read_labels(source / "label", [Frame(n, p, nowhere) for n, p in known.items()]).queries:
        frame = by_file[query.frame]
        share = frame.image.shape[1] / _width(known[query.frame])
        queries.append(replace(query, frame=frame.name, polygons=tuple(np.asarray(p) * share for p in query.polygons)))
    return queries


def _width(path: Path) -> int:
    from langfield.capture.images import opened

    with opened(path) as picture:
        return picture.width
