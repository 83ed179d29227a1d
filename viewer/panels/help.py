"""Every action by its name: the command palette, the shortcuts, and the list of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import viser

from langfield.viewer import picking, session
from langfield.viewer.desk import MODES, Desk
from langfield.viewer.panels.say import STYLE
from langfield.viewer.panels.select import SelectPanel
from langfield.viewer.panels.views import ViewsPanel


@dataclass(frozen=True)
class Command:
    """An action with a name; letters are shortcuts outside text boxes."""

    label: str
    action: Callable[[viser.ClientHandle | None], object]
    key: Any = None
    modifier: Any = None


def commands(desk: Desk, select: SelectPanel, views: ViewsPanel) -> tuple[Command, ...]:
    """Give all commands."""
    modes = [Command(f"Colours: {m}", lambda _, m=m: desk.show_as(m), str(i + 1)) for i, m in enumerate(MODES)]
    named: tuple[tuple[session.Edit, str | None], ...] = (
        ("isolate", "I"), ("hide", "H"), ("show all", "A"), ("delete", None),
    )  # fmt: skip
    edits = [
        Command(f"Edit: {what}", lambda _, w=what: desk.change(lambda d: session.edit(d, w)), key)
        for what, key in named
    ]
    return (
        Command("Undo", lambda _: desk.undo(), "Z", "cmd/ctrl"),
        Command("Redo", lambda _: desk.redo(), "Z", "cmd/ctrl+shift"),
        Command("Clear all questions", lambda _: desk.clear()),
        *modes,
        Command("Select what is lit", lambda _: select.select_lit(), "L"),
        Command("Select the thing", lambda _: select.select_thing(), "T"),
        Command("Grow the selection", lambda _: select.step(picking.grow), "G"),
        Command("Shrink the selection", lambda _: select.step(picking.shrink), "S"),
        *edits,
        Command("Go to the answer's best view", views.go_to_best, "B"),
        Command("Keep this place", views.keep, "K"),
        Command("Screenshot", views.screenshot, "P"),
    )


class HelpPanel:
    """Registers the commands and lists them."""

    def __init__(self, desk: Desk, server: viser.ViserServer, table: tuple[Command, ...]) -> None:
        for command in table:
            handle = server.gui.add_command(command.label, hotkey=command.key, modifier=command.modifier)
            handle.on_trigger(lambda event, c=command: desk.guarded(lambda: c.action(event.client)))
        server.gui.add_html(help_html(table))


def help_html(table: tuple[Command, ...]) -> str:
    """Give the shortcuts and how to begin, as HTML."""
    rows = "".join(
        f"<tr><td style='padding-right:1em'><kbd>{escape(keys(c))}</kbd></td><td>{escape(c.label)}</td></tr>"
        for c in table
    )
    steps = "".join(f"<li>{escape(step)}</li>" for step in STEPS)
    return f'<div style="{STYLE}"><ol style="padding-left:1.2em">{steps}</ol><table>{rows}</table></div>'


def keys(command: Command) -> str:
    """Give a command's shortcut in words."""
    parts = [*(command.modifier.split("+") if command.modifier else ()), command.key]
    return "+".join("Ctrl" if p == "cmd/ctrl" else p.capitalize() for p in parts if p)


STEPS = (
    "Ask: type a thing and press Enter. Bright is relevant; the list says score, place and best view.",
    "Move the threshold over the histogram until the thing alone is lit.",
    "Select: click a thing, or take what is lit; grow, shrink, save it under a name, export it.",
    "Teach: click things, say what they are and are not, learn. Find: what is like them, here or in another run.",
    "Edit: isolate, hide, recolour, move; save the result as a new scene. Undo takes anything back.",
    "Ctrl+K (or Cmd+K) opens all commands by name.",
)
