"""What cannot be told apart: pairs of things that the encoder takes for one, though they look different."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import viser

from langfield.errors import LangfieldError
from langfield.scene_suite import MEASURES
from langfield.viewer.desk import Desk
from langfield.viewer.methods import Methods
from langfield.viewer.panels.listing import Line, Listing, short
from langfield.viewer.panels.say import paragraph
from langfield.viewer.rows import Rows, frozen

SAME_HINT = "Cosine of the encoder above which it takes two things for one."
APART_HINT = "Likeness by the other measure below which they look different."


class DiagnosePanel:
    """Lists blind pairs; pressing one shows both.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        look_at: moves a page's camera to where Gaussians are seen best.
        encoders: further image encoders that may tell things apart.
    """

    def __init__(
        self,
        desk: Desk,
        server: viser.ViserServer,
        look_at: Callable[[viser.ClientHandle | None, Rows], None],
        encoders: Sequence[str] = (),
    ) -> None:
        self._desk, self._look_at, gui = desk, look_at, server.gui
        gui.add_html(paragraph("Things that questions will confuse: alike to the encoder, different to the eye."))
        find = gui.add_button("Look for blind pairs", icon=viser.Icon.EYE_OFF)
        self.words = gui.add_html("", visible=False)
        self.pairs = Listing(gui, desk.guarded, most=10)
        with gui.add_folder("What counts as blind", expand_by_default=False):
            names = (*MEASURES, *encoders)
            self.by = gui.add_dropdown("Told apart by", names, initial_value=names[0])
            self.same = gui.add_slider("Alike from", 0.5, 1.0, 0.01, 0.9, hint=SAME_HINT)
            self.apart = gui.add_slider("Different below", 0.0, 1.0, 0.01, 0.6, hint=APART_HINT)
        find.on_click(lambda _: desk.guarded(self.look))

    def look(self) -> None:
        """Look for pairs, away from the page.

        Raises:
            LangfieldError: something else is at work.
        """
        methods, by = self._desk.methods, self.by.value
        spec = f"mmvp:same={self.same.value},apart={self.apart.value}"

        def action() -> Callable[[], None]:
            rows = methods.blind(by, spec, most=10)
            return lambda: self.show(by, rows, methods)

        self._desk.begin("looking for blind pairs", action)

    def show(self, by: str, rows: list[dict[str, Any]], methods: Methods) -> None:
        """List pairs, the worst first."""
        told = f"How alike: to the encoder, then by {by} (1: the same). Press a line to see both."
        said = told if rows else f"No blind pair by {by}."
        self.words.content, self.words.visible = paragraph(said), True
        self.pairs.show([Line(pair_line(row), self._shows(methods, row)) for row in rows])

    def _shows(self, methods: Methods, row: dict[str, Any]) -> Callable[[viser.ClientHandle | None], None]:
        def action(client: viser.ClientHandle | None) -> None:
            if methods is not self._desk.methods:
                raise LangfieldError("the scene has changed meanwhile", remedy="look for pairs again")
            both = frozen(np.concatenate([methods.rows_of(row[key]) for key in ("a", "b")]))
            self._desk.select(both, "replace")
            self._look_at(client, both)

        return action


def pair_line(row: dict[str, Any]) -> str:
    """Say a pair in a line."""
    one, other = row.get("texts") or ("thing", "thing")
    return f"{short(one)} ({row['a']}), {short(other)} ({row['b']}): {row['same']:.2f}, {row['apart']:.2f}"
