"""Teaching: click things, say what they are and what they are not, learn, ask for more of it, keep it."""

from __future__ import annotations

import time
from collections.abc import Callable

import viser

from langfield.errors import LangfieldError
from langfield.viewer.desk import Desk
from langfield.viewer.lesson import Lesson
from langfield.viewer.panels.choice import MethodChoice
from langfield.viewer.panels.say import paragraph
from langfield.viewer.session import Document
from langfield.viewer.taught import Taught

NOTHING: str = "(nothing yet)"
WORDS_ALONE = "The words alone decide so far: show what it is not, too."
INVITATION = "Click a thing, write its name, press This is it; click what is something else and press This is not."


class TeachPanel:
    """Shows examples, learns, asks, keeps.

    Args:
        desk: the page's state.
        server: where the panel is shown.
    """

    def __init__(self, desk: Desk, server: viser.ViserServer) -> None:
        self._desk, self._server, gui = desk, server, server.gui
        self.taught = Taught(desk)
        self.name = gui.add_text(
            "Name", "", hint="What the clicked thing is called; several names can be taught at once."
        )
        self._button("This is it", lambda: self.taught.point_out(self.name.value), viser.Icon.PLUS, None)
        self._button(
            "This is not", lambda: self.taught.point_out(None), viser.Icon.MINUS, "An example of none of the names."
        )
        self.examples = gui.add_html(paragraph(INVITATION))
        self.learn = gui.add_button("Learn", icon=viser.Icon.SCHOOL)
        self.learn.on_click(lambda _: desk.guarded(self.begin))
        self.result = gui.add_html("", visible=False)
        with gui.add_folder("How it is learnt", expand_by_default=False):
            self.choice = MethodChoice(gui, "teach", first=("gda",))
        self.choice_button = self._button(
            "Take the last example back", self.taught.take_back, viser.Icon.ARROW_BACK, None
        )
        self._button("Forget all examples", self.taught.forget_all, viser.Icon.X, None)
        with gui.add_folder("Kept"):
            self._button(
                "Keep what was learnt", self.keep, viser.Icon.DEVICE_FLOPPY, "Also for langfield query --head."
            )
            self.kept = gui.add_dropdown("Kept", (NOTHING,), initial_value=NOTHING)
            self._button("Ask for it", self.ask_kept, viser.Icon.SEARCH, None)
            self._button("Forget it", lambda: self.taught.forget(self.kept.value), viser.Icon.TRASH, None)
        desk.listen(self.refresh)

    def _button(self, label: str, action: Callable[[], object], icon: viser.IconName, hint: str | None) -> None:
        button = self._server.gui.add_button(label, icon=icon, color="gray", hint=hint)
        button.on_click(lambda _: self._desk.guarded(action))

    def begin(self) -> None:
        """Learn, away from the page.

        Raises:
            LangfieldError: there are no examples, or something else is at work.
        """
        if not self._desk.document.lesson.names:
            raise LangfieldError("nothing was shown", remedy=INVITATION)
        method = self.choice.spec
        self._desk.begin(f"learning by {self.choice.method.value}", lambda: self._learn(method))

    def _learn(self, method: str) -> Callable[[], None]:
        start = time.perf_counter()
        finish = self.taught.learn(method)
        seconds = time.perf_counter() - start

        def done() -> None:
            finish()
            self.result.content = paragraph(result_line(self._desk.document, seconds))
            self.result.visible = True

        return done

    def keep(self) -> None:
        """Keep what was learnt last."""
        self._desk.tell(f"Kept as {self.taught.keep()}.")

    def ask_kept(self) -> None:
        """Ask for what was kept."""
        head = self.taught.heads.get(self.kept.value)
        if head is None:
            raise LangfieldError("nothing is kept", remedy="learn something and keep it")
        self.taught.ask(head)

    def refresh(self) -> None:
        """Bring examples and names in line."""
        self.taught.look()
        self.examples.content = paragraph(examples_line(self._desk.document.lesson))
        names = tuple(self.taught.heads) or (NOTHING,)
        if names != self.kept.options:
            self.kept.options = names


def result_line(document: Document, seconds: float) -> str:
    """Say what was learnt, how, and what of it is in the scene."""
    head = document.taught
    if head is None:
        return ""
    told = ", ".join(f"{key} {value}" for key, value in head.about)
    asked = [q for q in document.queries if q.text in head.names]
    found = "; ".join(f"{q.text}: {q.verdict.partition(':')[0].lower()}, {len(q.lit):,} Gaussians" for q in asked)
    alone = f" {WORDS_ALONE}" if dict(head.about).get("alpha") == "0" else ""
    return f"Learnt in {seconds:.2f} s ({told}). {found}.{alone}"


def examples_line(lesson: Lesson) -> str:
    """Say how many examples there are of what."""
    if not lesson.examples:
        return INVITATION
    counts = [f"{lesson.count(name)} of {name}" for name in lesson.names]
    none = lesson.count(None)
    return f"Examples: {', '.join([*counts, *([f'{none} of something else'] if none else [])])}."
