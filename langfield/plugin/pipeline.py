"""The whole corridor behind nerfstudio's pipeline: 2D stages, then one step counter over colour and language."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import tyro
from nerfstudio.pipelines.base_pipeline import VanillaPipeline, VanillaPipelineConfig

from langfield.cache import open_cache
from langfield.caption_stage import make_captions
from langfield.cluster.session import Session
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures, embed_frames
from langfield.fit import (
    FieldFit,
    Watched,
    geometry_path,
    language_view,
    lift_view,
    load_state,
    mean_psnr,
    save_state,
)  # fmt: skip
from langfield.interchange import feature_bytes
from langfield.plugin.datamanager import LangsplatDataManager
from langfield.plugin.model import LangsplatModel
from langfield.run import ManifestHead, provenance_of, write_results, write_snapshot
from langfield.settings import RunSettings
from langfield.stages import make_codec, segment_frames
from langfield.tracks import make_tracks

CLUSTER_STAGES = ("frames", "segments", "embeddings")
"""Stages whose artefacts a cluster has left before the pipeline is set up."""


@dataclass
class LangsplatPipelineConfig(VanillaPipelineConfig):
    """Settings of the run, and nerfstudio's own parts."""

    _target: type = field(default_factory=lambda: LangsplatPipeline)
    settings: tyro.conf.AvoidSubcommands[RunSettings] = field(default_factory=RunSettings)
    """From a capture to a field."""


class LangsplatPipeline(VanillaPipeline):
    """Holds the capture, the 2D features, the codec and the fit.

    Args:
        config: settings; the data folder is in its data manager.
        device, test_mode, world_size, local_rank, grad_scaler: as nerfstudio passes them.
    """

    config: LangsplatPipelineConfig
    datamanager: LangsplatDataManager
    model: LangsplatModel

    def __init__(self, config: LangsplatPipelineConfig, device: str, test_mode: Any = "val",
                 world_size: int = 1, local_rank: int = 0, grad_scaler: Any = None) -> None:  # fmt: skip
        config.datamanager.dataparser.settings = config.settings  # pyright: ignore
        self.seconds: dict[str, float] = {}
        start = time.monotonic()
        super().__init__(config, device, test_mode, world_size, local_rank, grad_scaler)
        self.seconds["frames"] = time.monotonic() - start
        self.cache = open_cache(config.settings.cache_dir, config.settings.redo)
        self.features: list[FrameFeatures] = []
        self.codec: Codec | None = None
        self.session: Session | None = None

    @property
    def _parser(self) -> Any:
        return self.datamanager.dataparser

    def use(self, session: Session) -> None:
        """Let a cluster do what it can; what it has made again is not made once more."""
        self.session = session
        self.cache = replace(self.cache, redo=tuple(s for s in self.cache.redo if s not in CLUSTER_STAGES))

    def prepare_training(self) -> None:
        """Run the 2D stages (or find them cached), and set the fit up behind the model."""
        settings, frames = self.config.settings, self._parser.training
        with self._timed("masks"):
            segments = segment_frames(frames, settings, self.cache)
        with self._timed("embeddings"):
            self.features = embed_frames(frames, segments, settings, self.cache)
        with self._timed("codec"):
            fit_codec = self.session.codec if self.session else partial(make_codec, settings=settings, cache=self.cache)
            self.codec = fit_codec(self.features)
        watched = self._watch()
        fit = FieldFit(self._parser.training_views, self._parser.capture.points, settings)
        if settings.language.mode == "lift" and self.session is not None and settings.motion is None:
            views = [(x.camera, f) for f, x in zip(self.features, frames, strict=True)]
            fit.teach_lift([], self.codec, partial(self.session.lift, views))
        elif settings.language.mode == "lift":
            fit.teach_lift([lift_view(f, x.camera) for f, x in zip(self.features, frames, strict=True)], self.codec)
        else:
            pairs = zip(self.features, self._parser.training_views, strict=True)
            fit.teach([language_view(f, self.codec, view) for f, view in pairs])
        if watched is not None:
            fit.watch(watched)
        self.model.attach(fit)

    def _watch(self) -> Watched | None:
        """Follow the things of the video and caption them, where the settings say so."""
        settings, frames = self.config.settings, self._parser.training
        if settings.tracks is None:
            return None
        with self._timed("tracks"):
            tracks = make_tracks(frames, self.features, settings.tracks, self.cache)
        spoken = None
        if settings.captions is not None:
            captions = settings.captions.beside(Path(self._parser.config.data))
            with self._timed("captions"):
                how = (settings.text_encoder, settings.device)
                spoken = make_captions(frames, tracks, captions, self.cache, *how)
        return Watched(tracks, [f.camera for f in frames], spoken)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        start = time.monotonic()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.monotonic() - start

    @property
    def fit(self) -> FieldFit:
        """The fit; there once `prepare_training` has run."""
        if self.model.fit is None:
            raise RuntimeError("prepare_training has not run")
        return self.model.fit

    @property
    def geometry(self) -> Path:
        """Where the finished colour stage lies, shared with other runs of the same views and settings."""
        return geometry_path(self._parser.training, self._parser.capture, self.config.settings, self.cache)

    def take_cached_geometry(self) -> bool:
        """Skip the colour stage where an earlier run with equal inputs has finished it."""
        path = self.geometry
        if not self.cache.has("geometry", path):
            return False
        self.fit.load_state({"photometric": load_state(path), "language": {}})
        return True

    def train_step(self, step: int) -> dict[str, float]:
        """Do one training step; the last one of the colour stage leaves its result for other runs."""
        colour_steps = self.config.settings.photometric.steps
        with self._timed("colour" if step < colour_steps else "language"):
            metrics = self.fit.step(step)
        if step == colour_steps - 1:
            save_state(self.geometry, self.fit.photometric.state())
        if step == self.config.settings.total_steps - 1 and self.fit.watched is not None:
            with self._timed("states"):
                self.fit.name_things()
        return metrics

    def snapshot(self, folder: Path, head: ManifestHead) -> None:
        """Leave what there is so far where the viewer finds it."""
        parser, fit = self._parser, self.fit
        field = fit.field(self.codec if fit.codes is not None else None, {"image_encoder": head.settings.image_encoder})
        write_snapshot(folder, field, parser.capture, head, [f.name for f in parser.training])

    def finish(self, folder: Path) -> dict[str, Any]:
        """Write the field and all a query needs into the run; gives what the manifest says about it."""
        parser, fit = self._parser, self.fit
        quality = {
            "psnr_training_db": mean_psnr(fit.gaussians, parser.training_views, fit.deformation),
            "psnr_held_out_db": mean_psnr(fit.gaussians, parser.held_out_views, fit.deformation),
            "gaussians": len(fit.gaussians),
        }
        features = {f.name: found for f, found in zip(parser.training, self.features, strict=True)}
        provenance = provenance_of(parser.capture, features, self.config.settings) | {"quality": quality}
        spoken = fit.watched.spoken if fit.watched else None
        said = spoken.captions if spoken else None
        write_results(folder, fit.field(self.codec, provenance), parser.capture, features, said)
        return {
            "quality": quality,
            "codec": self.codec.about() if self.codec else None,
            "training_views": [f.name for f in parser.training],
            "features": feature_bytes(self.features),
            "held_out_views": [f.name for f in parser.held_out],
            "notes": list(parser.capture.notes),
        }

    def load_pipeline(self, loaded_state: dict[str, Any], step: int) -> None:
        """Take a checkpoint's state back."""
        self.model.update_to_step(step)
        self.load_state_dict(loaded_state)

    @torch.no_grad()
    def get_train_loss_dict(self, step: int) -> tuple[Any, dict[str, Any], dict[str, Any]]:
        """Do a training step in the words of nerfstudio's trainer (the gradient step is done within)."""
        with torch.enable_grad():
            metrics = self.train_step(step)
        values = {name: torch.tensor(value) for name, value in metrics.items()}
        return {}, {"loss": values["loss"]}, values
