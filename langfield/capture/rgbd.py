"""Frames that come one after another, most with depth: what a stream is, and streams recorded in files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from langfield.capture.images import opened, read_picture
from langfield.capture.lens import pinhole_for, undistort_maps
from langfield.capture.types import Camera
from langfield.errors import FormatError

MAX_FRAMES = 1_000_000
SAME_SURFACE = 0.02
"""Depths of one pixel that differ by a smaller share are one surface and may be averaged."""


@dataclass(frozen=True)
class RgbdFrame:
    """One picture of a stream, with depth where there is any."""

    index: int
    """Number in the stream, from 0."""
    time_s: float
    """Clock of the stream, seconds."""
    image: UInt8[np.ndarray, "H W 3"]
    depth_m: Float[np.ndarray, "H W"] | None
    """float32 metres along the camera's z axis; 0 where unknown; None without depth."""
    camera: Camera
    """Intrinsics, size and distortion; `T_world_camera` is the given pose, the identity where `has_pose` is False."""
    has_pose: bool
    name: str
    """File name it came from: the key labels are matched by."""


class FrameSource(Protocol):
    """Anything frames come out of, in order; `next` may raise FormatError for one frame and then give the one after."""

    @property
    def name(self) -> str:
        """A few words to show."""
        ...

    @property
    def unit(self) -> str:
        """Unit of poses and depth: "metre" or "unknown"."""
        ...

    @property
    def count(self) -> int | None:
        """Number of frames; None where it is not known before the end."""
        ...

    def __iter__(self) -> Iterator[RgbdFrame]:
        """Give the frames, each once."""
        ...


@dataclass(frozen=True)
class SourceSettings:
    """How a recorded stream is read."""

    camera: str = "auto"
    """Published intrinsics of a TUM sequence, "fr1", "fr2" or "fr3"; "auto" takes those beside it, or its name's."""
    tolerance_s: float = 0.02
    """Depth maps and poses this close to a picture in time belong to it, seconds."""
    every: int = 1
    """Take every n-th picture."""
    most: int | None = None
    """Stop after so many pictures."""
    undistort: bool = True
    """Take the lens distortion out of pictures and depth."""


@dataclass(frozen=True)
class Shot:
    """One frame of a recorded stream before it is loaded."""

    time_s: float
    picture: Path
    depth: Path | None
    T_world_camera: Float[np.ndarray, "4 4"] | None
    """OpenCV camera axes, metres; None without a pose."""


@dataclass(frozen=True)
class Recorded:
    """A stream that lies in files; each frame is loaded when it is asked for."""

    name: str
    shots: tuple[Shot, ...]
    camera: Camera
    """Of every picture as stored."""
    depth_scale: float
    """Units of the depth files in a metre."""
    flat: Camera | None = None
    """The camera of the frames that come out, where it is not `camera`: without distortion."""
    unit: str = "metre"
    notes: tuple[str, ...] = ()
    """What a person should be told once."""

    @property
    def count(self) -> int:
        """Number of frames."""
        return len(self.shots)

    def __len__(self) -> int:
        """Give the number of frames."""
        return len(self.shots)

    def __iter__(self) -> Iterator[RgbdFrame]:
        """Load frame after frame; after a FormatError the next frame can still be asked for."""
        return map(self.__getitem__, range(len(self.shots)))

    def __getitem__(self, index: int) -> RgbdFrame:
        """Load one frame.

        Raises:
            FormatError: a picture or depth map is missing, damaged or of another size.
        """
        shot = self.shots[index]
        size = (self.camera.width, self.camera.height)
        image = read_picture(shot.picture, size)
        depth = read_depth(shot.depth, self.depth_scale, size) if shot.depth is not None else None
        if self.flat is not None:
            maps = undistort_maps(self.camera, self.flat)
            image = cv2.remap(image, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            depth = cv2.remap(depth, *maps, cv2.INTER_NEAREST) if depth is not None else None
        camera = posed(self.flat or self.camera, shot.T_world_camera, shot.time_s)
        return RgbdFrame(index, shot.time_s, image, depth, camera, shot.T_world_camera is not None, shot.picture.name)


def recorded(
    name: str, shots: Sequence[Shot], camera: Camera, depth_scale: float, settings: SourceSettings
) -> Recorded:
    """Make a stream of shots, thinned and undistorted as `settings` says.

    Raises:
        FormatError: no shot is left, or the lens cannot be undone.
    """
    if settings.every < 1 or (settings.most is not None and settings.most < 1):
        raise FormatError("'every' and 'most' must be at least 1", name)
    kept = tuple(shots[:: settings.every][: settings.most])
    if not kept:
        raise FormatError("no frame in this stream has its picture here", name, "check that the pictures are there")
    flat = pinhole_for(camera, name) if settings.undistort and camera.distortion is not None else None
    return Recorded(name, kept, camera, depth_scale, flat)


def posed(camera: Camera, T_world_camera: Float[np.ndarray, "4 4"] | None, time_s: float) -> Camera:
    """Give `camera` at a pose (the identity for None) and a time in seconds."""
    import torch

    T = torch.eye(4, dtype=torch.float64) if T_world_camera is None else torch.from_numpy(T_world_camera)
    return replace(camera, T_world_camera=T, time_s=time_s)


def read_depth(path: Path, scale: float, size: tuple[int, int], data: bytes | None = None) -> Float[np.ndarray, "H W"]:
    """Read a 16-bit depth picture as float32 metres, 0 where unknown.

    Args:
        path: one channel, `scale` units to the metre.
        scale: as the format states it.
        size: width and height of the picture it belongs to.
        data: the file's bytes, if they are here already; `path` then only names it.

    Raises:
        FormatError: not such a picture, or of another size.
    """
    with opened(path, data) as image:
        if image.size != size or not image.mode.startswith("I"):
            said = f"{image.width}x{image.height} of mode {image.mode}"
            raise FormatError(f"depth map is {said}, not {size[0]}x{size[1]} of 16 bit", path, "leave this frame out")
        image.load()
        return np.asarray(image).astype(np.uint16).astype(np.float32) / np.float32(scale)


def known_depth(depth_m: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Give depth as float32 with 0 for all that is not a positive finite number."""
    depth = np.asarray(depth_m, np.float32)
    return np.where(np.isfinite(depth) & (depth > 0), depth, np.float32(0))


def at_size(frame: RgbdFrame, longest_px: int) -> RgbdFrame:
    """Give a frame no longer than `longest_px` on its longer side; depth is never averaged across an edge.

    Args:
        frame: as it came.
        longest_px: pixels; smaller frames stay as they are.
    """
    height, width = frame.image.shape[:2]
    share = longest_px / max(width, height)
    if share >= 1:
        return frame
    size = (max(1, round(width * share)), max(1, round(height * share)))
    image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
    depth = _shrunk(frame.depth_m, size) if frame.depth_m is not None else None
    return replace(frame, image=image, depth_m=depth, camera=frame.camera.resized(*size))


def _shrunk(depth_m: Float[np.ndarray, "H W"], size: tuple[int, int]) -> Float[np.ndarray, "h w"]:
    """Average inverse depth (linear in the picture on a plane) on one surface, take the nearest pixel elsewhere."""
    depth = known_depth(depth_m)
    known = (depth > 0).astype(np.float32)
    inverse = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    total, share = (cv2.resize(a, size, interpolation=cv2.INTER_AREA) for a in (inverse, known))
    nearest = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST_EXACT)
    smooth = np.divide(share, total, out=np.zeros_like(total), where=total > 0)
    one = (share > 0.999) & (np.abs(smooth - nearest) < SAME_SURFACE * nearest)
    return np.where(one, smooth, nearest)
