"""The selection: clicks, rectangles, what a question lit; growing and shrinking; names; export."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import viser

from langfield.errors import LangfieldError
from langfield.viewer import exports, picking
from langfield.viewer.asking import Asker
from langfield.viewer.desk import Desk
from langfield.viewer.panels.say import paragraph
from langfield.viewer.picking import Look
from langfield.viewer.rows import EMPTY, How, Rows, frozen

HOWS: tuple[How, ...] = ("replace", "add", "subtract", "keep common")
DONE: dict[str, str] = {
    "replace": "are selected", "add": "are added", "subtract": "are taken out", "keep common": "decide what stays",
}  # fmt: skip
NOTHING: str = "(none)"


def look_of(client: viser.ClientHandle) -> Look:
    """Give how a page looks at the scene."""
    camera = client.camera
    x, y, z = camera.position
    width, height = max(1, camera.image_width), max(1, camera.image_height)
    w, i, j, k = camera.wxyz
    return Look((x, y, z), (w, i, j, k), camera.fov, width, height)


class SelectPanel:
    """Selects, names and exports Gaussians."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, self._server, gui = desk, server, server.gui
        self.status = gui.add_html("")
        self.how = gui.add_dropdown("A new selection", HOWS, initial_value="replace", hint=HOW_HINT)
        self._button("Select what is lit", self.select_lit, viser.Icon.SUN, "All Gaussians above the threshold.")
        self._button("Select the thing", self.select_thing, viser.Icon.TARGET, "Those that make up the thing found.")
        self._clicked: tuple[Asker, int] | None = None
        self._button("Ask for things like it", self.ask_like, viser.Icon.SEARCH, "Like what was clicked last.")
        rectangle = gui.add_button("Draw a rectangle", icon=viser.Icon.MARQUEE_2, color="gray", hint=RECTANGLE_HINT)
        self.through = gui.add_checkbox("Through what hides", False)
        self._button("Grow", lambda: self.step(picking.grow), viser.Icon.ARROWS_MAXIMIZE, "By about one Gaussian.")
        self._button("Shrink", lambda: self.step(picking.shrink), viser.Icon.ARROWS_MINIMIZE, "By about one Gaussian.")
        self._button("Select nothing", lambda: desk.select(EMPTY, "replace"), viser.Icon.X, None)
        self._names(gui)
        self._export(gui)
        rectangle.on_click(lambda _: self._desk.guarded(self._draw))
        server.scene.on_click()(self._click)
        desk.listen(self.refresh)

    def _button(self, label: str, action: Callable[[], object], icon: viser.IconName, hint: str | None) -> None:
        button = self._server.gui.add_button(label, icon=icon, color="gray", hint=hint)
        button.on_click(lambda _: self._desk.guarded(action))

    def _names(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Named selections"):
            self.name = gui.add_text("Name", "")
            self._button("Save selection", self.save, viser.Icon.DEVICE_FLOPPY, None)
            self.named = gui.add_dropdown("Saved", (NOTHING,), initial_value=NOTHING)
            self._button("Select it", self.recall, viser.Icon.FOLDER_OPEN, None)
            self._button("Forget it", lambda: self._desk.forget_selection(self.named.value), viser.Icon.TRASH, None)

    def _export(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Export"):
            self.export_name = gui.add_text("As", "selection", hint="A folder of this name below the run's exports.")
            self.masks = gui.add_checkbox("Masks of all views", True)
            self._button("Export selection", self.export, viser.Icon.DOWNLOAD, "PLY, JSON with 3D boxes, masks.")

    def _click(self, event: viser.SceneClickEvent) -> None:
        self._desk.guarded(lambda: self.click(look_of(event.client), event.screen_pos))

    def click(self, look: Look, at: tuple[float, float]) -> None:
        """Select the thing under a place of the page; where it is known already, the next one there."""
        desk = self._desk
        row = picking.under_click(desk.shown, look, at)
        if row is None:
            desk.tell("There is nothing under the click.")
            return
        self._clicked = desk.asker, row
        self._choose(self._thing_at(row))

    def _thing_at(self, row: int) -> Rows:
        desk = self._desk
        thing = picking.next_of(picking.instances_at(desk.run.field.instances, row), desk.document.selection)
        if thing is not None:
            return thing
        if desk.run.field.codes is None:
            return frozen([row])
        return desk.asker.alike(row, self._level())

    def _choose(self, rows: Rows) -> None:
        self._desk.message = f"{len(rows):,} Gaussians {DONE[self.how.value]}."
        self._desk.select(rows, self.how.value)

    def _draw(self) -> None:
        """Let the next drag over the scene draw a rectangle."""
        scene = self._server.scene

        def drawn(event: viser.SceneRectSelectEvent) -> None:
            scene.remove_rect_select_callback(drawn)
            look, corners = look_of(event.client), np.array([event.screen_min, event.screen_max])
            self._desk.guarded(lambda: self.rectangle(look, corners))

        scene.remove_rect_select_callback()
        scene.on_rect_select()(drawn)
        self._desk.tell("Draw a rectangle in the scene.")

    def rectangle(self, look: Look, corners: np.ndarray) -> None:
        """Select what a rectangle of the page holds."""
        self._choose(picking.in_rectangle(self._desk.shown, look, corners, self.through.value))

    def select_lit(self) -> None:
        """Select what the active question lit."""
        query = self._desk.document.query
        if query is None:
            raise LangfieldError("nothing was asked", remedy="ask first")
        self._choose(query.lit)

    def select_thing(self) -> None:
        """Select what the active question found."""
        query = self._desk.document.query
        if query is None:
            raise LangfieldError("nothing was asked", remedy="ask first")
        self._choose(query.thing.rows)

    def ask_like(self) -> None:
        """Ask for everything that means what was clicked last."""
        asker, row = self._clicked or (None, 0)
        if asker is not self._desk.asker:  # also where the scene is another by now
            raise LangfieldError("nothing was clicked", remedy="click a thing first")
        self._desk.put(lambda asker: asker.ask_like(row, self._level(), self._desk.negatives))

    def _level(self) -> int:
        codes, query = self._desk.run.field.codes, self._desk.document.query
        return query.level if query else 0 if codes is None else len(codes) - 1

    def step(self, change: Callable[[np.ndarray, Rows, float], Rows]) -> None:
        """Grow or shrink the selection by about a Gaussian."""
        means, rows = self._desk.shown.means.detach().float().cpu().numpy(), self._desk.document.selection
        if len(rows):
            self._desk.select(change(means, rows, picking.usual_step(means, rows)), "replace")

    def save(self) -> None:
        """Keep the selection under the name in the box."""
        self._desk.keep_selection(self.name.value)

    def recall(self) -> None:
        """Select what was kept under the chosen name."""
        rows = self._desk.document.named.get(self.named.value)
        if rows is None:
            raise LangfieldError("no selection is kept", remedy="select something and save it under a name")
        self._choose(rows)

    def export(self) -> None:
        """Write the selection for other programs."""
        desk = self._desk
        document, query = desk.document, desk.document.query
        wanted = exports.Wanted(
            self.export_name.value, self.masks.value, query and query.text, query and query.thing.score, desk.time_s
        )
        desk.tell("Exporting …")
        folder = exports.export_selection(desk.run, document.selection, document.edits, wanted)
        desk.tell(f"Exported to {folder.relative_to(desk.run.path)} of the run.")

    def refresh(self) -> None:
        """Bring the words and names in line."""
        document = self._desk.document
        self.status.content = paragraph(
            f"Selected: {len(document.selection):,} of {document.count:,} Gaussians (pink)."
        )
        names = tuple(document.named) or (NOTHING,)
        if names != self.named.options:
            self.named.options = names


HOW_HINT = "What a new selection does to the old one."
RECTANGLE_HINT = "Then drag over the scene once."
