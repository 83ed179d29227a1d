"""`langfield prepare`: photos or a video to a posed capture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.commands.output import print_json, print_text


def prepare(source: Annotated[Path, tyro.conf.Positional], out: Path, frames: int = 60, json: bool = False) -> None:
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
    taken = len(report.registered) + len(report.unregistered)
    print_text(
        f"{len(report.registered)} of {taken} pictures have a camera; {report.n_points} points, "
        f"{report.reprojection_error_px:.2f} px, {report.seconds:.0f} s"
    )
    for name in report.unregistered:
        print_text(f"  no camera found: {name}")
    for name, why in report.unreadable.items():
        print_text(f"  not readable: {name}: {why}")
    if len(report.model_sizes) > 1:
        sizes = ", ".join(map(str, report.model_sizes))
        print_text(
            f"  the pictures fell into {len(report.model_sizes)} unconnected groups ({sizes}); the first is used"
        )
    print_text(f"next: ns-train langsplat --data {out}")
