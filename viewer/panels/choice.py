"""The choice of a method of the suite: which one, with which settings, and what it does in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import viser

from langfield.suite.cards import cards
from langfield.suite.choose import choose
from langfield.suite.families import FAMILIES
from langfield.viewer.panels.say import paragraph

SETTINGS_HINT = "KEY=VALUE, with commas between; empty for the usual ones."


class MethodChoice:
    """A dropdown of methods, a box for settings, and the method's idea.

    Args:
        gui: where it is shown.
        family: of the suite.
        first: names that stand before the family's, such as one for no method.
        leave_out: methods of the family that a page cannot use.
    """

    def __init__(
        self, gui: viser.GuiApi, family: str, first: Sequence[str] = (), leave_out: Sequence[str] = ()
    ) -> None:
        self._family = family
        names = (*first, *(name for name in FAMILIES[family][0] if name not in (*first, *leave_out)))
        self.method = gui.add_dropdown("Method", names, initial_value=names[0])
        self.settings = gui.add_text("Settings", "", hint=SETTINGS_HINT, visible=self.is_method)
        self.idea = gui.add_html("")
        self.method.on_update(lambda _: self.refresh())
        self.refresh()

    @property
    def is_method(self) -> bool:
        """Whether a method of the family is chosen."""
        return self.method.value in FAMILIES[self._family][0]

    @property
    def spec(self) -> str:
        """The method with its settings, as commands take it."""
        written = self.settings.value.strip() if self.is_method else ""
        return f"{self.method.value}:{written}" if written else self.method.value

    def needs(self, what: str) -> bool:
        """Tell whether the method chosen cannot do without something, such as "generator"."""
        return self.is_method and choose(self._family, self.method.value).needs(what)

    def refresh(self) -> None:
        """Say what the method does, and what can be set."""
        self.settings.visible = self.is_method
        card = cards().get(self.method.value) if self.is_method else None
        if card is None:
            self.idea.content = ""
            return
        usual = choose(self._family, self.method.value).settings
        known = ", ".join(f"{f.name}={getattr(usual, f.name)}" for f in fields(usual))
        self.idea.content = paragraph(f"{card.idea[:1].upper()}{card.idea[1:]}. Settings: {known[:400] or 'none'}.")
