"""`langfield blocks`: a scene too large for one machine, its colours trained block by block on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.adopt import ADOPT_SETTINGS, adopt
from langfield.cluster.session import ClusterSettings, Session
from langfield.commands.import_ import report_run
from langfield.field.blocks import BlockSettings
from langfield.settings import RunSettings

CUT, HERE = BlockSettings(), ClusterSettings()


def blocks(
    data: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("outputs"),
    cut: tyro.conf.OmitArgPrefixes[BlockSettings] = CUT,
    cluster: ClusterSettings = HERE,
    settings: Annotated[RunSettings, tyro.conf.arg(name="")] = ADOPT_SETTINGS,
    json: bool = False,
) -> None:
    """Make a run of a large capture: masks, embeddings, colours in blocks and language, all on Ray; the same command
    again resumes.

    Args:
        data: the capture.
        out: folder of runs; the run is made in OUT/SCENE/import/TIME.
        cut: how the scene is cut; --photometric.steps are those of each block.
        cluster: where it is computed.
        settings: of the stages, as in training.
        json: print where the run lies and what came out as JSON.
    """
    session = Session(settings, cluster)
    splats = session.colour(session.prepare(data), cut)
    report_run(adopt(splats, data, out, settings, session), json)
