"""`langfield suite diagnose`: what the encoder of a run cannot tell apart in its scene."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.commands.output import print_json, print_text


def diagnose(
    run: Annotated[Path, tyro.conf.Positional],
    by: str = "colour",
    method: str = "mmvp",
    *,
    names: tuple[str, ...] = (),
    most: int = 20,
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """List blind pairs of a scene: things that questions confuse, told apart by colour, shape or another encoder.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        by: what tells them apart: colour, shape, or an image encoder such as openclip:MODEL/TAG.
        method: a method of the family diagnose, with settings where wanted: mmvp:same=0.9,apart=0.7.
        names: names that things are called by; common names by default.
        most: pairs listed at most.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print as JSON.
    """
    from langfield.scene import load

    rows = load(run, text_encoder).blind(by, method, names or None, most)
    if json:
        return print_json({"by": by, "method": method, "pairs": rows})
    for row in rows:
        named = " and ".join(f"thing {row[key]} ({text})" for key, text in zip("ab", row["texts"], strict=True))
        print_text(f"{named}: the encoder {row['same']:.2f}, {by} {row['apart']:.2f}")
    if not rows:
        print_text(f"no blind pair by {by}")
    return None
