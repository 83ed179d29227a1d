"""Words on the page; whatever they contain is shown, never interpreted."""

from __future__ import annotations

from html import escape

from langfield.segment.types import LEVELS
from langfield.viewer.session import Query

STYLE = "font-size:0.85em;line-height:1.45;padding:0.2em 0.9em;overflow-wrap:anywhere"


def paragraph(text: str) -> str:
    """Give a sentence as HTML."""
    return f'<div style="{STYLE}" role="status">{escape(text)}</div>' if text else ""


def level_name(level: int) -> str:
    """Give a level's name."""
    return LEVELS[level] if level < len(LEVELS) else str(level)


def place_of(position: tuple[float, float, float] | None) -> str:
    """Give a place in words."""
    return "nowhere in particular" if position is None else "(" + ", ".join(f"{v:.3g}" for v in position) + ")"


def answers_html(queries: tuple[Query, ...], active: int) -> str:
    """Give the answers as a list that can be read without seeing colours."""
    items = []
    for i, query in enumerate(queries):
        r, g, b = query.colour
        chip = f'<span style="display:inline-block;width:0.8em;height:0.8em;background:rgb({r},{g},{b})"></span> '
        facts = (
            (
                "Score",
                f"{query.presence:.2f} that it is here; relevancy {query.thing.score:.3f} ({level_name(query.level)})",
            ),
            ("Position", f"{place_of(query.thing.position)} world units"),
            ("Gaussians", f"{len(query.lit)} at or above the threshold; {len(query.thing.rows)} make up the thing"),
            ("Best view", query.view or "none has it in sight"),
            *((("Asked", query.about),) if i == active else ()),
        )
        lines = "".join(f"<div><b>{escape(k)}</b> {escape(v)}</div>" for k, v in facts)
        head = f"<div>{chip if len(queries) > 1 else ''}<b>“{escape(query.text)}”</b>: {escape(query.verdict)}</div>"
        items.append(f'<li style="margin-bottom:0.5em">{head}{lines}</li>')
    listed = f'<ol style="margin:0;padding-left:{"1.2em" if len(queries) > 1 else "0;list-style:none"}">'
    return f'<div style="{STYLE}" role="status">{listed}{"".join(items)}</ol></div>' if items else ""
