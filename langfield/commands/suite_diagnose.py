"""`langfield suite diagnose` and `languages`: what the encoder of a run cannot tell apart, and in whose words."""

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
        names: names that things are called by; those of captions and common ones by default.
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


def languages(
    run: Annotated[Path, tyro.conf.Positional],
    labels: Annotated[Path, tyro.conf.Positional],
    things: Annotated[tuple[str, ...], tyro.conf.Positional],
    *,
    method: str = "babel-imagenet",
    forms: Path | None = None,
    only: tuple[str, ...] = (),
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Tell in which languages the things of a scene are told apart by their names.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        labels: names of classes by language, as Babel-ImageNet has them: {"en": [[0, 1], ["mug", "globe"]], ...}.
        things: which thing is which, by its English name: "mug=3,17" "globe=view_07.png:120,80".
        method: with settings where wanted: babel-imagenet:reference=de.
        forms: forms of words by language, {"en": ["a photo of {}"], ...}.
        only: codes of the languages wanted; all by default.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print as JSON.
    """
    from langfield.query.gather_clicks import read_clicks
    from langfield.scene import load

    rows = load(run, text_encoder).languages(labels, read_clicks(things), method, forms=forms, only=only)
    if json:
        return print_json({"method": method, "languages": rows})
    for row in rows:
        behind = f", {row['gap']:+.3f} behind" if "gap" in row else ""
        told = f"{row['accuracy']:.3f} of {row['things']} things told right{behind} (chance {row['chance']:.3f})"
        print_text(f"{row['language']:<6} {told}")
    return None
