"""A list of which every line can be pressed: buttons made once, hidden while they have nothing to say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import viser

LONGEST = 46
"""Characters of a line."""
SHORT = 15
"""Characters of a name where a line holds two."""


def short(name: str, longest: int = SHORT) -> str:
    """Cut a name that would leave no place for the rest of its line."""
    return name if len(name) <= longest else name[: longest - 1] + "…"


@dataclass(frozen=True)
class Line:
    """A line and what pressing it does."""

    text: str
    action: Callable[[viser.ClientHandle | None], object]


class Listing:
    """Lines to press.

    Args:
        gui: where it is shown.
        guarded: runs an action and says on the page what it raises.
        most: lines at most.
    """

    def __init__(self, gui: viser.GuiApi, guarded: Callable[[Callable[[], object]], None], most: int = 8) -> None:
        self.lines: tuple[Line, ...] = ()
        self._guarded = guarded
        self.buttons = [gui.add_button("…", color="gray", visible=False) for _ in range(most)]
        for i, button in enumerate(self.buttons):
            button.on_click(lambda event, i=i: self._press(i, event.client))

    def _press(self, number: int, client: viser.ClientHandle | None) -> None:
        if number < len(self.lines):
            self._guarded(lambda: self.lines[number].action(client))

    def show(self, lines: Sequence[Line]) -> None:
        """Show lines, as many as there is place for."""
        self.lines = tuple(lines[: len(self.buttons)])
        for i, button in enumerate(self.buttons):
            button.visible = i < len(self.lines)
            if i < len(self.lines):
                text = self.lines[i].text
                button.label = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
