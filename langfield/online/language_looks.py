"""What one keyframe says of the Gaussians, and of which map and from which pose it said it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int16, Int64
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import FormatError
from langfield.field.lift import COLUMN_BITS, SEGMENT_BITS, Sums
from langfield.raster import Gaussians
from langfield.segment.types import Segments


@dataclass(frozen=True)
class Look:
    """A keyframe's segments and their sums."""

    id: int
    """Of the keyframe; the view of its columns."""
    ids: Int16[Tensor, "L H W"]
    vectors: Float[Tensor, "M D"]
    codes: Int16[Tensor, "M K"]
    """Of the vectors, over the growing codebook."""
    tracks: Int64[Tensor, " M"]
    """The thing that each segment belongs to, -1 where the map does not show it."""
    sums: Sums
    """Their Gaussians are numbered by name (`language_rows`)."""
    seen_from: str
    """Hash of the geometry and the camera."""
    age: int
    """Looks taken before it."""

    @property
    def bytes(self) -> int:
        """Memory that it takes."""
        tensors = (self.ids, self.vectors, self.codes, self.tracks, self.sums.key, self.sums.steps)
        return sum(t.numel() * t.element_size() for t in tensors)

    def names_of(self, segments: Bool[Tensor, " M"]) -> Int64[Tensor, " P"]:
        """Give the Gaussians, by name and repeatedly, that some of its segments are seen on."""
        return self.sums.gaussian[segments[self.sums.column & (2**SEGMENT_BITS - 1)]]

    def names(self) -> Int64[Tensor, " P"]:
        """Give the Gaussians, by name and repeatedly, that it speaks of."""
        row = self.sums.key >> COLUMN_BITS
        first = torch.ones(len(row), dtype=torch.bool)
        first[1:] = row[1:] != row[:-1]
        return self.sums.gaussian[first]


def checked_ids(segments: Segments, vectors: Float[Tensor, "M D"]) -> Int16[Tensor, "L H W"]:
    """Give id maps that fit their vectors.

    Raises:
        FormatError: they do not.
    """
    ids = torch.from_numpy(segments.ids).to(torch.int16)
    if vectors.ndim != 2 or (ids.numel() and (int(ids.min()) < -1 or int(ids.max()) >= len(vectors))):
        found = f"ids up to {int(ids.max()) if ids.numel() else -1}, vectors {tuple(vectors.shape)}"
        raise FormatError("a keyframe's segments and vectors do not fit", found, "embed the same segments")
    if not bool(torch.isfinite(vectors).all()) or not bool(vectors.any(dim=1).all()):
        raise FormatError("a keyframe's vectors are not finite or of no length", f"shape {tuple(vectors.shape)}")
    return ids


def geometry_hash(gaussians: Gaussians) -> bytes:
    """Give a hash of all that decides where Gaussians are seen."""
    digest = hashlib.blake2b(digest_size=16)
    for tensor in gaussians.tensors()[:4]:
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.digest()


def place_hash(geometry: bytes, camera: Camera) -> str:
    """Give a hash of a map and of the camera it is seen by."""
    digest = hashlib.blake2b(geometry, digest_size=16)
    for tensor in (camera.K, camera.T_world_camera):
        digest.update(tensor.detach().cpu().double().contiguous().numpy().tobytes())
    digest.update(f"{camera.width}x{camera.height}".encode())
    return digest.hexdigest()
