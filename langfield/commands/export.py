"""`langfield export`: a field's Gaussians as a PLY that opens elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.artefacts import write_json
from langfield.commands.output import print_json, print_text


def export(run: Annotated[Path, tyro.conf.Positional], out: Path = Path("point_cloud.ply"), json: bool = False) -> None:
    """Write all Gaussians as a splat PLY, and beside it a JSON that says which frame and unit they are in.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        out: the PLY to write.
        json: print what was written as JSON.
    """
    from langfield.artefacts import read_json
    from langfield.field.ply import write_ply
    from langfield.run import open_run

    opened = open_run(run)
    capture = read_json(opened.path / "capture.json")
    about = {
        "gaussians": len(opened.field.gaussians), "world": capture["world"], "unit": capture["unit"],
        "transform_from_capture": "identity",
    }  # fmt: skip
    write_ply(out, opened.field.gaussians)
    write_json(out.with_suffix(".json"), about)
    if json:
        print_json({"ply": out, **about})
    else:
        print_text(f"{out}: {about['gaussians']} Gaussians in the frame of the capture (unit: {about['unit']})")
