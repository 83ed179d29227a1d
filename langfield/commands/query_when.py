"""`langfield query --when`: what, when and where in one answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langfield.artefacts import write_json
from langfield.commands.output import print_json, print_text

if TYPE_CHECKING:
    from langfield.query.event import Event
    from langfield.scene import Scene

SHOWN = 3
"""Captions that are printed."""


@dataclass(frozen=True)
class WhenOptions:
    """What becomes of the answers."""

    out: Path | None = None
    picture: Path | None = None
    json: bool = False
    states: str = ""
    """Which tell when; see `langfield.query.states.with_states`."""


def query_when(scene: Scene, texts: tuple[str, ...], options: WhenOptions) -> None:
    """Answer each text with its thing, its intervals and the thing's mask in every view of those times.

    Args:
        scene: the run.
        texts: keywords or sentences, each a question of its own.
        options: what becomes of the answers; several pictures get their number before the suffix.

    Raises:
        QueryError: the run knows no states of things, or a text cannot be asked.
    """
    asker = scene.run.event_asker(options.states) if options.states else scene.events
    events = [asker.ask(text) for text in texts]
    data: Any = None
    if options.json or options.out is not None:
        data = [event_data(scene, event) for event in events]
        data = data[0] if len(data) == 1 else data
    if options.out is not None:
        write_json(options.out, data)
    if options.picture is not None:
        for i, event in enumerate(events):
            one = len(events) == 1
            draw(scene, event, options.picture if one else options.picture.with_stem(f"{options.picture.stem}_{i + 1}"))
    if options.json:
        return print_json(data)
    for event in events:
        print_event(event)
    return None


def event_data(scene: Scene, event: Event) -> dict[str, Any]:
    """Give an answer as JSON data, with the mask in every view taken while it is so."""
    return {**event.data(), "masks": [seen.data() for seen in scene.where(event)]}


def print_event(event: Event) -> None:
    """Print an answer for people."""
    name = f"thing {event.thing}" + (f", {event.name}" if event.name else "")
    print_text(f"{event.question}: {event.verdict} ({event.when.score:.2f}); {event.when.note}")
    for span in event.when.intervals:
        print_text(f"  {span.first_s:.3f} s to {span.last_s:.3f} s, confidence {span.confidence:.2f}")
    print_text(f"  {name}; as captions say it: " + " / ".join(a.text for a in event.rewritten.anchors[:SHOWN]))


def draw(scene: Scene, event: Event, path: Path) -> None:
    """Draw an answer as a strip of times into a PNG."""
    from langfield.query.picture import write_picture
    from langfield.query.strip import draw_strip

    write_picture(path, draw_strip(scene.run.field, scene.views, event))
