"""LangSplat's 2D features (preprocess.py): per picture NAME_s.npy, maps of row numbers, and NAME_f.npy, the rows.

`_s` is float32 [4, H, W], -1 where no mask, its maps in the order default, s, m, l; `_f` is float32 [M, D], the
features of the four maps one after the other, so that every map counts on where the one before it ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float16, Float32, Int32, Integer
from scipy.ndimage import find_objects

from langfield.errors import FormatError
from langfield.npy import read_npy, write_npy
from langfield.segment.types import LEVELS, MAX_SEGMENTS, Segments

MAPS = 1 + len(LEVELS)
HEADER_BYTES = 128
"""What numpy writes before the numbers of an array of few dimensions."""
UNIT_TOLERANCE = 0.01
"""Vectors this near to unit length are taken as they are: half precision does not make them more exact."""
ADVICE = "make the files with LangSplat's preprocess.py or `langfield features`"


def langsplat_stems(names: Sequence[str]) -> dict[str, str]:
    """Give each frame's file name up to its first dot, as LangSplat names its files.

    Where LangSplat would write two frames into one file, both keep all but their suffix.

    Raises:
        FormatError: names that cannot be told apart even then.
    """
    short = {name: Path(name).name.split(".")[0] for name in names}
    counts = list(short.values())
    stems = {name: s if s and counts.count(s) == 1 else Path(name).stem for name, s in short.items()}
    if len(set(stems.values())) < len(names):
        raise FormatError("two frames share a file name", None, "give the pictures names of their own")
    return stems


def to_langsplat(
    segments: Segments, vectors: Float16[np.ndarray, "M D"]
) -> tuple[Float32[np.ndarray, "4 H W"], Float32[np.ndarray, "R D"]]:
    """Give the two arrays of one picture.

    The default map, which we do not make, holds the best-scoring segment of each pixel; as in LangSplat its features
    are repeats of other levels'. Rows that own no pixel are left out.
    """
    maps = np.concatenate([best_map(segments)[None], segments.ids])
    ids, rows = compact(maps.astype(np.int32))
    return ids.astype(np.float32), vectors[rows].astype(np.float32)


def best_map(segments: Segments) -> Integer[np.ndarray, "H W"]:
    """Give the row of the best-scoring segment of each pixel, of equal ones the smaller level's; -1 for none."""
    scores = np.append(segments.scores, np.float32(-1))  # read by id -1
    best = scores[segments.ids].argmax(axis=0)
    return np.take_along_axis(segments.ids, best[None], axis=0)[0]


def compact(maps: Int32[np.ndarray, "L H W"]) -> tuple[Int32[np.ndarray, "L H W"], Int32[np.ndarray, " R"]]:
    """Number the rows that own pixels anew, map after map, without gaps.

    Returns:
        maps of new numbers, and the old number of each new one; one that several maps name appears for each.
    """
    out, rows = np.full(maps.shape, -1, np.int32), []
    for level, ids in enumerate(maps):
        used = np.unique(ids[ids >= 0])
        start = sum(map(len, rows))
        lookup = np.full(int(ids.max(initial=-1)) + 2, -1, np.int32)
        lookup[used] = np.arange(start, start + len(used))
        out[level] = lookup[ids]  # id -1 reads the last, -1
        rows.append(used)
    return out, np.concatenate(rows).astype(np.int32)


def from_langsplat(
    maps: Int32[np.ndarray, "4 H W"], features: Float[np.ndarray, "M D"], where: object = None
) -> tuple[Segments, Float16[np.ndarray, "R D"]]:
    """Give segments and unit vectors of what `read_langsplat` read.

    The default map and rows without a pixel are dropped; boxes are those of the visible pixels and scores 1, since
    the files hold neither.

    Raises:
        FormatError: too many segments, or a feature that is no direction.
    """
    ids, rows = compact(maps[1:])
    if len(rows) > MAX_SEGMENTS:
        raise FormatError(f"{len(rows)} segments in one picture, at most {MAX_SEGMENTS} fit", where)
    counts = [len(np.unique(level[level >= 0])) for level in ids]
    places = [p for level in ids for p in find_objects(level + 1) if p is not None]
    boxes = np.array([[x.start, y.start, x.stop, y.stop] for y, x in places], np.int32).reshape(-1, 4)
    levels = np.repeat(np.arange(len(LEVELS)), counts).astype(np.int16)
    segments = Segments(ids.astype(np.int16), boxes, levels, np.ones(len(rows), np.float32))
    return segments, _unit(features[rows], where)


def _unit(vectors: Float[np.ndarray, "R D"], where: object) -> Float16[np.ndarray, "R D"]:
    wide = vectors.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.isfinite(length).all() or (length < 1e-6).any():
        raise FormatError("a feature is zero or not finite", where, ADVICE)
    return np.where(np.abs(length - 1) > UNIT_TOLERANCE, wide / length, wide).astype(np.float16)


def write_langsplat(folder: Path, stem: str, segments: Segments, vectors: Float16[np.ndarray, "M D"]) -> int:
    """Write one picture's two files and give their bytes.

    Raises:
        StorageError: a file cannot be written.
    """
    maps, features = to_langsplat(segments, vectors)
    for end, array in (("_s", maps), ("_f", features)):
        write_npy(folder / f"{stem}{end}.npy", array)
    return maps.nbytes + features.nbytes + 2 * HEADER_BYTES


def langsplat_bytes(segments: Segments, dim: int) -> int:
    """Give the bytes that `write_langsplat` would write for vectors of width `dim`."""
    shown = len(np.unique(best_map(segments)[best_map(segments) >= 0]))
    rows = shown + len(np.unique(segments.ids[segments.ids >= 0]))
    return 4 * (MAPS * segments.ids[0].size + rows * dim) + 2 * HEADER_BYTES


def read_langsplat(folder: Path, stem: str) -> tuple[Int32[np.ndarray, "4 H W"], Float[np.ndarray, "M D"]]:
    """Read one picture's maps and features as they are, distrusting them.

    Raises:
        FormatError: missing, damaged, of other shapes, or a map names a row that is not there.
    """
    maps_path, features_path = folder / f"{stem}_s.npy", folder / f"{stem}_f.npy"
    maps, features = read_npy(maps_path), read_npy(features_path)
    if maps.ndim != 3 or len(maps) != MAPS or 0 in maps.shape:
        raise FormatError(f"maps have shape {list(maps.shape)}, not [{MAPS}, H, W]", maps_path, ADVICE)
    if features.ndim != 2 or features.shape[1] == 0 or features.dtype.kind != "f":
        raise FormatError(f"features are {features.dtype} {list(features.shape)}, not [M, D]", features_path, ADVICE)
    low, high = maps.min(), maps.max()  # a NaN fails both comparisons
    if not (low >= -1 and high < len(features)) or (maps != np.floor(maps)).any():
        raise FormatError(f"maps name rows outside 0..{len(features) - 1}", maps_path, ADVICE)
    return maps.astype(np.int32), features
