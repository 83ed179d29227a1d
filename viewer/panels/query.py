"""How words are asked: as they are, or by a method of the suite that describes, rewrites or contrasts them first."""

from __future__ import annotations

from collections.abc import Sequence

import viser

from langfield.query.methods import By
from langfield.suite.choose import choose
from langfield.suite.textgen import TEMPLATES
from langfield.viewer.desk import Desk
from langfield.viewer.panels.choice import MethodChoice

PLAIN: str = "plain"


class QueryPanel:
    """The method that reads questions in words; folded away, because plain words are the usual choice.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        writers: who may write descriptions and the like, beside templates.
    """

    def __init__(self, desk: Desk, server: viser.ViserServer, writers: Sequence[str] = ()) -> None:
        self._desk, gui = desk, server.gui
        with gui.add_folder("How words are read", expand_by_default=False):
            self.choice = MethodChoice(gui, "ask", first=(PLAIN,))
            names = (TEMPLATES, *(w for w in writers if w != TEMPLATES))
            self.writer = gui.add_dropdown("Written by", names, initial_value=TEMPLATES, hint=WRITER_HINT)
            self.again = gui.add_button(
                "Use this", color="gray", hint="From now on; a question in words is asked again."
            )
        self.choice.method.on_update(lambda _: self.refresh())
        self.again.on_click(lambda _: desk.guarded(self.use))
        self.refresh()

    def use(self) -> None:
        """Read questions by the method chosen, from now on and the active one again.

        Raises:
            SettingsError: the method has no such setting.
        """
        desk, choice = self._desk, self.choice
        if choice.is_method:
            choose("ask", choice.spec)
        desk.by = By(choice.spec, self.writer.value) if choice.is_method else None
        query = desk.document.query
        if query is not None and query.in_words:
            text = query.text
            desk.begin(f"asking by {choice.method.value}", lambda: desk.answer(text))
        else:
            desk.tell(f"Words are read by {choice.method.value} from now on.")

    def refresh(self) -> None:
        """Show who writes only where somebody has to."""
        self.writer.visible = self.choice.needs("generator")


WRITER_HINT = "Templates know nothing of the world; start the viewer with --texts for a file, an endpoint or a model."
