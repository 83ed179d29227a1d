"""The stages before training: a capture to frames, masks, embeddings and a codec, each cached by content.

Every artefact is one unit of work in a file named by the hash of all it depends on, written atomically:
killing a stage loses the unit in progress, and the same call goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.artefacts import content_key, file_key, read_tensors, write_tensors
from langfield.cache import Cache
from langfield.capture import read_capture
from langfield.capture.images import read_picture
from langfield.capture.key import capture_key
from langfield.capture.normalize import normalize_capture
from langfield.capture.types import Capture, Frame
from langfield.codec import fit_autoencoder, fit_codebook, fit_identity, fit_pca, load_codec
from langfield.codec.fidelity import fidelity_text
from langfield.codec.types import Codec
from langfield.device import model_device, moved
from langfield.embed import FrameFeatures
from langfield.errors import FormatError
from langfield.interchange import import_features
from langfield.progress import say, track_rest
from langfield.segment import save_segments, segmenter, segmenter_identity
from langfield.settings import RunSettings
from langfield.suite import IMAGE_ENCODERS

VERSIONS = {"frames": 1, "segments": 1, "codec": 1, "geometry": 1}
"""Raised when a stage's code changes what it writes, so that old artefacts are not taken for new ones."""


def needed_weights(settings: RunSettings) -> list[str]:
    """Name the weights of the store that training with these settings will load."""
    if settings.language_features is not None:
        return []
    tower = "openai-vit-b16-int8" if settings.image_encoder in IMAGE_ENCODERS else None
    masks = "mobile-sam" if settings.segmenter.startswith("mobile-sam") else None
    wanted = [masks, tower]
    return [name for name in wanted if name is not None]


def prepare_frames(
    data: Path, settings: RunSettings, cache: Cache, left_out: Sequence[str] = (),
    made: Mapping[str, Frame] | None = None,
) -> Capture:  # fmt: skip
    """Bring a capture to upright pinhole pictures of bounded size, and choose the views.

    Args:
        data: the capture.
        settings: the run's.
        cache: where the frames go.
        left_out: names of chosen views that are not used: pictures that cannot be read.
        made: frames made elsewhere, by name (`langfield.capture.normalize.normalize_frame`).

    Raises:
        FormatError: the capture cannot be read.
    """
    capture = leave_out(choose_views(_read_without(data, left_out), settings.max_views), left_out)
    key = content_key("frames", VERSIONS["frames"], capture_key(capture), settings.frames)
    return normalize_capture(capture, cache.path("frames", key, ""), settings.frames, made)


def _read_without(data: Path, left_out: Sequence[str]) -> Capture:
    damaged: dict[str, str] = {}
    capture = read_capture(data, damaged=damaged if left_out else None)
    for name in damaged.keys() - set(left_out):
        raise FormatError(f"the picture '{name}' is damaged: {damaged[name]}", data)
    return capture


def leave_out(capture: Capture, names: Sequence[str]) -> Capture:
    """Give a capture without some of its frames, with a note of it."""
    if not names:
        return capture
    frames = tuple(f for f in capture.frames if f.name not in names)
    few = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return replace(capture, frames=frames, notes=(*capture.notes, f"left out: {few}"))


def choose_views(capture: Capture, max_views: int | None) -> Capture:
    """Keep at most `max_views` frames, evenly spaced in the capture's order."""
    n = len(capture.frames)
    if max_views is None or max_views >= n:
        return capture
    if max_views < 2:
        raise FormatError("at least two views are needed", f"max_views = {max_views}", "raise --max-views")
    rows = np.arange(max_views) * n // max_views
    note = f"{max_views} of {n} views used"
    return Capture(
        capture.root, tuple(capture.frames[i] for i in rows), capture.points, capture.world, capture.unit,
        (*capture.notes, note),
    )  # fmt: skip


def split_views(frames: Sequence[Frame], hold_out_every: int) -> tuple[list[Frame], list[Frame]]:
    """Give the training views and the held-out ones: the capture's own, else the n-th, 2n-th, ... of its order."""
    if hold_out_every <= 1:
        return list(frames), []
    own = [f for f in frames if f.split == "test"]
    if own and len(own) < len(frames):
        return [f for f in frames if f.split != "test"], own
    held = [f for i, f in enumerate(frames) if i % hold_out_every == hold_out_every - 1]
    return [f for f in frames if f not in held], held


def segment_frames(frames: Sequence[Frame], settings: RunSettings, cache: Cache) -> list[Path]:
    """Find masks at three levels in every frame, or import them; gives one segments file per frame."""
    if settings.language_features is not None:
        return import_features(frames, settings, cache)
    paths = [segments_path(f.path, settings, cache) for f in frames]
    todo = [(f, p) for f, p in zip(frames, paths, strict=True) if not cache.has("segments", p)]
    if todo:
        finder = moved(segmenter(settings.segmenter, settings.segment), model_device(settings.device))
        for frame, path in track_rest(todo, "masks", len(frames)):
            save_segments(path, finder.segment(read_picture(frame.path)))
    return paths


def segments_path(picture: Path, settings: RunSettings, cache: Cache) -> Path:
    """Give where the masks of a picture lie, made or not."""
    identity = segmenter_identity(settings.segmenter, settings.segment)
    key = content_key("segments", VERSIONS["segments"], file_key(picture), identity)
    return cache.path("segments", key, ".npz")


def make_codec(features: Sequence[FrameFeatures], settings: RunSettings, cache: Cache) -> Codec:
    """Fit the scene's codec to the embeddings of all training views, or read it back."""
    known = {"codebook": settings.codebook, "pca": settings.pca_width, "identity": None}
    # the autoencoder is named by its settings alone, as in caches written before there were others
    how = (settings.codec_kind, known[settings.codec_kind]) if settings.codec_kind in known else settings.codec
    key = content_key("codec", VERSIONS["codec"], [f.embeddings.stem for f in features], how)
    path = cache.path("codec", key, ".safetensors")
    if cache.has("codec", path):
        codec = load_codec(*read_tensors(path))
        say(f"codec: cached; {codec.kind} of {codec.width} numbers: {fidelity_text(codec.about()['fidelity'])}")
        return codec
    vectors = torch.cat([f.load()[1] for f in features])
    if len(vectors) < 2:
        raise FormatError("no masks were found in any view", None, "try another segmenter or larger pictures")
    unfinished = cache.path("codec", key, ".fitting.safetensors")
    codec = _fit_codec(vectors, settings, unfinished)
    write_tensors(path, codec.tensors(), codec.about())
    unfinished.unlink(missing_ok=True)
    return codec


def _fit_codec(vectors: Float[Tensor, "M D"], settings: RunSettings, unfinished: Path) -> Codec:
    if settings.codec_kind == "codebook":
        return fit_codebook(vectors, settings.codebook)
    if settings.codec_kind == "pca":
        return fit_pca(vectors, settings.pca_width)
    if settings.codec_kind == "identity":
        return fit_identity(vectors)
    return fit_autoencoder(vectors, settings.codec, unfinished)
