"""Whether a capture with points lies beside a stream, in the stream's own world."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from langfield.capture import colmap, read_capture, transforms
from langfield.capture.stream import open_source

SAME_PLACE = 0.02
"""Poses of one picture agree that are closer than this share of the path's size, and whose axes differ by less."""


def points_beside(folder: Path) -> Path | None:
    """Give the folder if it holds a posed capture with points whose poses are those of the stream in it.

    Args:
        folder: of a recorded stream.

    Raises:
        FormatError: stream or capture are damaged.
    """
    if all(kind.find(folder) is None for kind in (transforms, colmap)):
        return None
    capture = read_capture(folder)
    if not len(capture.points.xyz):
        return None
    given = {shot.picture.resolve(): shot.T_world_camera for shot in open_source(folder).shots}
    pairs = [(T, f.camera.T_world_camera.double().numpy()) for f in capture.frames
             if (T := given.get(f.path.resolve())) is not None]  # fmt: skip
    if not pairs:
        return None
    stream, own = (np.stack(poses) for poses in zip(*pairs, strict=True))
    size = max(float(np.ptp(own[:, :3, 3], axis=0).max()), 1e-9)
    apart = float(np.abs(stream[:, :3, 3] - own[:, :3, 3]).max()) / size
    turned = float(np.abs(stream[:, :3, :3] - own[:, :3, :3]).max())
    return folder if max(apart, turned) < SAME_PLACE else None
