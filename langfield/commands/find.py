"""`langfield find`: a thing again: things of one run in another, or by a picture or a long text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from langfield.commands.output import print_json, print_text
from langfield.errors import SettingsError


@dataclass(frozen=True)
class Wanted:
    """What is looked for."""

    picture: Path | None = None
    """Find what this picture shows."""
    text: str | None = None
    """Find what this text describes; it may be long."""
    thing: int | None = None
    """With another run: only this thing of the first."""


def find(
    run: Annotated[Path, tyro.conf.Positional],
    other: Annotated[Path | None, tyro.conf.Positional] = None,
    *,
    method: str = "plain",
    wanted: Annotated[Wanted, tyro.conf.arg(name="")] = Wanted(),
    names: tuple[str, ...] = (),
    most: int = 5,
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Find things again: RUN and OTHER link things of two scans; --picture or --text ranks the things of RUN.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        other: another run, whose things are looked for in the first.
        method: plain, cross-gap, lexiclip or clippings, with settings where wanted (`langfield suite list --family
            find`); the last two learn from this run's own views of its things.
        wanted: what is looked for.
        names: names that things are called by; those of captions and common ones by default.
        most: things listed at most.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print as JSON.
    """
    from langfield.scene import load

    if sum((other is not None, wanted.picture is not None, wanted.text is not None)) != 1:
        raise SettingsError("things are found by another run, by --picture or by --text", remedy=_remedy(other, wanted))
    scene = load(run, text_encoder)
    if other is not None:
        rows = scene.link(load(other, text_encoder), method, names=names or None)
        rows = [row for row in rows if wanted.thing in (None, row["thing"])][:most]
    else:
        rows = scene.find(wanted.text, picture=wanted.picture, method=method, names=names or None, most=most)
    if json:
        return print_json({"method": method, "found": rows})
    for row in rows:
        print_text(_line(row))
    return None


def _remedy(other: Path | None, wanted: Wanted) -> str:
    if other is not None and wanted.text is not None and not other.exists():
        return f'a text of several words stands in quotes: --text "{wanted.text} {other} ..."'
    return "give one of them"


def _line(row: dict[str, Any]) -> str:
    if "other" not in row:
        return f"{row['cosine']:.3f}  thing {row['thing']:<4} {row['name']}"
    mark = "" if row["mutual"] else "  (not mutual)"
    return (
        f"{row['cosine']:.3f}  thing {row['thing']:<4} {row['name']:<20} is {row['other']:<4} {row['other_name']}{mark}"
    )
