"""How answers are shown: what colours mean, which question and level, the threshold over its histogram, the legend."""

from __future__ import annotations

import viser

from langfield.query.relevancy import NEUTRAL
from langfield.segment.types import LEVELS
from langfield.viewer import colours, session
from langfield.viewer.desk import MODES, Desk
from langfield.viewer.painting import top_of

NONE: str = "(no question)"


class ShowPanel:
    """Controls of the active question and of the colours."""

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, gui = desk, server.gui
        with gui.add_folder("Show"):
            self.mode = gui.add_dropdown("Colours", MODES, initial_value="RGB", hint=MODE_HINT)
            self.question = gui.add_dropdown("Question", (NONE,), initial_value=NONE, visible=False)
            self.level = gui.add_dropdown("Level", ("auto", *LEVELS), initial_value="auto", hint=LEVEL_HINT)
            self.threshold = gui.add_slider("Threshold", 0.0, 1.0, 0.005, NEUTRAL, hint=THRESHOLD_HINT)
            self.histogram = gui.add_html("", visible=False)
            self.legend = gui.add_html("", visible=False)
            self.drop = gui.add_button("Drop this question", color="gray", visible=False)
        self.mode.on_update(self._on_mode)
        self.question.on_update(self._on_question)
        self.level.on_update(self._on_tune)
        self.threshold.on_update(self._on_tune)
        self.drop.on_click(lambda _: desk.guarded(lambda: desk.change(lambda d: session.drop(d, d.active))))
        desk.listen(self.refresh)

    def _on_mode(self, event: viser.GuiEvent) -> None:
        if event.client is not None:
            self._desk.eye = event.client.camera.position.copy()
            mode = self.mode.value
            self._desk.guarded(lambda: self._desk.show_as(mode))

    def _on_question(self, event: viser.GuiEvent) -> None:
        if event.client is not None and self.question.value in self.question.options:
            index = self.question.options.index(self.question.value)
            self._desk.guarded(lambda: self._desk.activate(index))

    def _on_tune(self, event: viser.GuiEvent) -> None:
        if event.client is None:
            return
        level = LEVELS.index(self.level.value) if self.level.value in LEVELS else None
        moved = event.target is self.threshold
        self._desk.guarded(lambda: self._desk.tune(self.threshold.value if moved else None, level))

    def refresh(self) -> None:
        """Bring the controls in line with the state."""
        desk, query = self._desk, self._desk.document.query
        self.mode.value = desk.mode
        several = len(desk.document.queries) > 1
        self.question.visible = self.drop.visible = several
        self.histogram.visible = query is not None
        self.legend.visible = desk.mode == "relevancy" and query is not None
        if query is None:
            return
        options = tuple(f"{i + 1}. {q.text}"[:60] for i, q in enumerate(desk.document.queries))
        if options != self.question.options:
            self.question.options = options
        self.question.value = options[desk.document.active]
        self.level.value = "auto" if query.fixed is None else LEVELS[query.level]
        self.threshold.value = round(query.threshold, 3)
        self.histogram.content = colours.histogram_html(query.shown, query.threshold)
        self.legend.content = colours.legend_html(query.threshold, top_of(query))


MODE_HINT = "RGB: as it looks. relevancy: the answers. language: like things, like colours. depth: from where you are."
LEVEL_HINT = "How large a thing: part of a part, a part, or a whole thing; auto takes the one with the best answer."
THRESHOLD_HINT = "Gaussians at least this relevant are coloured; each question sets it to its answer's range."
