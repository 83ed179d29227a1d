"""`langfield teach`: names learnt from clicked examples, kept as a head that queries and the viewer can ask."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from langfield.commands.output import print_json, print_text

if TYPE_CHECKING:
    from langfield.scene import Scene
    from langfield.suite.head import Head


def teach(
    run: Annotated[Path, tyro.conf.Positional],
    examples: Annotated[tuple[str, ...], tyro.conf.Positional],
    out: Path | None = None,
    *,
    method: str = "gda",
    none: tuple[str, ...] = (),
    also: tuple[str, ...] = (),
    negatives: tuple[str, ...] = (),
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Teach names by examples: "mug=3,17" "globe=view_07.png:120,80". Asked by: langfield query RUN --head FILE.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        examples: NAME=EXAMPLE,EXAMPLE, each a thing's number (of `langfield query RUN --list`) or a pixel VIEW:x,y.
        out: the head's file; RUN/heads/NAMES.safetensors by default.
        method: of the suite's family teach, with settings where wanted: gda, coop, clip-svd:steps=20 (`langfield suite
            list --family teach`).
        none: examples of none of the names.
        also: further names, told from the others by their texts alone.
        negatives: what all names are held against, instead of object, things, stuff and texture.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print as JSON.
    """
    from langfield.query.gather_clicks import read_clicks
    from langfield.query.relevancy import CANONICALS
    from langfield.scene import load
    from langfield.suite.head import HEADS, head_file, write_head

    clicks, scene = read_clicks(examples, none), load(run, text_encoder)
    scene.text_encoder.encode_texts(["thing"])  # loaded before the clock starts
    start = time.perf_counter()
    head = scene.teach(clicks, method, also=also, negatives=negatives or CANONICALS)
    seconds = time.perf_counter() - start
    path = out or scene.run.path / HEADS / head_file(head.names)
    write_head(path, head)
    report: dict[str, Any] = {
        "head": path, "about": dict(head.about), "seconds": round(seconds, 3), "names": _found(scene, head)
    }  # fmt: skip
    if json:
        return print_json(report)
    told = ", ".join(f"{key} {value}" for key, value in head.about)
    print_text(f"{path}: {told}; {seconds:.2f} s")
    for row in report["names"]:
        before = "" if row["by_text"] is None else f"; by its text alone thing {row['by_text']}"
        print_text(f"  {row['name']}: thing {row['thing']} ({row['score']:.3f}){before}; {row['things']} things in all")
    return None


def _found(scene: Scene, head: Head) -> list[dict[str, Any]]:
    """Say which thing each name finds now, and which its text alone finds; nothing without things."""
    from langfield.query.heads import head_things
    from langfield.query.things import thing_scores

    if scene.run.field.instances is None or len(scene.run.field.instances) == 0:
        return [{"name": name, "thing": None, "score": 0.0, "by_text": None, "things": 0} for name in head.names]
    taught, said = head_things(scene.run.field, head), thing_scores(scene.run.field, scene.question(head.names))
    return [
        {"name": name, "thing": int(taught[i].argmax()), "score": round(float(taught[i].max()), 4),
         "by_text": int(said[i].argmax()), "things": int((taught[i] > 0.5).sum())}
        for i, name in enumerate(head.names)
    ]  # fmt: skip
