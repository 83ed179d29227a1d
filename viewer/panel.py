"""The panel beside the scene: the question, its answer, how it is shown, and the views."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

import numpy as np
import viser

from langfield.errors import LangfieldError
from langfield.progress import say
from langfield.query.gaussians import Selection
from langfield.query.relevancy import NEUTRAL
from langfield.run import Run
from langfield.segment.types import LEVELS
from langfield.viewer import asking, cameras, colours
from langfield.viewer.splats import SplatScene

MODES = ("RGB", "relevancy", "language")
SURE_ABOVE = 0.55
LEAST_TOP = 0.6
"""The bright end of the colours is never below this, so that an answer near 0.5 looks as dull as it is."""
NO_VIEW = "(choose a view)"


@dataclass(frozen=True)
class Shown:
    """An answer as it stands on the page."""

    found: asking.Found
    level: int
    selection: Selection
    position: np.ndarray | None
    """Middle of the thing, world units."""
    view: str | None
    """Name of the frame that shows it best."""

    @property
    def score(self) -> float:
        """Relevancy at its place."""
        return self.found.places[self.level].score


class Panel:
    """Controls of the page and what they do; every callback ends here, and no error of one gets further."""

    def __init__(self, server: viser.ViserServer, run: Run, asker: asking.Asker, scene: SplatScene) -> None:
        self._run, self._asker, self._scene = run, asker, scene
        self._asking, self._painting = threading.Lock(), threading.RLock()
        self._shown: Shown | None = None
        self._frames = {f.name: f for f in run.frames}
        self._up = cameras.world_up(run.frames)
        size = np.median([cameras.distance_seen(f.camera, run.field.gaussians) for f in run.frames[:8]] or [1.0])
        self._frustums = cameras.Frustums(server, run.frames, 0.08 * float(size))
        self._build_question(server.gui)
        self._build_display(server.gui)
        self._build_views(server.gui)

    def _build_question(self, gui: viser.GuiApi) -> None:
        with gui.add_form("Ask") as form:
            self.text = gui.add_text("What", "", hint="A thing in a few words, such as: red mug. Enter asks.")
            ask = gui.add_button("Ask", icon=viser.Icon.SEARCH)
        clear = gui.add_button("Clear", icon=viser.Icon.X, color="gray")
        self.result = gui.add_html(_paragraph("Type what you are looking for."))
        ask.on_click(lambda _: form.submit())
        form.on_submit(lambda _: self.ask(self.text.value))
        clear.on_click(lambda _: self.clear())

    def _build_display(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Show"):
            self.mode = gui.add_dropdown("Colours", MODES, initial_value="RGB")
            self.level = gui.add_dropdown("Level", ("auto", *LEVELS), initial_value="auto", hint=LEVEL_HINT)
            self.threshold = gui.add_slider("Threshold", 0.0, 1.0, 0.005, NEUTRAL, hint=THRESHOLD_HINT)
            self.legend = gui.add_html("", visible=False)
        self.mode.on_update(lambda _: self._guarded(self.paint))
        self.level.on_update(lambda _: self._guarded(self._change_level))
        self.threshold.on_update(lambda _: self._guarded(self.paint))

    def _build_views(self, gui: viser.GuiApi) -> None:
        with gui.add_folder("Views", visible=bool(self._frames)):
            self.view = gui.add_dropdown("Go to", (NO_VIEW, *self._frames), initial_value=NO_VIEW)
            best = gui.add_button("Go to the answer's best view", icon=viser.Icon.CAMERA, color="gray")
            frustums = gui.add_checkbox("Show cameras", False)
        self.view.on_update(lambda event: self._guarded(lambda: self._go(event.client, self.view.value)))
        best.on_click(lambda event: self._guarded(lambda: self._go(event.client, self._shown and self._shown.view)))
        frustums.on_update(lambda event: self._guarded(lambda: self._frustums.show(event.target.value)))

    def ask(self, text: str) -> None:
        """Answer a question on the page; one at a time, whoever asks."""
        with self._asking:
            self._guarded(lambda: self._ask(text))

    def _ask(self, text: str) -> None:
        name = self._run.manifest.get("settings", {}).get("text_encoder", "of this run")
        waiting = (
            ""
            if self._asker.is_ready
            else f"Loading the text encoder {name} and decoding the field (at the first question only) … "
        )
        self._tell(waiting + "Asking …")
        found = self._asker.ask(text)
        with self._painting:
            self._shown = self._show_level(found)
            self.mode.value = "relevancy"
            self.paint()

    def _show_level(self, found: asking.Found) -> Shown:
        """Choose the level, collect the thing there, and put the threshold where that level needs it."""
        level = found.level if self.level.value == "auto" else LEVELS.index(self.level.value)
        level = min(level, len(found.places) - 1)
        gaussians = self._run.field.gaussians
        selection = asking.select(gaussians, found, level)
        frame = asking.best_view(self._run.frames, gaussians, selection.rows)
        position = asking.middle(gaussians, selection)
        shown = Shown(found, level, selection, position, frame.name if frame else None)
        self._shown = shown
        self.threshold.value = round(asking.suggested_threshold(gaussians, found, level), 3)
        return shown

    def _change_level(self) -> None:
        with self._painting:
            if self._shown is not None:
                self._show_level(self._shown.found)
            self.paint()

    def clear(self) -> None:
        """Forget the answer and show the scene as it is."""
        with self._painting:
            self._shown = None
            self.mode.value, self.text.value = "RGB", ""
            self.paint()
            self._tell("Type what you are looking for.")

    def paint(self) -> None:
        """Bring colours, legend and text in line with the controls."""
        with self._painting:
            shown, top = self._shown, self._top()
            self._scene.paint(self._colours(shown, top))
            self.legend.visible = self.mode.value == "relevancy" and shown is not None
            if shown is None:
                if self.mode.value == "relevancy":
                    self._tell("Relevancy is shown once something has been asked.")
                return
            self.legend.content = colours.legend_html(self.threshold.value, top)
            self.result.content = answer_html(shown, self.threshold.value)

    def _top(self) -> float:
        return LEAST_TOP if self._shown is None else max(LEAST_TOP, self._shown.score)

    def _colours(self, shown: Shown | None, top: float) -> np.ndarray:
        codes = self._run.field.codes
        if self.mode.value == "relevancy" and shown is not None:
            scores = shown.found.scores[shown.level]
            return colours.relevancy_colours(scores, self.threshold.value, top, self._scene.rgb)
        if self.mode.value == "language":
            if codes is None:
                raise LangfieldError("this field has no language part", remedy="finish its language stage first")
            chosen = len(codes) - 1 if self.level.value == "auto" else LEVELS.index(self.level.value)
            return colours.latent_colours(codes[shown.level if shown else min(chosen, len(codes) - 1)])
        return self._scene.rgb

    def _go(self, client: viser.ClientHandle | None, name: str | None) -> None:
        frame = self._frames.get(name or "")
        if client is None or frame is None:
            return
        distance = cameras.distance_seen(frame.camera, self._run.field.gaussians)
        cameras.move(client, cameras.view_pose(frame.camera, self._up, distance))

    def _tell(self, text: str) -> None:
        self.result.content = _paragraph(text)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Do something; say on the page what went wrong, and go on serving."""
        try:
            work()
        except LangfieldError as error:
            self._tell(f"⚠ {error}")
        except Exception as error:  # a page must outlive whatever a question meets
            say(traceback.format_exc())
            self._tell(
                f"⚠ This did not work ({type(error).__name__}: {str(error)[:300]}); details are in the terminal."
            )


LEVEL_HINT = "How large a thing: part of a part, a part, or a whole thing; auto takes the one with the best answer."
THRESHOLD_HINT = "Gaussians at least this relevant are coloured; each question sets it to its answer's range."


def _paragraph(text: str) -> str:
    return f'<div style="{TEXT_STYLE}">{escape(text)}</div>'


TEXT_STYLE = "font-size:0.85em;line-height:1.45;padding:0.2em 0.9em;overflow-wrap:anywhere"


def verdict(score: float) -> str:
    """Say in words how far a score can be trusted; it is no probability."""
    if score <= NEUTRAL:
        return "May not be in this scene: nothing fits better than general words do."
    if score < SURE_ABOVE:
        return "Unsure: it fits hardly better than general words; this may be another thing, or it is not here."
    return "Found."


def answer_html(shown: Shown, threshold: float) -> str:
    """Give an answer as HTML, whatever its words and names contain."""
    found, rows = shown.found, shown.selection.rows
    above = int((found.scores[shown.level] >= threshold).sum())
    place = "nowhere in particular"
    if shown.position is not None:
        place = "(" + ", ".join(f"{v:.3g}" for v in shown.position) + ") world units"
    level = LEVELS[shown.level] if shown.level < len(LEVELS) else str(shown.level)
    facts = (
        ("Score", f"{shown.score:.3f} (level: {level})"),
        ("Position", place),
        ("Gaussians", f"{above} at or above the threshold; {len(rows)} make up the thing"),
        ("Best view", shown.view or "none has it in sight"),
        ("Encoders", f"{found.encoders[0]} (pictures), {found.encoders[1]} (text)"),
    )
    lines = "".join(f"<div><b>{escape(k)}</b> {escape(v)}</div>" for k, v in facts)
    head = f"<div><b>“{escape(found.text)}”</b>: {escape(verdict(shown.score))}</div>"
    return f'<div style="{TEXT_STYLE}">{head}{lines}</div>'
