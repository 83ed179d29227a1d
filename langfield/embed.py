"""The segment table of every frame: id maps, and per segment the embeddings of its crops with where they came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.cache import Cache
from langfield.capture.images import read_picture
from langfield.capture.types import Frame
from langfield.device import model_device, moved
from langfield.errors import FormatError, SettingsError
from langfield.progress import track_rest
from langfield.segment import load_segments
from langfield.segment.types import Segments
from langfield.settings import RunSettings
from langfield.suite import encoder_identity, image_encoder
from langfield.suite.crops import CROP_PX, embed_segments, mean_vectors
from langfield.suite.types import ImageEncoder

VERSION = 1
CONTEXT_VERSION = 1
Crop = Literal["masked", "context"]
RULES = {
    "masked": "background black, box padded to a square",
    "context": "background kept, box with its sides times `grow`, cut at the picture's border, padded to a square",
}


@dataclass(frozen=True)
class FrameFeatures:
    """Where the 2D language features of one frame lie."""

    segments: Path
    """Id maps, boxes, scores (`langfield.segment.store`); its stem is its content key where it lies in a cache."""
    embeddings: Path
    """safetensors: `vectors` [M, D] float16, and `masked`, `context` of the same shape where both were embedded."""

    def load(self) -> tuple[Segments, Float[Tensor, "M D"]]:
        """Read the segments and their unit vectors (float32).

        Raises:
            FormatError: a file is missing or damaged, or one is not the other's.
        """
        segments = load_segments(self.segments)
        return segments, self._checked("vectors", len(segments.levels)).float()

    def crop_vectors(self, crop: Crop) -> Float[Tensor, "M D"]:
        """Read the unit vectors of one kind of crop (float32).

        Raises:
            FormatError: that kind was not embedded, or the file is damaged.
        """
        alone = self.table().get("crops", ["masked"]) == [crop]
        return self._checked("vectors" if alone else crop, None).float()

    def about(self) -> dict[str, Any]:
        """Say where the vectors came from: the encoder's provenance, and under "table" crops, frame and keys."""
        return read_tensors(self.embeddings)[1]

    def encoder(self) -> dict[str, Any]:
        """Give the provenance of the encoder that made the vectors."""
        return {k: v for k, v in self.about().items() if k != "table"}

    def table(self) -> dict[str, Any]:
        """Say which crops the vectors are of, how they were cut, and of what; files of earlier programs say nothing."""
        found = self.about().get("table", {})
        return found if isinstance(found, dict) else {}

    def _checked(self, name: str, rows: int | None) -> Tensor:
        tensors, _ = read_tensors(self.embeddings)
        if name not in tensors:
            raise FormatError(f"no embeddings of kind {name}", self.embeddings, "train with --pipeline.settings.crops")
        found = tensors[name]
        if found.ndim != 2 or not found.is_floating_point() or (rows is not None and len(found) != rows):
            raise FormatError(f"{name} have shape {list(found.shape)} for {rows} segments", self.embeddings)
        return found


def embed_frames(
    frames: Sequence[Frame], segments: Sequence[Path], settings: RunSettings, cache: Cache
) -> list[FrameFeatures]:
    """Embed every segment's crops; gives the features of every frame.

    Each kind of crop is cached on its own, so that asking for another kind only adds to what is there.

    Raises:
        SettingsError: context crops smaller than their segments.
    """
    if settings.language_features is not None:
        return [FrameFeatures(p, imported_embeddings(p, settings, cache)) for p in segments]
    if settings.context_grow < 1:
        raise SettingsError("context crops cannot be smaller than the segment", "context_grow", "give 1 or more")
    parts = [_embed_crops(crop, frames, segments, settings, cache) for crop in crops_of(settings)]
    return [join_crops(s, list(p), cache) for s, *p in zip(segments, *parts, strict=True)]


def crops_of(settings: RunSettings) -> list[Crop]:
    """Give the kinds of crops that a run embeds."""
    return ["masked", "context"] if settings.crops == "masked+context" else [settings.crops]


def imported_embeddings(segments: Path, settings: RunSettings, cache: Cache) -> Path:
    """Give where the embeddings lie that were imported with a segments file (`langfield.interchange`)."""
    return cache.path(
        "embeddings", content_key("imported", VERSION, segments.stem, settings.image_encoder), ".safetensors"
    )


def _embed_crops(
    crop: Crop, frames: Sequence[Frame], segments: Sequence[Path], settings: RunSettings, cache: Cache
) -> list[Path]:
    """Embed one kind of crop of every frame, one file a frame."""
    paths = [embeddings_path(crop, p, settings, cache) for p in segments]
    todo = [(f, s, p) for f, s, p in zip(frames, segments, paths, strict=True) if not cache.has("embeddings", p)]
    if todo:
        encoder = moved(image_encoder(settings.image_encoder), model_device(settings.device))
        for frame, rows, path in track_rest(todo, "embeddings" if crop == "masked" else "context", len(frames)):
            embed_frame((crop, settings.context_grow), frame, rows, path, encoder)
    return paths


def embed_frame(how: tuple[Crop, float], frame: Frame, segments: Path, path: Path, encoder: ImageEncoder) -> None:
    """Embed one kind of crop of one frame into a file.

    Args:
        how: the kind, and how far context crops reach.
        frame: the picture.
        segments: its masks.
        path: `embeddings_path` of them.
        encoder: image tower.
    """
    crop, grow = how[0], how[1] if how[0] == "context" else None
    vectors = embed_segments(read_picture(frame.path), load_segments(segments), encoder, grow)
    table = {"crops": [crop], **rule_of(crop, grow), "frame": frame.name, "segments": segments.stem}
    write_tensors(path, {"vectors": torch.as_tensor(vectors)}, {**encoder.provenance, "table": table})


def embeddings_path(crop: Crop, segments: Path, settings: RunSettings, cache: Cache) -> Path:
    """Give where the embeddings of one kind of crop of a frame's segments lie, made or not."""
    # masked crops are keyed as in caches written before there were others
    kind = () if crop == "masked" else (crop, CONTEXT_VERSION, settings.context_grow)
    key = content_key("embeddings", VERSION, segments.stem, encoder_identity(settings.image_encoder), *kind)
    return cache.path("embeddings", key, ".safetensors")


def rule_of(crop: Crop, grow: float | None) -> dict[str, Any]:
    """Say how crops of a kind are cut."""
    return {"rule": RULES[crop], "crop_px": CROP_PX, **({"grow": grow} if crop == "context" else {})}


def join_crops(segments: Path, parts: Sequence[Path], cache: Cache) -> FrameFeatures:
    """Give the features of a frame; both kinds of crop go into one file, where `vectors` lie between them."""
    if len(parts) == 1:
        return FrameFeatures(segments, parts[0])
    masked, context = parts
    path = cache.path("embeddings", content_key("joined", VERSION, masked.stem, context.stem), ".safetensors")
    if not cache.has("embeddings", path):
        read = [read_tensors(p) for p in parts]
        a, b = (tensors["vectors"] for tensors, _ in read)
        table = {
            "crops": ["masked", "context"], "vectors": "normalised mean",
            "masked": masked.stem, "context": context.stem,
            **{k: v for k, v in read[1][1]["table"].items() if k in ("grow", "crop_px", "frame", "segments")},
            "rule": RULES,
        }  # fmt: skip
        vectors = torch.as_tensor(mean_vectors([a.numpy(), b.numpy()]))
        write_tensors(path, {"vectors": vectors, "masked": a, "context": b}, {**read[1][1], "table": table})
    return FrameFeatures(segments, path)
