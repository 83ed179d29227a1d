"""What a keyframe's picture shows: its segments and a vector for each, from the stages' own models and cache."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import write_tensors
from langfield.cache import Cache, open_cache
from langfield.capture.images import read_picture
from langfield.capture.stream import RgbdFrame
from langfield.device import model_device, moved
from langfield.embed import FrameFeatures, embeddings_path, rule_of
from langfield.processor import quick_dtype
from langfield.segment import load_segments, save_segments, segmenter
from langfield.segment.types import Segmenter, Segments, SegmentSettings
from langfield.settings import RunSettings
from langfield.stages import needed_weights, segments_path
from langfield.suite import image_encoder
from langfield.suite.crops import embed_segments
from langfield.suite.types import ImageEncoder
from langfield.weights import require


@dataclass(frozen=True)
class Features:
    """The language features of one picture."""

    segments: Segments
    vectors: Float[Tensor, "M D"]
    """Unit vector per segment."""
    about: dict[str, Any] = field(default_factory=dict)
    """Where the vectors came from: the encoder's provenance."""


class FeatureMaker(Protocol):
    """Makes the features of a keyframe; the same picture always gets the same."""

    @property
    def settings(self) -> RunSettings:
        """Segmenter and encoders, as the run's manifest names them."""
        ...

    def __call__(self, frame: RgbdFrame, picture: Path) -> Features:
        """Give the features of a frame.

        Args:
            frame: at working size.
            picture: its picture file, at the size it came in.
        """
        ...


def quick_settings() -> RunSettings:
    """Give settings of features for a camera that moves: fewer prompts, a smaller encoder square, low precision.

    The tower computes in bfloat16 where this processor is quick at it, else in float32 (8 bits take as long: 0.29 s of
    processor time a crop against 0.23); a run says which.
    """
    tower = "openai-vit-b16-bf16" if quick_dtype() == torch.bfloat16 else "openai-vit-b16-torch"
    return RunSettings(
        segmenter="mobile-sam-quick", segment=SegmentSettings(points_per_side=8, decoder_batch=4), image_encoder=tower
    )


class StageFeatures:
    """The segmenter and encoder of the offline stages, with their cache: what an offline run has made is taken.

    Args:
        settings: of segmenter and encoders, the quick ones where None; crops are always masked ones.
        cache: None for the user's own.
    """

    def __init__(self, settings: RunSettings | None = None, cache: Cache | None = None) -> None:
        settings = settings or quick_settings()
        for name in needed_weights(settings):
            require(name)
        self._settings = replace(settings, crops="masked")
        self._cache = cache or open_cache(settings.cache_dir, settings.redo)

    @property
    def settings(self) -> RunSettings:
        """Segmenter and encoders, as the run's manifest names them."""
        return self._settings

    def load(self) -> None:
        """Load the models now and not at the first picture."""
        _ = self._segmenter, self._encoder

    @cached_property
    def _segmenter(self) -> Segmenter:
        found = segmenter(self._settings.segmenter, self._settings.segment)
        return moved(found, model_device(self._settings.device))

    @cached_property
    def _encoder(self) -> ImageEncoder:
        return moved(image_encoder(self._settings.image_encoder), model_device(self._settings.device))

    def __call__(self, frame: RgbdFrame, picture: Path) -> Features:
        """Find the segments of a picture and embed them, or read what was found before."""
        rows = segments_path(picture, self._settings, self._cache)
        if not self._cache.has("segments", rows):
            save_segments(rows, self._segmenter.segment(read_picture(picture)))
        path = embeddings_path("masked", rows, self._settings, self._cache)
        if not self._cache.has("embeddings", path):
            self._embed(frame, picture, rows, path)
        found = FrameFeatures(rows, path)
        segments, vectors = found.load()
        return Features(segments, vectors, found.about())

    def _embed(self, frame: RgbdFrame, picture: Path, rows: Path, path: Path) -> None:
        encoder = self._encoder
        vectors = embed_segments(read_picture(picture), load_segments(rows), encoder)
        table = {"crops": ["masked"], **rule_of("masked", None), "frame": frame.name, "segments": rows.stem}
        write_tensors(path, {"vectors": torch.as_tensor(vectors)}, {**encoder.provenance, "table": table})
