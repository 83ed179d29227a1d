"""What the page has to say, above all tabs: the last message; and what is at work, how far it is, how to end it."""

from __future__ import annotations

import viser

from langfield.viewer.desk import Desk
from langfield.viewer.panels.say import paragraph


class StatusPanel:
    """Shows the message, and slow work while there is any."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, gui = desk, server.gui
        self.message = gui.add_html(paragraph(desk.message))
        self.working = gui.add_html("", visible=False)
        self.bar = gui.add_progress_bar(100.0, visible=False, animated=True)
        self.cancel = gui.add_button("Cancel", icon=viser.Icon.X, color="red", visible=False)
        self.cancel.on_click(lambda _: desk.work.cancel())
        desk.listen(self.refresh)
        desk.work.listen(self.refresh_work)

    def refresh(self) -> None:
        """Bring the message in line."""
        self.message.content = paragraph(self._desk.message)

    def refresh_work(self) -> None:
        """Bring bar and button in line with what is at work."""
        label, share = self._desk.work.label, self._desk.work.share
        self.working.visible = self.bar.visible = self.cancel.visible = bool(label)
        self.working.content = paragraph(f"{label[:1].upper()}{label[1:]} …" if label else "")
        self.bar.value = 100.0 * share if share else 100.0
