"""What all panels work on: the run, the page's past and present, its colours; no error of an action gets further."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from jaxtyping import Float, UInt8

from langfield.errors import LangfieldError
from langfield.field.at_time import at_time
from langfield.progress import say
from langfield.query.methods import By
from langfield.query.relevancy import CANONICALS
from langfield.raster.types import Gaussians
from langfield.run import Run
from langfield.viewer import keep, session
from langfield.viewer.asking import Asker, Found
from langfield.viewer.methods import Methods
from langfield.viewer.painting import Painter
from langfield.viewer.places import Ground
from langfield.viewer.rows import How, Rows, as_mask
from langfield.viewer.session import Document, History, Query, Thing
from langfield.viewer.shown import as_shown
from langfield.viewer.splats import SplatScene
from langfield.viewer.work import Result, Work, attempt

Mode = Literal["RGB", "relevancy", "language", "depth", "instances"]
MODES: tuple[Mode, ...] = ("RGB", "relevancy", "language", "depth", "instances")


class Desk:
    """The page's state and what can be done to it; panels show it and are told when it changed.

    Args:
        run: what is shown.
        asker: answers questions.
        scene: the Gaussians on the page.
    """

    def __init__(self, run: Run, asker: Asker, scene: SplatScene) -> None:
        self.run, self.asker = run, asker
        self._scene, self._painter = scene, Painter(asker.field, scene.rgb)
        self.lock = threading.RLock()
        self.asking = threading.RLock()
        """Held while something is asked, so that the scene that answers stays on the page; taken before `lock`."""
        self.work = Work(self.guarded)
        """Slow things."""
        self.methods = Methods(run, asker.encoders)
        self.by: By | None = None
        """The method that reads questions in words; None for the words as they are."""
        self.negatives: tuple[str, ...] = CANONICALS
        self.beside = False
        """Whether a new question leaves the others on the page."""
        self.mode: Mode = "RGB"
        self.time_s: float | None = None
        """The time that is shown; None until one was chosen."""
        self.eye: Float[np.ndarray, " 3"] = np.zeros(3)
        """Where depth is seen from, world units."""
        self.message = "Type what you are looking for."
        self._listeners: list[Callable[[], None]] = []
        self.key = keep.scene_key(run.field.gaussians)
        named, problems = keep.load_selections(run.path, self.key, len(self.ground.means))
        for problem in problems:
            say(f"left out: {problem}")
        self.history = History(Document(len(self.ground.means), named=named))

    @property
    def ground(self) -> Ground:
        """The scene's places at the time that is shown."""
        return self.asker.ground

    @property
    def gaussians(self) -> Gaussians:
        """The Gaussians at the time that is shown, as the field has them."""
        return self.asker.field.gaussians

    @property
    def shown(self) -> Gaussians:
        """The Gaussians as the page shows them: at its time, with what was done to them."""
        return as_shown(self.gaussians, self.document.edits)

    def asked_again(self, asker: Asker) -> list[Query]:
        """Give what a later state of the run answers to the questions in words on the page, where it can."""
        answers = list[Query]()

        def ask(text: str) -> None:
            answers.append(asker.query(asker.ask(text, self.negatives, self.by)))

        for query in self.document.queries if asker.field.codes is not None else ():
            if query.in_words:
                self.guarded(partial(ask, query.text))
        return answers

    def adopt(self, run: Run, asker: Asker, scene: SplatScene, answers: Sequence[Query] = ()) -> None:
        """Go on with a later state of the run and its answers; selections and edits begin anew."""
        with self.asking, self.lock:
            self.run, self.asker, self.methods = run, asker, Methods(run, asker.encoders)
            self._scene, self._painter = scene, Painter(asker.field, scene.rgb)
            self.key = keep.scene_key(run.field.gaussians)
            still = {query.text for query in self.document.queries}  # somebody may have cleared some meanwhile
            answers = [query for query in answers if query.text in still]
            self.history = History(session.ask_all(Document(len(self.ground.means)), answers, beside=False))
            if self.mode in ("language", "instances") or (self.mode == "relevancy" and not answers):
                self.mode = "RGB"
            self.refresh()

    @property
    def document(self) -> Document:
        """What stands on the page now."""
        return self.history.present

    def listen(self, refresh: Callable[[], None]) -> None:
        """Call this whenever something changed."""
        self._listeners.append(refresh)

    def guarded(self, work: Callable[[], object]) -> None:
        """Do something; say on the page what went wrong, and go on serving."""
        attempt(work, self.tell)

    def begin(self, label: str, action: Callable[[], Result]) -> None:
        """Begin something slow; see `Work.start`.

        Raises:
            LangfieldError: something else is at work.
        """
        self.tell("")  # before it begins: it may end with an error at once
        self.work.start(label, action)

    def tell(self, text: str) -> None:
        """Say something on the page."""
        with self.lock:
            self.message = text
            self._notify()

    def _notify(self) -> None:
        for refresh in self._listeners:
            refresh()

    def refresh(self) -> None:
        """Bring the page in line with the state: the scene first, then what is said about it."""
        with self.lock:
            self._paint()
            self._notify()

    def _paint(self) -> None:
        edits, count = self.document.edits, self.document.count
        rgb = self.colours()
        gone = as_mask(edits.hidden, count) | as_mask(edits.deleted, count) if edits else None
        self._scene.paint(rgb, gone, edits.offsets(count) if edits.moves else None)

    def colours(self) -> UInt8[np.ndarray, "N 3"]:
        """Give the Gaussians' colours as the page shows them."""
        return self._painter.colours(self.document, self.mode, self.eye)

    def change(self, action: Callable[[Document], Document], tag: str | None = None) -> None:
        """Go on to what an action makes of the document; undo brings it back."""
        with self.lock:
            self.history = self.history.do(action(self.document), tag)
            self.refresh()

    def go_to(self, time_s: float) -> None:
        """Show a scene that moves as it is at a time, seconds: clicks and questions mean that time too."""
        with self.lock:
            self.time_s = time_s
            gaussians = at_time(self.run.field, time_s).gaussians
            self._scene.become(gaussians)
            self._painter.become(gaussians, self._scene.rgb)
            self.asker.become(gaussians)
            self._paint()

    def undo(self) -> None:
        """Take back the last step."""
        with self.lock:
            self.history = self.history.undo()
            self.refresh()

    def redo(self) -> None:
        """Do again what was taken back."""
        with self.lock:
            self.history = self.history.redo()
            self.refresh()

    def ask(self, text: str) -> None:
        """Ask for something in words.

        Raises:
            QueryError: it cannot be asked, or the field has no language part.
        """
        if not self.asker.is_ready:
            name = self.run.manifest.get("settings", {}).get("text_encoder", "of this run")
            self.tell(f"Loading the text encoder {name} and decoding the field (at the first question only) …")
        self.put(lambda asker: asker.ask(text, self.negatives, self.by))

    def put(self, ask: Callable[[Asker], Found]) -> None:
        """Ask and put the answer on the page; a later state of the run waits until then."""
        with self.asking:
            self.show(ask(self.asker), self.asker)

    def answer(self, text: str) -> Callable[[], None]:
        """Find an answer, which may take long; gives what puts it on the page.

        Raises:
            LangfieldError: it cannot be asked.
        """
        asker = self.asker
        found = asker.ask(text, self.negatives, self.by)
        return lambda: self.show(found, asker)

    def show(self, found: Found, asker: Asker) -> None:
        """Put an answer on the page.

        Args:
            found: the answer.
            asker: who gave it.

        Raises:
            LangfieldError: it is of an earlier state of the run.
        """
        with self.asking:
            if asker is not self.asker:
                raise LangfieldError("the scene has grown meanwhile", remedy="ask again")
            query = asker.query(found)
            with self.lock:
                self.mode, self.message = "relevancy", ""
                self.change(lambda d: session.ask(d, query, self.beside))

    def tune(self, threshold: float | None, level: int | None) -> None:
        """Set the active question's threshold and level; None lets it choose."""
        self.change(lambda d: session.retune(d, threshold, level, self._thing), tag="tune")

    def _thing(self, query: Query, level: int) -> Thing:
        return self.asker.thing(self.ground.place(query.scores[level]), query.scores[level])

    def activate(self, index: int) -> None:
        """Choose the question that the controls are about."""
        with self.lock:
            if 0 <= index < len(self.document.queries):
                self.history = replace(self.history, present=replace(self.document, active=index))
                self.refresh()

    def show_as(self, mode: Mode) -> None:
        """Choose what colours mean."""
        with self.lock:
            self.mode = mode
            self.refresh()

    def clear(self) -> None:
        """Take all questions off the page and show the scene as it is."""
        with self.lock:
            self.mode, self.message = "RGB", "Type what you are looking for."
            self.change(lambda d: replace(d, queries=(), active=0))

    def select(self, rows: Rows, how: How) -> None:
        """Change the selection.

        Raises:
            LangfieldError: the rows are of an earlier state of the run.
        """
        with self.lock:
            if len(rows) and int(rows.max()) >= self.document.count:
                raise LangfieldError("the scene has changed meanwhile", remedy="select again")
            self.change(lambda d: session.select(d, rows, how))

    def keep_selection(self, name: str) -> None:
        """Keep the selection under a name, also on disk.

        Raises:
            LangfieldError: nothing is selected, or the name cannot be used.
            StorageError: it cannot be written; the page keeps it then.
        """
        self.change(lambda d: session.name_selection(d, name))
        rows = self.document.named[name.strip()]
        keep.save_selection(self.run.path, name.strip(), rows, self.key, self.document.count)

    def forget_selection(self, name: str) -> None:
        """Forget a named selection, also on disk."""
        self.change(lambda d: session.forget_name(d, name))
        keep.forget_selection(self.run.path, name)

    def set_negatives(self, words: Sequence[str]) -> None:
        """Choose what answers are held against; none means the usual ones. The active question is asked again."""
        with self.lock:
            self.negatives = tuple(words) or CANONICALS
            query = self.document.query
        if query is not None and query.in_words:
            self.put(lambda asker: asker.ask(query.text, self.negatives, self.by))
