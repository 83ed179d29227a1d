"""`langfield export`: a field's Gaussians, all or some, as a PLY that opens elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from langfield.artefacts import file_key, write_json
from langfield.commands.output import print_json, print_text
from langfield.errors import QueryError, SettingsError

if TYPE_CHECKING:
    import numpy as np

    from langfield.run import Run

SIDECAR_VERSION = 1


def export(
    run: Annotated[Path, tyro.conf.Positional],
    out: Path = Path("point_cloud.ply"),
    answer: Path | None = None,
    text: str | None = None,
    time: float | None = None,
    json: bool = False,
) -> None:
    """Write Gaussians as a splat PLY, and beside it a JSON that keeps their frame, unit, source and rows.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        out: the PLY to write; the JSON has its name and ends in .json.
        answer: only the Gaussians that this answer of `langfield query --out` selected.
        text: only the Gaussians that this text selects.
        time: as they are at this time, seconds, where they move; the first time by default.
        json: print what was written as JSON, without the rows.
    """
    from langfield.field.at_time import at_time, check_time, span_s
    from langfield.field.ply import write_ply
    from langfield.field.shard_index import FILE, FOLDER, is_sharded
    from langfield.field.store import FIELD_FILE
    from langfield.field.world import world_of
    from langfield.raster.types import Gaussians
    from langfield.run import open_run

    if out.suffix != ".ply":
        raise SettingsError("splats are written as PLY", f"--out {out}", "end its name in .ply")
    opened = open_run(run)
    rows, how = _selected(opened, answer, text)
    moves = opened.field.deformation is not None
    if time is not None and not moves:
        raise SettingsError("the scene stands still", f"--time {time}", "leave it out")
    if time is not None:
        check_time(opened.field, time)
    tensors = at_time(opened.field, time).gaussians.tensors()
    gaussians = Gaussians(*(t if rows is None else t[rows] for t in tensors))
    world = world_of(opened.field.provenance)
    file = opened.path / FOLDER / FILE if is_sharded(opened.path) else opened.path / FIELD_FILE
    about = {
        "format": "langfield splats", "version": SIDECAR_VERSION, "gaussians": len(gaussians), "world": world,
        "source": {
            "run": "/".join(opened.path.resolve().parts[-3:]), "field_sha256": file_key(file),
            "gaussians": len(opened.field.gaussians),
        },
        "selected_by": how, "rows": rows,
        **({"time_s": span_s(opened.field)[0] if time is None else time} if moves else {}),
    }  # fmt: skip
    write_ply(out, gaussians)
    write_json(out.with_suffix(".json"), about)
    if json:
        print_json({"ply": out, **{name: value for name, value in about.items() if name != "rows"}})
    else:
        of = f" of {len(opened.field.gaussians)}" if rows is not None else ""
        print_text(f"{out}: {len(gaussians)}{of} Gaussians in the frame of the capture (unit: {world.unit})")


def _selected(run: Run, answer: Path | None, text: str | None) -> tuple[np.ndarray | None, dict[str, Any] | None]:
    """Give the rows to write, None for all, and what selected them."""
    from langfield.query.answer import ask
    from langfield.query.rows import read_rows

    if answer is not None and text is not None:
        raise SettingsError("give an answer or a text, not both", "--answer, --text")
    if answer is not None:
        rows, how = read_rows(answer, len(run.field.gaussians)), {"answer": answer.name}
    elif text is not None:
        found = ask(run.field, run.views, run.text_encoder(), text)
        rows = found.selection.rows
        how = {"text": found.text, "score": round(found.score, 4), "verdict": found.verdict, "note": found.note}
    else:
        return None, None
    if len(rows) == 0:
        raise QueryError("no Gaussian is selected", text or answer, "ask for something else")
    return rows, how
