"""`langfield query`: ask a field for something in words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from langfield.artefacts import write_json
from langfield.commands.output import print_json, print_text
from langfield.query.answer import Answer


def query(
    run: Annotated[Path, tyro.conf.Positional],
    text: Annotated[str, tyro.conf.Positional],
    out: Path | None = None,
    picture: Path | None = None,
    text_encoder: str | None = None,
    json: bool = False,
) -> None:
    """Find what the words name: score, view, pixel, place in space, Gaussians.

    Args:
        run: a run's folder, its config.yml, or a folder with runs below it.
        text: what to look for, such as "red mug".
        out: write the whole answer (mask and boxes included) to this JSON file.
        picture: draw the answer into this PNG.
        text_encoder: use another text encoder than the run's; it must share the image encoder's space.
        json: print the answer as JSON.
    """
    from langfield.query.answer import ask
    from langfield.run import open_run

    opened = open_run(run)
    answer = ask(opened.field, opened.views, opened.text_encoder(text_encoder), text)
    data = answer.data()
    if out is not None:
        write_json(out, data)
    if picture is not None:
        _draw(answer, picture)
    if json:
        print_json(data)
        return
    place = "nothing solid there" if answer.position is None else "({:.3f}, {:.3f}, {:.3f})".format(*answer.position)
    print_text(f"{answer.text}: {answer.verdict}; {answer.note}")
    print_text(f"  best view {answer.view}, pixel {answer.peak_px}, box {answer.box_px}, level {data['level']}")
    print_text(f"  in space {place}; {data['gaussians']} Gaussians")
    print_text(f"  encoders: image {_name(answer.encoders['image'])}, text {_name(answer.encoders['text'])}")


def _draw(answer: Answer, path: Path) -> None:
    from langfield.query.picture import Overlay, draw_overlay, write_picture

    title = f'"{answer.text}": {answer.verdict}, relevancy {answer.score:.3f}, in {answer.view}'
    boxes = (tuple(float(v) for v in answer.box_px),) if answer.box_px else ()
    drawn = (answer.colour * 255).round().astype("uint8")
    write_picture(path, draw_overlay(drawn, Overlay(title, answer.relevancy, answer.mask, answer.peak_px, boxes)))  # pyright: ignore


def _name(provenance: object) -> str:
    return str(provenance.get("name", provenance)) if isinstance(provenance, dict) else str(provenance)
