"""What every row of the table starts from: a capture's views, 2D features and labels, and Gaussians per seed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import content_key, read_json, write_json
from langfield.cache import Cache, open_cache
from langfield.capture.types import Capture, Frame
from langfield.embed import FrameFeatures, embed_frames
from langfield.evaluate.labels import Labels, read_labels
from langfield.evaluate.types import Features, Subject
from langfield.field.types import Field
from langfield.fit import FieldFit, geometry_path, load_state, mean_psnr, save_state, training_view
from langfield.progress import track
from langfield.raster.types import Gaussians
from langfield.settings import RunSettings
from langfield.stages import prepare_frames, segment_frames, split_views
from langfield.suite import text_encoder
from langfield.suite.types import TextEncoder

FIRST_SEED = RunSettings().seed
"""Seed 0 of the table is what a run has that is told nothing, so that a run's colour stage serves here too."""


@dataclass(frozen=True)
class Scene:
    """A capture with all that does not depend on a seed."""

    name: str
    settings: RunSettings
    capture: Capture
    training: Sequence[Frame]
    features: Sequence[FrameFeatures]
    """Of the training views, in their order."""
    labels: Labels
    encoder: TextEncoder
    cache: Cache

    @property
    def key(self) -> str:
        """Hash of what all rows start from."""
        asked = [(q.frame, q.text, list(q.polygons)) for q in self.labels.queries]
        return content_key([f.embeddings.stem for f in self.features], asked, self.settings.text_encoder)

    def vectors(self) -> Float[Tensor, "M D"]:
        """Read the embeddings of all training views."""
        return torch.cat([f.load()[1] for f in self.features])

    def subject(self, field: Field) -> Subject:
        """Give a field made of this scene as protocols take it."""
        found = dict(zip((f.name for f in self.training), self.features, strict=True))

        def features(frame: Frame) -> Features | None:
            if frame.name not in found:
                return None
            segments, vectors = found[frame.name].load()
            return segments.ids, vectors

        return Subject(field, self.capture.frames, frozenset(found), self.encoder, features)

    def provenance(self) -> dict[str, Any]:
        """Give what a field made here says of its image encoder."""
        return {"image_encoder": self.features[0].encoder()}


def open_scene(data: Path, settings: RunSettings) -> Scene:
    """Run the stages before training, or find them cached, and read the labels.

    Args:
        data: a capture with a folder label/ in the LERF-OVS layout.
        settings: of a run; what they say of codec and language stage is not used.

    Raises:
        FormatError: the capture or its labels cannot be read.
    """
    cache = open_cache(settings.cache_dir, settings.redo)
    capture = prepare_frames(data, settings, cache)
    training, _ = split_views(capture.frames, settings.hold_out_every)
    features = embed_frames(training, segment_frames(training, settings, cache), settings, cache)
    labels = read_labels(data / "label", capture.frames)
    name = data.resolve().name
    return Scene(name, settings, capture, training, features, labels, text_encoder(settings.text_encoder), cache)


def seeded(settings: RunSettings, seed: int) -> RunSettings:
    """Give the settings with everything random drawn by `seed`, 0 for a run's defaults."""
    return replace(
        settings,
        seed=FIRST_SEED + seed,
        photometric=replace(settings.photometric, seed=seed),
        codec=replace(settings.codec, seed=seed),
        codebook=replace(settings.codebook, seed=seed),
    )


@dataclass(frozen=True)
class Geometry:
    """Trained Gaussians of one seed."""

    gaussians: Gaussians
    key: str
    about: Mapping[str, Any]
    """Gaussians and PSNR (dB) on training views; seconds where they were trained here."""


def train_geometry(scene: Scene, seed: int) -> Geometry:
    """Train the Gaussians of a seed, or take them from the cache of runs."""
    settings = seeded(scene.settings, seed)
    views = [training_view(f, settings.train_side_px) for f in scene.training]
    fit = FieldFit(views, scene.capture.points, settings)
    path = geometry_path(scene.training, scene.capture, settings, scene.cache)
    known = path.with_suffix(".bench.json")
    if scene.cache.has("geometry", path):
        fit.load_state({"photometric": load_state(path), "language": {}})
    else:
        start = time.monotonic()
        for step in track(range(settings.photometric.steps), f"colour, seed {seed}"):
            fit.step(step)
        save_state(path, fit.photometric.state())
        write_json(known, {"seconds": round(time.monotonic() - start, 1)})
    about = {"gaussians": len(fit.gaussians), "psnr_training_db": mean_psnr(fit.gaussians, views)}
    return Geometry(fit.gaussians, path.stem, {**about, **(read_json(known) if known.is_file() else {})})
