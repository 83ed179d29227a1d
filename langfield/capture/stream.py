"""A recorded RGB-D sequence, of whichever layout, as a stream of frames.

A layout is a module with `find(path)`, which gives the sequence's folder or None, and `read(folder, settings)`.
"""

from __future__ import annotations

from pathlib import Path

from langfield.capture import replica, tum, walked
from langfield.capture.rgbd import FrameSource, Recorded, RgbdFrame, SourceSettings, at_size, known_depth
from langfield.errors import FormatError

LAYOUTS = (tum, replica, walked)
"""In order of preference where a folder holds several."""


def open_source(path: Path, settings: SourceSettings | None = None) -> Recorded:
    """Open a recorded sequence; its lists and poses are read and checked now, its pictures as they are asked for.

    Args:
        path: a folder in TUM's layout (rgb.txt, and where there are, depth.txt, groundtruth.txt), in Replica's
            (results/frame000000.jpg, traj.txt), or with a posed capture (transforms.json, COLMAP's sparse/0).
        settings: see `SourceSettings`.

    Raises:
        FormatError: no sequence there, or something in it is missing, damaged, not finite or outside.
    """
    if not path.is_dir():
        raise FormatError("sequence not found", path, "give the folder that holds rgb.txt, results or transforms.json")
    for layout in LAYOUTS:
        found = layout.find(path)
        if found is not None:
            return layout.read(found, settings or SourceSettings())
    raise FormatError(
        "no sequence here: neither rgb.txt (TUM) nor results and traj.txt (Replica) nor a posed capture", path,
        "make a capture from a video with 'langfield prepare'",
    )  # fmt: skip


__all__ = [
    "LAYOUTS",
    "FrameSource",
    "Recorded",
    "RgbdFrame",
    "SourceSettings",
    "at_size",
    "known_depth",
    "open_source",
]
