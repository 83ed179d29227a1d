"""`langfield import`: splats trained elsewhere and their capture to a run that can be asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.adopt import ADOPT_SETTINGS, adopt
from langfield.artefacts import read_json
from langfield.cluster.session import ClusterSettings, Session
from langfield.commands.output import print_json, print_text
from langfield.progress import how_to_ask
from langfield.run import MANIFEST
from langfield.settings import RunSettings


def import_splats(
    splats: Annotated[Path, tyro.conf.Positional],
    data: Path,
    out: Path = Path("outputs"),
    settings: Annotated[RunSettings, tyro.conf.arg(name="")] = ADOPT_SETTINGS,
    cluster: str | None = None,
    json: bool = False,
) -> None:
    """Lift the language stage onto splats trained elsewhere; the same command again resumes.

    Args:
        splats: a 3DGS PLY, a SOG folder or its meta.json, in the same frame as the capture's cameras.
        data: the capture: a folder with pictures and transforms.json or a COLMAP model.
        out: folder of runs; the run is made in OUT/SCENE/import/TIME.
        settings: of the stages, as in training; those of the colour stage have no effect.
        cluster: compute with Ray: local, auto or HOST:PORT.
        json: print where the run lies and what came out as JSON.
    """
    session = Session(settings, ClusterSettings(cluster)) if cluster is not None else None
    report_run(adopt(splats, data, out, settings, session), json)


def report_run(folder: Path, json: bool) -> None:
    """Print where a run lies, what came out, and how to look at it."""
    about = read_json(folder / MANIFEST)
    if json:
        print_json({"run": folder, "quality": about["quality"], "seconds": about["seconds"]})
        return
    quality = about["quality"]
    print_text("  ".join(f"{name} {value:.1f} s" for name, value in about["seconds"].items()))
    kept_out = quality["psnr_held_out_db"]
    more = "" if kept_out is None else f", {kept_out:.2f} dB on views held out"
    print_text(f"{quality['gaussians']} Gaussians, PSNR {quality['psnr_training_db']:.2f} dB{more}")
    print_text(how_to_ask(folder))
