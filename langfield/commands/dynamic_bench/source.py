"""What the rows of `bench dynamic` start from: a moving capture's tracks and captions, and a trained field per seed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from langfield.artefacts import content_key
from langfield.cache import Cache, open_cache
from langfield.caption_stage import Spoken, make_captions
from langfield.capture.types import Capture, Frame
from langfield.codec.types import Codec
from langfield.commands.field_bench.scene import seeded
from langfield.embed import FrameFeatures, embed_frames
from langfield.errors import FormatError
from langfield.evaluate.dynamic_labels import StateQuery, find_intervals, read_outlines, read_queries
from langfield.evaluate.dynamic_score import overlap_table
from langfield.evaluate.labels import Labels
from langfield.evaluate.types import Subject
from langfield.field.types import Field
from langfield.fit import FieldFit, Watched, geometry_path, lift_view, load_state, mean_psnr, save_state, training_view
from langfield.progress import track
from langfield.segment.track import TrackSettings
from langfield.settings import RunSettings
from langfield.stages import make_codec, prepare_frames, segment_frames, split_views
from langfield.suite import text_encoder
from langfield.suite.captions.settings import CaptionSettings
from langfield.suite.types import TextEncoder
from langfield.tracks import make_tracks


@dataclass(frozen=True)
class Source:
    """A moving capture with all that does not depend on a seed."""

    settings: RunSettings
    capture: Capture
    training: Sequence[Frame]
    features: Sequence[FrameFeatures]
    """Of the training views, in their order."""
    codec: Codec
    watched: Watched
    spoken: Spoken
    labels: Labels
    queries: Sequence[StateQuery]
    encoder: TextEncoder
    cache: Cache

    @property
    def key(self) -> str:
        """Hash of what all rows start from."""
        asked = [(q.text, q.thing, q.intervals) for q in self.queries]
        return content_key(
            self.settings.key(), [f.embeddings.stem for f in self.features], self.watched.tracks.key, asked
        )

    def subject(self, field: Field) -> Subject:
        """Give a field made of this capture as protocols take it."""
        training = frozenset(f.name for f in self.training)
        return Subject(field, self.capture.frames, training, self.encoder, _no_features)


def _no_features(frame: Frame) -> None:
    """No question of the table is put to 2D features."""


def open_dynamic(data: Path, settings: RunSettings) -> Source:
    """Run the stages before training, or find them cached, and read the labels.

    Args:
        data: a capture with times, captions and annotations/ in 4D LangSplat's layout.
        settings: of a run of a moving scene.

    Raises:
        FormatError: the capture or its labels cannot be read, or nothing says what its things do.
    """
    cache = open_cache(settings.cache_dir, settings.redo)
    capture = prepare_frames(data, settings, cache)
    training, _ = split_views(capture.frames, settings.hold_out_every)
    features = embed_frames(training, segment_frames(training, settings, cache), settings, cache)
    tracks = make_tracks(training, features, settings.tracks or TrackSettings(), cache)
    captions = (settings.captions or CaptionSettings()).beside(data)
    spoken = make_captions(training, tracks, captions, cache, settings.text_encoder, settings.device)
    file = find_intervals(data / "annotations")
    if spoken is None or file is None:
        raise FormatError("captions, and questions with intervals, are needed", data, "add captions.json, queries.json")
    return Source(
        settings, capture, training, features, make_codec(features, settings, cache),
        Watched(tracks, [f.camera for f in training], spoken), spoken,
        read_outlines(data / "annotations", capture.frames), read_queries(file),
        text_encoder(settings.text_encoder), cache,
    )  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A field of one seed, with states in closed form."""

    field: Field
    about: Mapping[str, Any]
    """Gaussians, PSNR (dB), seconds where they were trained here."""


def train(source: Source, seed: int) -> Trained:
    """Train a seed's Gaussians and their motion, or take them from the cache of runs; give them codes and things."""
    settings = seeded(source.settings, seed)
    if settings.motion is not None:
        settings = replace(settings, motion=replace(settings.motion, seed=seed))
    views = [training_view(f, settings.train_side_px) for f in source.training]
    fit = FieldFit(views, source.capture.points, settings)
    start = time.monotonic()
    path = geometry_path(source.training, source.capture, settings, source.cache)
    if source.cache.has("geometry", path):
        fit.load_state({"photometric": load_state(path), "language": {}})
    else:
        for step in track(range(settings.photometric.steps), f"colour, seed {seed}"):
            fit.step(step)
        save_state(path, fit.photometric.state())
    about = {"colour_s": round(time.monotonic() - start, 1), "gaussians": len(fit.gaussians)}
    pairs = zip(source.features, source.training, strict=True)
    fit.teach_lift([lift_view(f, frame.camera) for f, frame in pairs], source.codec)
    fit.watch(source.watched)
    fit.step(settings.photometric.steps)
    fit.name_things()
    held = [f for f in source.capture.frames if f.name not in {v.name for v in views}]
    held_views = [training_view(f, settings.train_side_px) for f in held]
    psnr = {"psnr_training_db": mean_psnr(fit.gaussians, views, fit.deformation),
            "psnr_held_out_db": mean_psnr(fit.gaussians, held_views, fit.deformation)}  # fmt: skip
    field = fit.field(source.codec, {"image_encoder": source.features[0].encoder()})
    return Trained(field, {**about, **psnr})


def overlap(
    source: Source, field: Field, pairs: set[tuple[int, str]]
) -> dict[tuple[int, str], Float[np.ndarray, " T"]]:
    """Give how far things of a field and labelled things overlap at each step."""
    return overlap_table(source.subject(field), source.labels, pairs)
