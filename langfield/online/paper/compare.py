"""Ways of language side by side on the same frames: language apart, language joint with colour, and our lifting.

Each way drives a `Slam` of its own from the same settings and seed over the same frames and features, so that what
differs in picture, path and answers is due to language alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.stream import RgbdFrame
from langfield.codec.two_stage import StageOne
from langfield.evaluate.labels import Query
from langfield.evaluate.langsplat2d import score_query
from langfield.evaluate.trajectory import path_error
from langfield.field.photometric import psnr
from langfield.field.types import Field
from langfield.online.features import Features
from langfield.online.language import LanguageMap, LanguageParts
from langfield.online.paper.language import OnlineLangSplat
from langfield.online.paper.settings import PaperSettings
from langfield.online.slam import Slam
from langfield.online.tracking import Tracked
from langfield.online.types import Keyframe, MapChange, OnlineSettings
from langfield.progress import track
from langfield.query.image import relevancy_maps
from langfield.query.relevancy import encode_phrases
from langfield.raster import rasterize
from langfield.suite.types import TextEncoder

T = TypeVar("T")
Mode = Literal["disentangled", "joint", "lift", "none"]


@dataclass(frozen=True)
class Material:
    """What every way gets; features are made before, so that their time is nobody's."""

    frames: Sequence[RgbdFrame]
    """At working size, undistorted."""
    dense: Mapping[int, Float[Tensor, "h w D"]] = field(default_factory=dict)
    """By the frame's index, for the paper's ways; a frame without one becomes no keyframe."""
    segments: Mapping[int, Features] = field(default_factory=dict)
    """By the frame's index, for lifting."""
    queries: Sequence[Query] = ()
    """By the frame's name, polygons in pixels at working size."""
    texts: TextEncoder | None = None


@dataclass(frozen=True)
class Row:
    """One way's line of the table."""

    mode: str
    psnr_db: float
    """Mean over keyframes, with their exposures."""
    ate_m: float
    """RMSE of camera centres after rigid alignment, in the stream's unit."""
    miou: float
    """lerf-ovs-2d over all queries whose frame was tracked; nan without labels."""
    language_ms: float
    """Of the language map per keyframe, the median, features given: told of it, and brought to what can be asked. What
    joint language adds to the steps of mapping counts where it computes itself, not in the map's backward pass."""
    finish_ms: float
    """Of the language map once at the end: keyframes renewed, and for lifting the offline codebook and things."""
    frame_s: float
    """Of everything per frame, features given."""
    keyframes: int
    gaussians: int


def compare(
    material: Material,
    settings: OnlineSettings,
    stage_one: StageOne,
    lifted: Callable[[], LanguageMap],
    modes: Sequence[Mode] = ("disentangled", "joint", "lift"),
    paper: PaperSettings | None = None,
) -> list[Row]:
    """Give the table's rows, one way after the other.

    Args:
        material: frames and features.
        settings: of tracking and mapping; one for all.
        stage_one: the first autoencoder.
        lifted: makes an empty map of our default.
        modes: which ways.
        paper: settings of the paper's ways; their variant is set here.
    """
    rows = []
    for mode in modes:
        language: LanguageMap | None = None
        if mode == "lift":
            language = lifted()
        elif mode != "none":
            language = OnlineLangSplat(stage_one, replace(paper or PaperSettings(), variant=mode))
        rows.append(_Drive(mode, settings, language).over(material))
    return rows


class _Drive:
    """One way over all frames."""

    def __init__(self, mode: Mode, settings: OnlineSettings, language: LanguageMap | None) -> None:
        self.mode, self.every, self.language = mode, settings.keyframe_every, language
        self.slam = Slam(settings)
        self.spent, self.updates = 0.0, list[float]()
        if isinstance(language, OnlineLangSplat) and mode == "joint":
            joint = language.extra_loss
            self.slam.mapper.extra_loss = lambda *given: self._timed(lambda: joint(*given))
        self.path: dict[int, Tracked] = {}

    def over(self, material: Material) -> Row:
        began = time.perf_counter()
        for number, frame in enumerate(track(list(material.frames), f"language: {self.mode}")):
            tracked = self.path[frame.index] = self.slam.track(frame)
            known = frame.index in material.dense or frame.index in material.segments or self.language is None
            if number % self.every == 0 and known and self.slam.wants_keyframe(tracked, frame):
                self._keyframe(frame, tracked, material)
                self.updates.append(self.spent)
                self.spent = 0.0
        parts = self._timed(self._finished)
        whole = time.perf_counter() - began
        held = max(1, len(self.slam.keyframes))
        frame_s = whole / max(1, len(material.frames))
        return Row(
            self.mode, self._psnr(), self._ate(material.frames), self._miou(material, parts),
            1000 * median(self.updates or [0.0]), 1000 * self.spent, frame_s, held, len(self.slam.gaussians),
        )  # fmt: skip

    def _timed(self, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        found = work()
        self.spent += time.perf_counter() - began
        return found

    def _keyframe(self, frame: RgbdFrame, tracked: Tracked, material: Material) -> None:
        language = self.language
        if isinstance(language, OnlineLangSplat) and self.mode == "joint":
            # its codes must be there while the map learns
            number = 1 + max((k.id for k in self.slam.keyframes), default=-1)
            camera = replace(frame.camera, T_world_camera=tracked.T_world_camera)
            self._timed(lambda: language.note(Keyframe(number, frame, camera), material.dense[frame.index]))
        step = self.slam.add_keyframe(frame, tracked)
        if language is None:
            return
        keyframe = next(k for k in self.slam.keyframes if k.id == step.id)
        self._timed(lambda: self._tell(language, keyframe, material, step.changes))
        for gone in step.dropped:
            language.drop(gone)

    def _tell(
        self, language: LanguageMap, keyframe: Keyframe, material: Material, changes: Sequence[MapChange]
    ) -> None:
        for change in changes:
            language.reindex(change)
        index, gaussians = keyframe.frame.index, self.slam.gaussians
        if not isinstance(language, OnlineLangSplat):
            language.add(keyframe, gaussians, material.segments[index].segments, material.segments[index].vectors)
        elif self.mode == "disentangled":
            language.add_dense(keyframe, gaussians, material.dense[index])
        language.parts(len(gaussians))

    def _finished(self) -> LanguageParts | None:
        if self.language is None:
            return None
        return self.language.finish(self.slam.gaussians, self.slam.keyframes)

    def _psnr(self) -> float:
        found = []
        for k in self.slam.keyframes:
            with torch.no_grad():
                colour = rasterize(self.slam.gaussians, k.camera).colour
            assert colour is not None  # noqa: S101 - drawn by default; said for the type checker
            picture = torch.from_numpy(k.frame.image).float() / 255
            found.append(psnr((k.exposure[0] * colour.cpu() + k.exposure[1]).clamp(0, 1), picture))
        return float(np.mean(found))

    def _ate(self, frames: Sequence[RgbdFrame]) -> float:
        known = [f for f in frames if f.has_pose]
        found = [self._pose(f).double().cpu().numpy() for f in known]
        return path_error(found, [f.camera.T_world_camera.double().cpu().numpy() for f in known]).ate_rmse

    def _pose(self, frame: RgbdFrame) -> Tensor:
        """Give a frame's pose as it is known at the end: a keyframe's own, else as it was tracked."""
        own = {k.frame.index: k.camera.T_world_camera for k in self.slam.keyframes}
        return own.get(frame.index, self.path[frame.index].T_world_camera)

    def _miou(self, material: Material, parts: LanguageParts | None) -> float:
        if parts is None or material.texts is None or not material.queries:
            return float("nan")
        by_name = {f.name: f for f in material.frames}
        known = Field(self.slam.gaussians, parts.codes, parts.codec, {}, parts.reliability, language=parts.shape)
        scores = []
        for query in material.queries:
            frame = by_name.get(query.frame)
            if frame is None or self.path[frame.index].lost:
                continue
            camera = replace(frame.camera, T_world_camera=self._pose(frame))
            phrases = encode_phrases(material.texts, [query.text], parts.codec.dim)
            scores.append(score_query(query, relevancy_maps(known, camera, phrases)[0].float().numpy()).iou)
        return float(np.mean(scores)) if scores else float("nan")
