"""The question: words, what they are held against, a picture; and the answers as a list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import viser

from langfield.errors import QueryError
from langfield.query.relevancy import CANONICALS
from langfield.viewer.desk import Desk
from langfield.viewer.newest import Newest
from langfield.viewer.panels.say import answers_html
from langfield.viewer.uploads import uploaded_picture

MOST_NEGATIVES = 32


class AskPanel:
    """Asks, and says what was found.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        newest: does one question at a time; of those that wait only the newest of each page is kept.
    """

    def __init__(self, desk: Desk, server: viser.ViserServer, newest: Newest) -> None:
        self._desk, self._newest, gui = desk, newest, server.gui
        with gui.add_form("Ask") as self.form:
            self.text = gui.add_text("What", "", hint="A thing in a few words; | between names asks for any of them.")
            ask = gui.add_button("Ask", icon=viser.Icon.SEARCH)
        self.beside = gui.add_checkbox("Keep other questions", False, hint="Each gets a colour of its own.")
        clear = gui.add_button("Clear", icon=viser.Icon.X, color="gray")
        self.answers = gui.add_html("")
        with gui.add_folder("Other ways to ask", expand_by_default=False):
            self.negatives = gui.add_text(
                "Against", ", ".join(CANONICALS), multiline=True,
                hint="What a thing must fit less than the question, with commas between. Empty: the usual four.",
            )  # fmt: skip
            again = gui.add_button("Use these", color="gray")
            self.upload = gui.add_upload_button("Ask with a picture", mime_type="image/*", icon=viser.Icon.UPLOAD)
        ask.on_click(lambda _: self.form.submit())
        self.form.on_submit(lambda event: self._submit(event.client_id, self.text.value))
        clear.on_click(lambda _: desk.guarded(self._clear))
        self.beside.on_update(lambda event: setattr(desk, "beside", bool(event.target.value)))
        again.on_click(lambda event: self._later(event.client_id, self._against))
        self.upload.on_upload(lambda event: self._later(event.client_id, self._picture))
        desk.listen(self.refresh)

    def _submit(self, client: int | None, text: str) -> None:
        desk = self._desk
        if desk.by is None:
            self._later(client, lambda: desk.ask(text))
        else:
            label = f"asking by {desk.by.method.partition(':')[0]}"
            desk.guarded(lambda: desk.begin(label, lambda: desk.answer(text)))

    def _later(self, client: int | None, work: Callable[[], object]) -> None:
        self._newest.put(client, lambda: self._desk.guarded(work))

    def _clear(self) -> None:
        self.text.value = ""
        self._desk.clear()

    def _against(self) -> None:
        words = [w.strip() for w in self.negatives.value.split(",") if w.strip()]
        if len(words) > MOST_NEGATIVES:
            raise QueryError(f"{len(words)} negatives were given", remedy=f"name at most {MOST_NEGATIVES}")
        self._desk.set_negatives(words)

    def _picture(self) -> None:
        file, desk = self.upload.value, self._desk
        picture = uploaded_picture(file.name, file.content)
        desk.put(lambda asker: asker.ask_picture(Path(file.name).name[:80], picture, desk.negatives))

    def refresh(self) -> None:
        """Bring the words in line."""
        document = self._desk.document
        self.answers.content = answers_html(document.queries, document.active)
