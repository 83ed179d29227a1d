"""What language costs where everything else is given: ours a keyframe, and LangSplat's way a frame."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from langfield.cache import Cache
from langfield.capture.stream import Recorded
from langfield.capture.types import Frame
from langfield.codec import fit_autoencoder
from langfield.embed import FrameFeatures
from langfield.field.language import LanguageFit, LanguageSettings, latent_targets
from langfield.fit import language_view, training_view
from langfield.online.features import QUICK, StageFeatures
from langfield.raster.threads import kernels_only
from langfield.run import Run
from langfield.settings import RunSettings

T = TypeVar("T")
STEPS_TIMED = 12
LANGSPLAT_STEPS = 30_000
"""Of LangSplat's language training, for each of its three levels; here one step does all three."""


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Give the seconds that something took, and what came of it."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def feature_seconds(source: Recorded, settings: RunSettings, sample: int) -> dict[str, float]:
    """Make the features of a few frames without any cache; gives seconds a frame, models loaded before.

    Args:
        source: the stream.
        settings: of segmenter and encoder.
        sample: how many frames, evenly spread; one more loads the models.
    """
    rows = np.linspace(0, len(source) - 1, sample + 1).round().astype(int)
    with tempfile.TemporaryDirectory() as folder:
        maker, spent, many = StageFeatures(settings, Cache(Path(folder))), list[float](), list[int]()
        for row in rows:
            frame = source[int(row)]
            seconds, found = timed(lambda frame=frame, row=row: maker(frame, source.shots[int(row)].picture))
            spent.append(seconds)
            many.append(len(found.vectors))
    return {"seconds": round(float(np.mean(spent[1:])), 3), "segments": float(np.mean(many[1:])), "sample": sample}


def measure_costs(source: Recorded, run: Run, sample: int) -> dict[str, Any]:
    """Give what features cost live and offline, and what LangSplat's way costs a frame of the same stream.

    LangSplat makes features of every frame, fits an autoencoder, and trains codes on drawn views. Features are timed
    on a sample of frames, training on a few steps, and the rest is calculated.

    Args:
        source: the stream.
        run: of our mode on it, whose Gaussians and features are taken.
        sample: frames whose features are timed.
    """
    live, offline = feature_seconds(source, QUICK, sample), feature_seconds(source, RunSettings(), sample)
    views = [(f, found) for f in run.frames if (found := run.features(f)) is not None]
    settings = RunSettings()
    fit_s, codec = timed(lambda: fit_autoencoder(_vectors(views), settings.codec))
    step_s = _step_seconds(run, views[0], codec)
    frames = len(source)
    few, all_of_them = (step_s * steps / frames for steps in (LanguageSettings().steps, LANGSPLAT_STEPS))
    before = offline["seconds"] + fit_s / frames
    return {
        "features_live": live, "features_offline": offline,
        "langsplat": {
            "features_s": offline["seconds"], "autoencoder_s": round(fit_s, 2), "step_s": round(step_s, 4),
            "steps_timed": STEPS_TIMED, "frames": frames,
            "frame_s": round(before + few, 3), "frame_s_30000_steps": round(before + all_of_them, 3),
        },
    }  # fmt: skip


def _vectors(views: list[tuple[Frame, FrameFeatures]]) -> Any:
    import torch

    return torch.cat([found.load()[1] for _, found in views])


def _step_seconds(run: Run, view: tuple[Frame, FrameFeatures], codec: Any) -> float:
    """Time LangSplat's training of codes: one view, all three levels."""
    frame, found = view
    shown = training_view(frame, 320)
    target = language_view(found, codec, shown)
    codes, valid = latent_targets(target.ids, target.codes)
    fit = LanguageFit(run.field.gaussians, 3, target.codes.shape[1], LanguageSettings(gather_steps=0))
    with kernels_only():
        spent = [timed(lambda i=i: fit.step(i, shown.camera, codes, valid))[0] for i in range(STEPS_TIMED + 2)]
    return float(np.median(spent[2:]))
