"""Training a field: the colour stage, then the language stage with geometry frozen, as one row of steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int16, Shaped, UInt8
from torch import Tensor

from langfield.artefacts import atomic_path, content_key, file_key
from langfield.cache import Cache
from langfield.caption_stage import Spoken
from langfield.capture.images import read_picture
from langfield.capture.types import Camera, Capture, Frame, Points
from langfield.codec.types import Codec
from langfield.device import raster_device
from langfield.embed import FrameFeatures
from langfield.errors import SettingsError
from langfield.field.deform import Deformation, deform
from langfield.field.dynamic_fit import MotionFit
from langfield.field.instance_build import lift_things
from langfield.field.instances import Instances
from langfield.field.language import LanguageFit, latent_targets
from langfield.field.lift_solve import Lifted, LiftView, lift
from langfield.field.motion import STILL, Motion
from langfield.field.photometric import PhotometricFit, psnr, start_points, view_order
from langfield.field.status import StatusNet, StatusTracks
from langfield.field.types import Field
from langfield.raster import rasterize
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians
from langfield.settings import RunSettings
from langfield.stages import VERSIONS
from langfield.states import StateParts, lift_states, own_gaussians
from langfield.tracks import Tracks


@dataclass(frozen=True)
class TrainingView:
    """One picture at training size."""

    name: str
    camera: Camera
    image: UInt8[np.ndarray, "H W 3"]

    def target(self) -> Float[Tensor, "H W 3"]:
        """Give the picture as float32 in 0 to 1."""
        return torch.from_numpy(self.image).float() / 255


@dataclass(frozen=True)
class Watched:
    """What was seen and said of the things of a video."""

    tracks: Tracks
    cameras: Sequence[Camera]
    """Of the tracks' pictures."""
    spoken: Spoken | None
    """None where nobody says anything."""


@dataclass(frozen=True)
class LanguageView:
    """What a view teaches the language stage: id maps at training size and the codes of their rows."""

    ids: Int16[Tensor, "3 H W"]
    codes: Float[Tensor, "M d"]


def training_view(frame: Frame, longest_side_px: int) -> TrainingView:
    """Read a frame and bring it to training size (area average; never enlarged)."""
    image, camera = read_picture(frame.path), frame.camera
    scale = min(1.0, longest_side_px / max(camera.width, camera.height))
    width, height = max(1, round(camera.width * scale)), max(1, round(camera.height * scale))
    if (width, height) != (camera.width, camera.height):
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return TrainingView(frame.name, camera.resized(width, height), image)


def language_view(features: FrameFeatures, codec: Codec, view: TrainingView) -> LanguageView:
    """Bring a frame's id maps to training size (nearest) and encode its embeddings."""
    segments, vectors = features.load()
    size = (view.camera.width, view.camera.height)
    ids = np.stack([cv2.resize(level, size, interpolation=cv2.INTER_NEAREST) for level in segments.ids])
    with torch.no_grad():
        return LanguageView(torch.from_numpy(ids), codec.encode(vectors))


def lift_view(features: FrameFeatures, camera: Camera) -> LiftView:
    """Take a frame's id maps at the size they were made at, and its embeddings."""
    segments, vectors = features.load()
    height, width = segments.ids.shape[1:]
    return LiftView(camera.resized(width, height), torch.from_numpy(segments.ids), vectors)


Lifter = Callable[[Gaussians, Codec], tuple[Lifted, Instances | None]]
"""Gives codes and things from views that lie elsewhere."""


class FieldFit:
    """The colour stage and the language stage behind one step counter; its state is all that a resume needs.

    Args:
        views: training views.
        points: start points of the Gaussians.
        settings: the run's settings.
    """

    def __init__(self, views: Sequence[TrainingView], points: Points, settings: RunSettings) -> None:
        if settings.language.mode != "lift" and settings.codec_kind in ("codebook", "identity"):
            raise SettingsError(
                f"codes of kind {settings.codec_kind} cannot be trained",
                "language mode fit",
                "choose language mode lift",
            )
        self.views, self.settings = list(views), settings
        self.device = raster_device(settings.device)
        cameras = [v.camera for v in views]
        self.motion = start_motion(points, cameras, settings, self.device)
        self.photometric = PhotometricFit(points, cameras, settings.photometric, self.device, self.motion)
        self.language: LanguageFit | None = None
        self.language_views: list[LanguageView] = []
        self.lifted: Lifted | None = None
        self.instances: Instances | None = None
        self.lift_views: list[LiftView] = []
        self.codec: Codec | None = None
        self.lifter: Lifter | None = None
        self.watched: Watched | None = None
        self.states: StateParts | None = None

    def teach(self, language_views: Sequence[LanguageView]) -> None:
        """Give the language stage its targets, one per training view and in the same order."""
        self.language_views = list(language_views)

    def teach_lift(self, lift_views: Sequence[LiftView], codec: Codec, lifter: Lifter | None = None) -> None:
        """Give the language stage in mode lift all it needs: views, or what lifts them elsewhere."""
        self.lift_views, self.codec, self.lifter = list(lift_views), codec, lifter

    def watch(self, watched: Watched) -> None:
        """Take the things of a video for those of the field; `name_things` then does so."""
        self.watched = watched

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians as they are now; the canonical ones where they move."""
        return self.photometric.gaussians.detach()

    @property
    def deformation(self) -> Deformation | None:
        """How the Gaussians differ at each time as it is now, None where nothing moves."""
        return self.motion.deformation

    @property
    def codes(self) -> Shaped[Tensor, "L N d"] | None:
        """The codes as they are now, None before the language stage."""
        if self.lifted is not None:
            return self.lifted.codes
        return self.language.codes.detach() if self.language else None

    def step(self, step: int) -> dict[str, float]:
        """Do training step `step` (0 to total_steps - 1) and give its metrics; what is random follows from the step."""
        colour_steps = self.settings.photometric.steps
        row = view_order(len(self.views), step, self.settings.seed)
        view = self.views[row]
        if step < colour_steps:
            return self.photometric.step(step, view.camera, view.target())
        if self.codec is not None:
            self._lift(self.codec)
            return {"loss": 0.0, "seen": float((self.lifted.reliability > 0).float().mean()) if self.lifted else 0.0}
        self.language = self.language or self._start_language()
        target = self.language_views[row]
        targets, valid = latent_targets(target.ids, target.codes)
        with kernels_only():
            return self.language.step(step - colour_steps, view.camera, targets, valid)

    def _lift(self, codec: Codec) -> None:
        """Lift codes, and find things where no video has shown them."""
        scene, views, settings = self.gaussians, self.lift_views, self.settings
        if self.lifter is not None:
            self.lifted, self.instances = self.lifter(scene, codec)
            return
        if self.watched is not None:
            self.lifted = lift(scene, views, codec, settings.lift, self.deformation)
            return
        self.lifted, self.instances = lift_things(
            scene, views, codec, settings.lift, settings.instances, self.deformation
        )  # fmt: skip

    def name_things(self) -> None:
        """Give the field the things that were followed, and their states; last, and nothing where none were."""
        if self.watched is None:
            return
        scene, moves, watched = self.gaussians, self.deformation, self.watched
        owned = own_gaussians(scene, moves, watched.cameras, watched.tracks)
        self.instances = owned.instances
        if watched.spoken is not None:
            self.states = lift_states(scene, moves, owned.owner, watched.spoken, self.settings.status)

    def _start_language(self) -> LanguageFit:
        width = self.language_views[0].codes.shape[1]
        return LanguageFit(self.gaussians, 3, width, self.settings.language, self.deformation)

    def state(self) -> dict[str, Any]:
        """Give everything a resume needs as tensors and numbers."""
        return {
            "photometric": self.photometric.state(),
            "language": vars(self.lifted) if self.lifted else self.language.state() if self.language else {},
            "instances": self.instances.tensors() if self.instances else {},
            "states": self._states(),
        }

    def _states(self) -> dict[str, dict[str, Tensor]]:
        found = {"tracks": self.states.status_tracks, "net": self.states.status_net} if self.states else {}
        return {kind: vars(status) for kind, status in found.items() if status is not None}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave; the next steps are bit for bit those of an undisturbed run."""
        self.photometric.load_state(state["photometric"])
        if "reliability" in state["language"]:
            self.lifted = Lifted(**state["language"])
        elif state["language"]:
            self.language = self._start_language()
            self.language.load_state(state["language"])
        self.instances = Instances(**state["instances"]) if state.get("instances") else None
        self._load_states(state.get("states") or {})

    def _load_states(self, saved: dict[str, dict[str, Tensor]]) -> None:
        if saved and self.watched is not None and self.watched.spoken is not None:
            tracks = StatusTracks(**saved["tracks"]) if "tracks" in saved else None
            net = StatusNet(**saved["net"]) if "net" in saved else None
            self.states = StateParts(self.watched.spoken.codec, tracks, net)

    def field(self, codec: Codec | None, provenance: dict[str, Any]) -> Field:
        """Give the finished field, on the CPU."""
        reliability = self.lifted.reliability if self.lifted else None
        gaussians = Gaussians(*(t.cpu() for t in self.gaussians.tensors()))
        codes = None if self.codes is None else self.codes.cpu()
        deformation = self.deformation.to("cpu") if self.deformation else None
        field = Field(gaussians, codes, codec, provenance, reliability, self.instances, deformation)
        return replace(field, **vars(self.states)) if self.states else field


def start_motion(
    points: Points, cameras: Sequence[Camera], settings: RunSettings, device: torch.device | None = None
) -> Motion:
    """Give the motion that a run's settings ask for; none at all is one of them.

    Args:
        points: start points; random ones where there are none.
        cameras: of the training views.
        settings: the run's.
        device: where to fit.

    Raises:
        SettingsError: the scene is said to move, but views have no times, or a setting is out of range.
    """
    if settings.motion is None:
        return STILL
    colour = settings.photometric
    xyz = start_points(points, cameras, colour).xyz
    return MotionFit(xyz, cameras, (colour.sh_degree + 1) ** 2, colour.steps, settings.motion, device)


def mean_psnr(
    gaussians: Gaussians, views: Sequence[TrainingView], deformation: Deformation | None = None
) -> float | None:
    """Give the mean PSNR (dB) over views, each at its time; None where there is none."""
    with torch.no_grad():
        moments = ((v, deform(gaussians, deformation, v.camera.time_s)) for v in views)
        values = [psnr(_drawn(then, v.camera).cpu(), v.target()) for v, then in moments]
    return float(np.mean(values)) if values else None


def _drawn(gaussians: Gaussians, camera: Camera) -> Float[Tensor, "H W 3"]:
    colour = rasterize(gaussians, camera).colour
    if colour is None:  # cannot be: colour is drawn by default
        raise RuntimeError("the rasterizer gave no colour")
    return colour.clamp(0, 1)


def geometry_path(views: Sequence[Frame], capture: Capture, settings: RunSettings, cache: Cache) -> Path:
    """Give where the finished colour stage of these views and settings is kept for other runs."""
    pictures = [(f.name, file_key(f.path), f.camera.K, f.camera.T_world_camera) for f in views]
    moving = () if settings.motion is None else (settings.motion, [f.camera.time_s for f in views])
    key = content_key(
        "geometry", VERSIONS["geometry"], pictures, capture.points.xyz, settings.photometric,
        settings.train_side_px, settings.seed, *moving,
    )  # fmt: skip
    return cache.path("geometry", key, ".pt")


def save_state(path: Path, state: Any) -> None:
    """Write tensors and numbers atomically in torch's own format."""
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def load_state(path: Path) -> Any:
    """Read what `save_state` wrote; nothing but tensors and plain data is accepted."""
    return torch.load(path, map_location="cpu", weights_only=True)
