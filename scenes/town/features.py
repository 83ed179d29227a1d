"""Exact 2D language features of a photo: masks of pieces and things, and a fixed vector for each name."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from jaxtyping import Float32
from scipy.ndimage import find_objects

from langfield.segment.types import Segments
from langfield.suite.types import TextEncoder
from town.photo import Photo

DIM = 512
PIECE_SHARE = 0.35
"""How much of a piece's vector is what it is called; the rest is the thing's."""


class Vectors:
    """A unit vector for every name, the same in every photo.

    Args:
        encoder: whose vectors of texts are taken; None for vectors drawn from the names themselves.
    """

    def __init__(self, encoder: TextEncoder | None = None) -> None:
        self.of = cache(self._drawn if encoder is None else lambda name: _unit(_encoded(encoder, name)))

    @staticmethod
    def _drawn(name: str) -> np.ndarray:
        """Draw a vector; as in CLIP, all share a direction, and names that share words are alike."""
        parts = [_normal(word) for word in ("", *name.split(), name)]
        return _unit(np.sum(parts, axis=0))


def _encoded(encoder: TextEncoder, name: str) -> np.ndarray:
    return torch.as_tensor(encoder.encode_texts([name])).detach().float().cpu().numpy()[0]


def _normal(word: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).normal(size=DIM)


def _unit(vector: np.ndarray) -> np.ndarray:
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def features(photo: Photo, vectors: Vectors) -> tuple[Segments, Float32[np.ndarray, "M D"]]:
    """Give the segments of a photo (subpart and part: pieces; whole: things) and a vector for each."""
    things = photo.ids.astype(np.int32) - 1
    maps, rows = [], []
    for level, ids in enumerate((photo.pieces, photo.pieces, things)):
        found, compact = _compact(ids)
        maps.append(np.where(compact >= 0, compact + len(rows), -1))
        rows += [(level, _vector(photo, number, level, vectors)) for number in found]
    ids = np.stack(maps).astype(np.int16)
    boxes = np.concatenate([_boxes(level) for level in ids]).reshape(-1, 4).astype(np.int32)
    levels = np.array([level for level, _ in rows], np.int16)
    table = np.stack([vector for _, vector in rows]) if rows else np.zeros((0, DIM), np.float32)
    return Segments(ids, boxes, levels, np.ones(len(rows), np.float32)), table


def _vector(photo: Photo, number: int, level: int, vectors: Vectors) -> np.ndarray:
    if level == 2:
        return vectors.of(photo.names[number + 1])
    thing = int(photo.ids[photo.pieces == number][0])
    own = vectors.of(photo.piece_names[number])
    return _unit((1 - PIECE_SHARE) * vectors.of(photo.names[thing]) + PIECE_SHARE * own)


def _compact(ids: np.ndarray) -> tuple[Sequence[int], np.ndarray]:
    """Number what is there from 0, rising; -1 stays."""
    found = np.unique(ids[ids >= 0])
    return found.tolist(), np.where(ids >= 0, np.searchsorted(found, ids), -1)


def _boxes(ids: np.ndarray) -> np.ndarray:
    """Give x0 y0 x1 y1 of every number on a map."""
    first = int(ids[ids >= 0].min()) if (ids >= 0).any() else 0
    found = find_objects(np.where(ids >= 0, ids - first + 1, 0))
    return np.array([(x.start, y.start, x.stop, y.stop) for y, x in found]).reshape(-1, 4)
