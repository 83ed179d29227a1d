"""A capture's content key: the same pictures, cameras and points give the same key, wherever they lie."""

from __future__ import annotations

import hashlib

from langfield.artefacts import content_key, file_key
from langfield.capture.types import Capture, Frame, Points


def capture_key(capture: Capture) -> str:
    """Hash pictures' bytes, masks, depth maps, cameras, names and start points (32 hex digits)."""
    frames = [_frame_parts(frame) for frame in capture.frames]
    return content_key(frames, _points_key(capture.points), capture.world, capture.unit)


def _frame_parts(frame: Frame) -> list[object]:
    files = [file_key(p) if p is not None else None for p in (frame.path, frame.mask_path, frame.depth_path)]
    return [frame.name, files, frame.camera, frame.source]


def _points_key(points: Points) -> str:
    digest = hashlib.sha256(str(len(points.xyz)).encode())
    for tensor in (points.xyz, points.rgb):
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
