"""What LangSplat takes for the same keyframes on this machine: a sample is measured, published counts multiplied."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from langfield.capture.images import read_picture
from langfield.capture.types import Frame
from langfield.codec.autoencoder import fit_autoencoder
from langfield.commands.field_bench.baseline import PUBLISHED_STEPS, fit_until_still, paint
from langfield.commands.field_bench.rows import TIMED_EPOCHS, TIMED_STEPS, published
from langfield.fit import lift_view
from langfield.online.features import QUICK
from langfield.run import Run
from langfield.segment import segmenter
from langfield.segment.types import SegmentSettings
from langfield.settings import RunSettings
from langfield.suite import image_encoder
from langfield.suite.crops import embed_segments

PUBLISHED_PROMPTS = 32
"""Points a side that SAM is prompted with."""


def langsplat_seconds(run: Run, sample: int) -> dict[str, float]:
    """Give the seconds a keyframe that LangSplat's way takes: masks, crops at three levels, autoencoder, fit.

    Args:
        run: a finished run whose keyframes are taken.
        sample: keyframes whose masks and crops are made, evenly spread.

    Returns:
        seconds a keyframe of the parts and, as `s_a_keyframe`, of all; LangSplat is told only of keyframes.
    """
    frames = [f for f in run.frames if f.name in run.training_names]
    settings = RunSettings(segment=SegmentSettings(points_per_side=PUBLISHED_PROMPTS))
    masks_s, crops_s = _features_s(_sample(run, sample), settings)
    features = [(run.features(f), f.camera) for f in frames]
    views = [lift_view(found, camera) for found, camera in features if found is not None]
    full = published(settings)
    start = time.perf_counter()
    codec = fit_autoencoder(torch.cat([v.vectors for v in views]), replace(full, epochs=TIMED_EPOCHS))
    codec_s = (time.perf_counter() - start) * full.epochs / TIMED_EPOCHS
    painted = paint(views, codec, settings.train_side_px)
    ms = fit_until_still(run.field.gaussians, painted, settings.seed, TIMED_STEPS).ms_per_step
    parts = {
        "masks_s": masks_s,
        "crops_s": crops_s,
        "autoencoder_s": codec_s / len(frames),
        "fit_s": PUBLISHED_STEPS * ms / 1000 / len(frames),
    }
    return {**parts, "ms_a_step": ms, "s_a_keyframe": sum(parts.values())}


def quick_seconds(run: Run, sample: int) -> float:
    """Give the seconds a keyframe that online mapping's own quick masks and vectors take, made afresh."""
    return sum(_features_s(_sample(run, sample), QUICK))


def _sample(run: Run, sample: int) -> list[Frame]:
    frames = [f for f in run.frames if f.name in run.training_names]
    return frames[:: max(1, len(frames) // max(sample, 1))][: max(sample, 1)]


def _features_s(frames: Sequence[Frame], settings: RunSettings) -> tuple[float, float]:
    """Give the mean seconds of masks and of embeddings, models loaded before."""
    finder, encoder = segmenter(settings.segmenter, settings.segment), image_encoder(settings.image_encoder)
    encoder.encode_images([read_picture(frames[0].path)])
    masks_s = crops_s = 0.0
    for frame in frames:
        picture, start = read_picture(frame.path), time.perf_counter()
        segments = finder.segment(picture)
        masks_s, start = masks_s + time.perf_counter() - start, time.perf_counter()
        embed_segments(picture, segments, encoder)
        crops_s += time.perf_counter() - start
    return masks_s / len(frames), crops_s / len(frames)
