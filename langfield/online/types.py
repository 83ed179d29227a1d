"""What the parts of online mapping hand each other: settings, keyframes, what a mapping step did to the map."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxtyping import Int64
from torch import Tensor

from langfield.artefacts import content_key, plain
from langfield.capture.types import Camera
from langfield.device import Device
from langfield.errors import SettingsError
from langfield.online.keyframes import KeyframeSettings
from langfield.online.language_settings import OnlineLanguageSettings
from langfield.online.mapping_settings import MappingSettings
from langfield.online.tracking import TrackingSettings

if TYPE_CHECKING:
    from langfield.capture.stream import RgbdFrame

Poses = Literal["tracked", "given"]
LanguageMode = Literal["lift", "online-langsplat", "none"]


@dataclass(frozen=True)
class Caps:
    """What the map may hold at most; beyond it the least useful goes first."""

    max_keyframes: int = 256
    max_gaussians: int = 100_000
    max_atoms: int = 1024
    """Atoms of the codebook that codes are made of; 1024 at most."""


@dataclass(frozen=True)
class OnlineSettings:
    """From a stream of frames to a map."""

    poses: Poses = "tracked"
    """Whether the camera is tracked, or its poses come with the frames."""
    language: LanguageMode = "lift"
    """How language gets in: exact sums (ours), Online Language Splatting's two autoencoders, or not at all."""
    side_px: int = 320
    """Longer side of the frames that are worked with, pixels; never enlarged."""
    keyframe_every: int = 5
    """Only every n-th frame of the stream may become a keyframe."""
    freshen_s: float = 0.05
    """Seconds after each keyframe for renewing what older ones said of a map that has changed since."""
    snapshot_s: float = 5.0
    """Seconds between two states of the map that are written for whoever looks at it meanwhile."""
    rgb_only: bool = False
    """Use no depth of the stream. Without points or a depth model distances are guessed and learned then, and the
    map's scale is a guess."""
    points: Path | None = None
    """Points in the world of the stream's poses that give depth instead of the stream: a PLY, or a capture's folder."""
    depth_model: str | None = None
    """Model that sees depth in a picture, instead of the stream's: transformers:FOLDER_OR_NAME."""
    caps: Caps = field(default_factory=Caps)
    tracking: TrackingSettings = field(default_factory=TrackingSettings)
    keyframes: KeyframeSettings = field(default_factory=KeyframeSettings)
    mapping: MappingSettings = field(default_factory=MappingSettings)
    language_map: OnlineLanguageSettings = field(default_factory=OnlineLanguageSettings)
    device: Device = "cpu"
    """Where the map is computed."""
    seed: int = 42
    """Seed of everything random."""

    @property
    def pictures_alone(self) -> bool:
        """Whether depth of the stream is left aside."""
        return self.rgb_only or self.points is not None or self.depth_model is not None

    def check(self) -> None:
        """Check the ranges of what is no part's own.

        Raises:
            SettingsError: one lies outside its range.
        """
        counts = (self.keyframe_every, self.caps.max_keyframes, self.caps.max_gaussians, self.caps.max_atoms)
        if min(counts) < 1 or self.side_px < 16 or self.freshen_s < 0 or self.snapshot_s < 0:
            raise SettingsError(
                "an online setting lies outside its range", f"keyframe_every and caps {counts}, side_px {self.side_px}",
                "counts need 1 or more, side_px 16 or more, times 0 or more",
            )  # fmt: skip

    def result_settings(self) -> dict[str, Any]:
        """Give what decides a map as JSON data (not where it is computed)."""
        points = None if self.points is None else self.points.name
        return {k: v for k, v in plain(self).items() if k != "device"} | {"points": points}

    def key(self) -> str:
        """Give the hash of what decides a map."""
        return content_key(self.result_settings())


@dataclass(frozen=True)
class Keyframe:
    """A frame that stays in the map."""

    id: int
    """Grows, never reused; also the number of its view in the sums of `field.lift`, below 65536."""
    frame: RgbdFrame
    """At working size, undistorted."""
    camera: Camera
    """With the present estimate of its pose."""
    exposure: tuple[float, float] = (1.0, 0.0)
    """Gain and offset: picture = gain x drawn + offset."""


@dataclass(frozen=True)
class MapChange:
    """What a mapping step did to the rows of the Gaussians."""

    kept: Int64[Tensor, " K"]
    """Old rows that are still there, in their new order: new row i < K was old row kept[i]."""
    added: int
    """New rows, after those."""
