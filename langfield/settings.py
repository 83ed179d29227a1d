"""All that a run can be told, in one frozen tree; `ns-train langsplat --help` shows every leaf."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from langfield.artefacts import content_key, plain
from langfield.capture.normalize import NormalizeSettings
from langfield.codec.autoencoder import AutoencoderSettings
from langfield.codec.codebook import CodebookSettings
from langfield.device import Device
from langfield.field.dynamic_fit import MotionSettings
from langfield.field.instance_build import InstanceSettings
from langfield.field.language import LanguageSettings
from langfield.field.lift_solve import LiftSettings
from langfield.field.photometric import PhotometricSettings
from langfield.field.status_lift import StatusChoice
from langfield.segment.track import TrackSettings
from langfield.segment.types import SegmentSettings
from langfield.suite.captions.settings import CaptionSettings

MOVING = ("motion", "tracks", "captions")
"""Settings that only runs of scenes that move have; `status` goes with captions."""


@dataclass(frozen=True)
class RunSettings:
    """From a capture to a field."""

    max_views: int | None = None
    """Use only this many views, evenly spaced over the capture; all of them by default."""
    hold_out_every: int = 8
    """Keep every n-th view (the n-th, 2n-th, ...) out of training, for honest PSNR; 0 keeps none out."""
    train_side_px: int = 320
    """Longer side of the pictures the Gaussians are trained on, pixels."""
    segmenter: str = "mobile-sam"
    """What finds masks: mobile-sam, mobile-sam-quick (at 768 pixels for 1024, a fifth of the time for the picture),
    sam:vit_h:CHECKPOINT, components (no weights needed)."""
    image_encoder: str = "openai-vit-b16-torch"
    """What embeds crops: openai-vit-b16-torch, openai-vit-b16-bf16 (quicker on processors with AMX or AVX512-BF16),
    openai-vit-b16-int8, openclip:MODEL/TAG."""
    text_encoder: str = "bridge-minilm-b16"
    """What embeds queries; must share the image encoder's space."""
    language_features: Path | None = None
    """Folder of LangSplat's NAME_s.npy and NAME_f.npy to take masks and embeddings from; say by --image-encoder what
    made them. None: they are made here."""
    crops: Literal["masked", "context", "masked+context"] = "masked"
    """What of a segment is embedded: its pixels on black, its box with what surrounds it, or the mean of both (twice
    the time)."""
    context_grow: float = 1.2
    """Sides of a context crop, in sides of the segment's box."""
    device: Device = "auto"
    """Where it is computed: auto takes a GPU that torch, PyCUDA and nvcc can use; results differ in last digits."""
    seed: int = 42
    """Seed of everything random."""
    frames: NormalizeSettings = field(default_factory=NormalizeSettings)
    """How pictures are brought to upright pinhole form."""
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    """How masks are made."""
    compress: Literal["auto", "autoencoder", "codebook", "pca", "identity"] = "auto"
    """What makes codes of embeddings; auto: codebook where codes are lifted, autoencoder where they are fitted.
    codebook and identity need --language.mode lift."""
    codec: AutoencoderSettings = field(default_factory=AutoencoderSettings)
    """The per-scene autoencoder."""
    codebook: CodebookSettings = field(default_factory=CodebookSettings)
    """The per-scene codebook."""
    pca_width: int = 32
    """Numbers a code of the pca."""
    photometric: PhotometricSettings = field(default_factory=PhotometricSettings)
    """The colour stage."""
    motion: MotionSettings | None = None
    """How Gaussians move in time, learnt in the colour stage too; None where the scene stands still."""
    tracks: TrackSettings | None = None
    """How things are followed through the video and become those of the field; None joins segments by their Gaussians,
    as where the scene stands still."""
    captions: CaptionSettings | None = None
    """How followed things get words for the states they are in; None gives them none."""
    status: StatusChoice = field(default_factory=StatusChoice)
    """How captions become states of the field."""
    language: LanguageSettings = field(default_factory=LanguageSettings)
    """The language stage."""
    lift: LiftSettings = field(default_factory=LiftSettings)
    """The language stage in mode lift."""
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    """How mode lift finds the scene's things."""
    cache_dir: Path | None = None
    """Where stage artefacts are shared between runs; the user's cache folder by default."""
    redo: tuple[str, ...] = ()
    """Stages to run again although their artefacts are there: frames segments embeddings codec geometry."""

    @property
    def codec_kind(self) -> Literal["autoencoder", "codebook", "pca", "identity"]:
        """What makes codes of embeddings."""
        if self.compress != "auto":
            return self.compress
        return "codebook" if self.language.mode == "lift" else "autoencoder"

    @property
    def total_steps(self) -> int:
        """Training steps of the colour and language stages together."""
        return self.photometric.steps + (1 if self.language.mode == "lift" else self.language.steps)

    def result_settings(self) -> dict[str, Any]:
        """Give what decides a run's result as JSON data (not where caches lie, nor where it is computed).

        What only scenes that move have is left out elsewhere, so that runs from before it keep their keys.
        """
        absent = {name for name in MOVING if getattr(self, name) is None}
        out = {"cache_dir", "redo", "device", *absent, *({"status"} if "captions" in absent else ())}
        return {name: value for name, value in plain(self).items() if name not in out}

    def key(self) -> str:
        """Give the hash of what decides a run's result."""
        return content_key(self.result_settings())


def moving_settings() -> RunSettings:
    """Give the settings of `ns-train langsplat-4d`."""
    # Every step asks the planes for all Gaussians, which costs as much as drawing them: fewer of them, more steps.
    colour = PhotometricSettings(steps=1500, max_gaussians=12_000, half_size_until=0.5)
    return RunSettings(photometric=colour, motion=MotionSettings(), tracks=TrackSettings(), captions=CaptionSettings())
