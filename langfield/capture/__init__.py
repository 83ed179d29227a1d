"""Files to frames, cameras and start points.

A format is a module with `find(path)`, which gives what it would read or None, and `read(found, allow_outside)`.
"""

from __future__ import annotations

from pathlib import Path

from langfield.capture import colmap, dnerf, nerfies, neu3d, transforms
from langfield.capture.key import capture_key
from langfield.capture.lens import map_points_to_frame
from langfield.capture.normalize import NormalizeSettings, normalize_capture, read_normalized
from langfield.capture.types import Camera, Capture, Distortion, Frame, Points
from langfield.errors import FormatError

FORMATS = (transforms, dnerf, nerfies, neu3d, colmap)
"""In order of preference where a folder holds several."""


TOLERANT = (transforms, dnerf, colmap)
"""Formats that can leave damaged pictures out; in videos and in layouts with a file per camera all must be there."""


def read_capture(path: Path, allow_outside: bool = False, damaged: dict[str, str] | None = None) -> Capture:
    """Read a posed capture, of whichever format it is, and check all of it before anything is built on it.

    Args:
        path: a scene's folder, or a transforms.json.
        allow_outside: accept files outside the scene's folder (a scene from a stranger should not have any).
        damaged: where given, pictures that are damaged are left out and said here, by name, where the format can do so.

    Raises:
        FormatError: no capture there, or something in it is missing, damaged, not finite or outside.
    """
    if not path.exists():
        raise FormatError("capture not found", path)
    for kind in FORMATS:
        found = kind.find(path)
        if found is not None:
            more = (damaged,) if kind in TOLERANT else ()
            return kind.read(found, allow_outside, *more)
    raise FormatError(
        "no capture here: neither transforms.json (or D-NeRF's three), dataset.json of Nerfies or HyperNeRF, "
        "poses_bounds.npy with videos as Neu3D has them, nor a COLMAP model in sparse/0",
        path,
        "make one from photos or a video with 'langfield prepare'",
    )


__all__ = [
    "FORMATS",
    "Camera",
    "Capture",
    "Distortion",
    "Frame",
    "NormalizeSettings",
    "Points",
    "capture_key",
    "map_points_to_frame",
    "normalize_capture",
    "read_capture",
    "read_normalized",
]
