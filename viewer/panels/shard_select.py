"""The selection on the page of a run in shards: clicks, the thing that a question found, export."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import viser

from langfield.errors import LangfieldError
from langfield.query.answer import Answer
from langfield.sharded import ShardedRun
from langfield.viewer import picking, shard_picking
from langfield.viewer.exports import Wanted
from langfield.viewer.newest import Newest
from langfield.viewer.panels.say import paragraph
from langfield.viewer.panels.select import look_of
from langfield.viewer.picking import Look
from langfield.viewer.rows import EMPTY, Rows
from langfield.viewer.shard_exports import MOST_MASKS, export_picked
from langfield.viewer.shard_picking import Picked
from langfield.viewer.shard_scene import ShardScene
from langfield.viewer.work import Work, attempt


class Page(Protocol):
    """What the selection needs of the page."""

    run: ShardedRun
    scene: ShardScene
    answer: Answer | None

    def again(self) -> None:
        """Bring what is shown in line."""


class ShardSelectPanel:
    """Selects and exports Gaussians; all pages show one selection."""

    def __init__(self, page: Page, server: viser.ViserServer) -> None:
        self._page, self._server = page, server
        self._chosen: tuple[Rows, str, float | None] = (EMPTY, "", None)
        """The selection, the question that it came from, and how well it fits."""
        self.picking, self.work = Newest(), Work(self.guarded)
        self.buttons: list[viser.GuiButtonHandle] = []
        gui = server.gui
        with gui.add_folder("Select"):
            self.status, self.note = gui.add_html(""), gui.add_html("")
            self._button("Select the thing", self.select_thing, viser.Icon.TARGET, "What the question found.")
            self._button("Select nothing", lambda: self.select(EMPTY), viser.Icon.X, None)
            self.name = gui.add_text("Export as", "selection", hint="A folder of this name below the run's exports.")
            self.masks = gui.add_checkbox("Masks", True, hint=MASKS_HINT)
            self._button("Export selection", self.export, viser.Icon.DOWNLOAD, "PLY, JSON with 3D boxes, masks.")
        server.scene.on_click()(self._click)
        self._say()

    @property
    def rows(self) -> Rows:
        """What is selected, counted through all shards."""
        return self._chosen[0]

    def _button(self, label: str, action: Callable[[], object], icon: viser.IconName, hint: str | None) -> None:
        button = self._server.gui.add_button(label, icon=icon, color="gray", hint=hint)
        button.on_click(lambda _: self.guarded(action))
        self.buttons.append(button)

    def guarded(self, work: Callable[[], object]) -> None:
        """Do something; say here what went wrong, and go on serving."""
        attempt(work, self.tell)

    def tell(self, text: str) -> None:
        """Say something about the selection."""
        self.note.content = paragraph(text)

    def _click(self, event: viser.SceneClickEvent) -> None:
        self.guarded(lambda: self._later(event.client_id, partial(self.click, look_of(event.client), event.screen_pos)))

    def _later(self, client: int | None, work: Callable[[], object]) -> None:
        self.picking.put(client, lambda: self.guarded(work))

    def click(self, look: Look, at: tuple[float, float]) -> None:
        """Select the thing under a place of the page; where it is selected already, the next one there."""
        shards = self._page.run.shards
        if shards.things is None or not len(shards.things):
            raise LangfieldError(
                "this run does not know its things, so a click selects nothing",
                remedy="ask in words and press Select the thing",
            )
        row = shard_picking.under_click(shards, look, at)
        if row is None:
            self.tell("There is nothing under the click.")
            return
        thing = picking.next_of(picking.instances_at(shards.things, row), self.rows)
        if thing is None:
            self.tell("What is under the click belongs to no thing that the run knows.")
            return
        self.select(thing)

    def select_thing(self) -> None:
        """Select what the question found."""
        answer = self._page.answer
        if answer is None:
            raise LangfieldError("nothing was asked", remedy="ask first")
        self.select(picking.frozen(answer.selection.rows), answer.text, answer.score)

    def select(self, rows: Rows, query: str = "", score: float | None = None) -> None:
        """Select some Gaussians, in place of those that were.

        Args:
            rows: counted through all shards.
            query: the question that found them.
            score: how well they fit it.
        """
        self._chosen = rows, query, score
        self._page.scene.pick(Picked(self._page.run.shards, rows))
        self.tell("")
        self._say()
        self._page.again()

    def _say(self) -> None:
        text = f"Selected: {len(self.rows):,} of {self._page.run.shards.count:,} Gaussians (pink)."
        self.status.content = paragraph(
            text if len(self.rows) else "Click a thing to select it; again for the next one that holds it."
        )

    def export(self) -> None:
        """Write the selection for other programs, beside whatever else the page does."""
        run, (rows, query, score) = self._page.run, self._chosen
        wanted = Wanted(self.name.value, self.masks.value, query or None, score)

        def write() -> Callable[[], object]:
            folder = export_picked(run, rows, wanted)
            return lambda: self.tell(f"Exported to {folder.relative_to(run.path)} of the run.")

        self.tell("Exporting …")
        self.work.start("an export", write)

    def stop(self) -> None:
        """End what clicks began; an export is given up at its next view."""
        self.picking.stop()
        self.work.cancel()


MASKS_HINT = f"Of the {MOST_MASKS} views in which the selection would be largest were nothing before it."
