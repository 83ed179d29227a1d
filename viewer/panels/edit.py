"""Changes to the scene, all of which undo takes back; the result is saved as a scene of its own."""

from __future__ import annotations

from collections.abc import Callable

import viser

from langfield.viewer import exports, session
from langfield.viewer.desk import Desk


class EditPanel:
    """Isolates, hides, recolours, moves and deletes the selection."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, self._gui = desk, server.gui
        actions: tuple[tuple[str, session.Edit, viser.IconName], ...] = (
            ("Isolate", "isolate", viser.Icon.FOCUS_2), ("Hide", "hide", viser.Icon.EYE_OFF),
            ("Show all", "show all", viser.Icon.EYE), ("Delete", "delete", viser.Icon.TRASH),
        )  # fmt: skip
        for label, what, icon in actions:
            self._button(label, icon, lambda what=what: desk.change(lambda d: session.edit(d, what)))
        self.colour = self._gui.add_rgb("Colour", (230, 159, 0))
        self._button("Recolour", viser.Icon.PALETTE, self.recolour)
        self.by = self._gui.add_vector3("Move by", (0.0, 0.0, 0.0), step=0.01, hint="World units, the world's axes.")
        self._button("Move", viser.Icon.ARROWS_MOVE, self.move)
        self.name = self._gui.add_text("New scene", "edited", hint="A run of this name below this run's scenes.")
        self._button("Save as a new scene", viser.Icon.DEVICE_FLOPPY, self.save)

    def _button(self, label: str, icon: viser.IconName, action: Callable[[], object]) -> None:
        button = self._gui.add_button(label, icon=icon, color="gray")
        button.on_click(lambda _: self._desk.guarded(action))

    def recolour(self) -> None:
        """Give the selection the chosen colour."""
        r, g, b = (min(255, max(0, int(v))) for v in self.colour.value)
        self._desk.change(lambda d: session.tint(d, (r, g, b)))

    def move(self) -> None:
        """Move the selection by the given distance."""
        x, y, z = self.by.value
        self._desk.change(lambda d: session.move(d, (x, y, z)))

    def save(self) -> None:
        """Write the scene as it is now."""
        folder = exports.save_scene(self._desk.run, self._desk.document.edits, self.name.value)
        self._desk.tell(f"Saved as {folder.relative_to(self._desk.run.path)} of the run; langfield view opens it.")
