"""2D features from and to LangSplat's files, and what either form takes on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int32

from langfield.artefacts import content_key, file_key, write_tensors
from langfield.cache import Cache
from langfield.capture.lens import carry_ids
from langfield.capture.types import Camera, Frame
from langfield.embed import FrameFeatures, imported_embeddings
from langfield.errors import FormatError
from langfield.progress import track, track_rest
from langfield.segment import save_segments
from langfield.segment.langsplat import (
    from_langsplat,
    langsplat_bytes,
    langsplat_stems,
    read_langsplat,
    write_langsplat,
)
from langfield.segment.types import Segments
from langfield.settings import RunSettings

VERSION = 1
MAX_HEIGHT_PX = 1080
"""LangSplat makes taller pictures smaller before it looks for masks."""
MAX_ASPECT_CHANGE = 0.02


def import_features(frames: Sequence[Frame], settings: RunSettings, cache: Cache) -> list[Path]:
    """Bring LangSplat's files of every frame into the cache as segments and embeddings; gives the segments files.

    Args:
        frames: views to be trained on; files are named after the pictures.
        settings: `language_features` names the folder, `image_encoder` what the features are said to be made by.
        cache: where they go.

    Raises:
        FormatError: a frame's files are missing or damaged, do not fit its picture, or widths differ.
    """
    folder = settings.language_features or Path()
    stems = _stems_in(folder, [f.name for f in frames])
    keys = [_key(folder, stems[f.name], f) for f in frames]
    paths = [cache.path("segments", key, ".npz") for key in keys]
    todo = [(frame, path) for frame, path in zip(frames, paths, strict=True) if not _is_there(path, settings, cache)]
    for frame, path in track_rest(todo, "import", len(frames)) if todo else ():
        segments, vectors = _import(folder, stems[frame.name], frame)
        about = {"name": settings.image_encoder, "origin": "LangSplat's feature files; the encoder is as settings say",
                 "table": {"crops": ["masked"], "frame": frame.name, "segments": path.stem}}  # fmt: skip
        write_tensors(imported_embeddings(path, settings, cache), {"vectors": torch.as_tensor(vectors)}, about)
        save_segments(path, segments)
    _check_widths([FrameFeatures(p, imported_embeddings(p, settings, cache)) for p in paths], folder)
    return paths


def _is_there(segments: Path, settings: RunSettings, cache: Cache) -> bool:
    return cache.has("segments", segments) and cache.has("embeddings", imported_embeddings(segments, settings, cache))


def _stems_in(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """Give what each frame's files are called: all but its suffix, or up to its first dot as LangSplat has it."""
    short = langsplat_stems(names)
    found = {n: Path(n).stem if (folder / f"{Path(n).stem}_s.npy").is_file() else short[n] for n in names}
    for name, stem in found.items():
        missing = [end for end in ("_s.npy", "_f.npy") if not (folder / (stem + end)).is_file()]
        if missing:
            raise FormatError(f"the view {name} has no LangSplat features", folder / (stem + missing[0]), "add them")
    return found


def _key(folder: Path, stem: str, frame: Frame) -> str:
    hashes = [file_key(folder / f"{stem}{end}.npy") for end in ("_s", "_f")]
    cameras = [(c.K, c.width, c.height, c.T_world_camera, c.distortion) for c in (frame.camera, _original(frame))]
    return content_key("langsplat", VERSION, hashes, cameras)


def _original(frame: Frame) -> Camera:
    return frame.source or frame.camera


def _import(folder: Path, stem: str, frame: Frame) -> tuple[Segments, np.ndarray]:
    maps, features = read_langsplat(folder, stem)
    where = folder / f"{stem}_s.npy"
    height, width = maps.shape[1:]
    camera = _original(frame)
    if abs(width * camera.height / (height * camera.width) - 1) > MAX_ASPECT_CHANGE:
        raise FormatError(f"maps are {width}x{height}, the picture {camera.width}x{camera.height}", where)
    return from_langsplat(_carried(maps, camera.resized(width, height), frame.camera), features, where)


def _carried(maps: Int32[np.ndarray, "L h w"], of: Camera, to: Camera) -> Int32[np.ndarray, "L H W"]:
    """Carry maps over unless both cameras see the same pixels."""
    same = (of.width, of.height) == (to.width, to.height) and not _bent(of, to)
    return maps if same else carry_ids(maps, of, to)


def _bent(of: Camera, to: Camera) -> bool:
    """Tell whether more than size lies between two cameras at a place."""
    turned = not torch.allclose(of.T_world_camera.double(), to.T_world_camera.double(), atol=1e-9)
    return turned or of.distortion != to.distortion


def _check_widths(features: Sequence[FrameFeatures], folder: Path) -> None:
    widths = sorted({f.load()[1].shape[1] for f in features})
    if len(widths) > 1:
        raise FormatError(f"features of widths {widths} in one folder", folder, "embed all views by one encoder")


def export_features(pairs: Sequence[tuple[Frame, FrameFeatures]], folder: Path) -> int:
    """Write LangSplat's two files for every frame and give their bytes.

    Maps lie over the capture's own pictures: where frames were undistorted or turned, that is undone.

    Raises:
        StorageError: a file cannot be written.
    """
    stems = langsplat_stems([frame.name for frame, _ in pairs])
    total = 0
    for frame, features in track(pairs, "export"):
        segments, vectors = features.load()
        moved = _over_original(segments, frame)
        total += write_langsplat(folder, stems[frame.name], moved, vectors.half().numpy())
    return total


def _over_original(segments: Segments, frame: Frame) -> Segments:
    original = _original(frame)
    if not _bent(original, frame.camera):
        return segments
    scale = min(1.0, MAX_HEIGHT_PX / original.height)
    to = original.resized(max(1, round(original.width * scale)), max(1, round(original.height * scale)))
    height, width = segments.ids.shape[1:]
    ids = carry_ids(segments.ids.astype(np.int32), frame.camera.resized(width, height), to).astype(np.int16)
    return Segments(ids, segments.boxes, segments.levels, segments.scores)


def feature_bytes(features: Sequence[FrameFeatures]) -> dict[str, Any]:
    """Give what 2D features take on disk, and what LangSplat's layout would take for the same masks.

    Returns:
        frames, segments, id_map_bytes, embedding_bytes, bytes (both), langsplat_bytes, times_smaller.
    """
    ids, embeddings, theirs, rows = 0, 0, 0, 0
    for frame in features:
        segments, vectors = frame.load()
        ids, embeddings = ids + frame.segments.stat().st_size, embeddings + frame.embeddings.stat().st_size
        theirs, rows = theirs + langsplat_bytes(segments, vectors.shape[1]), rows + len(vectors)
    return {
        "frames": len(features), "segments": rows, "id_map_bytes": ids, "embedding_bytes": embeddings,
        "bytes": ids + embeddings, "langsplat_bytes": theirs,
        "times_smaller": round(theirs / (ids + embeddings), 1) if features else None,
    }  # fmt: skip
