"""`langfield prepare`: photos or a video to a posed capture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.commands.output import print_json, print_text


def prepare(source: Annotated[Path, tyro.conf.Positional], out: Path, frames: int = 120, json: bool = False) -> None:
    """Find the camera of every photo (structure from motion) and write a capture that ns-train langsplat reads.

    Args:
        source: a folder of photos (JPEG, PNG, HEIC, ...) or a video file.
        out: folder to write: images, sparse/0, transforms.json, start points.
        frames: how many pictures to take from a video.
        json: print the report as JSON.
    """
    from langfield.capture.prepare import PrepareSettings
    from langfield.capture.prepare import prepare as run_prepare

    report = run_prepare(source, out, PrepareSettings(n_frames=frames))
    if json:
        print_json(report)
        return
    print_text(f"{report.n_registered} of {report.n_pictures} pictures have a camera; {report.n_points} points")
    for name in report.left_out:
        print_text(f"  not registered: {name}")
    print_text(f"next: ns-train langsplat --data {out}")
