"""Finding again: things like one that was clicked, by a picture or by many words, here and in other runs."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path
from typing import Any

import viser

from langfield.errors import LangfieldError, QueryError
from langfield.run import MANIFEST, open_run
from langfield.viewer.desk import Desk
from langfield.viewer.methods import Methods
from langfield.viewer.panels.choice import MethodChoice
from langfield.viewer.panels.listing import SHORT, Line, Listing, short
from langfield.viewer.panels.say import paragraph, place_of
from langfield.viewer.rows import Rows
from langfield.viewer.uploads import uploaded_picture

PLAIN: str = "plain"
NO_RUN: str = "(choose a run)"
MOST_RUNS = 60


class FindPanel:
    """Ranks the things of the scene, and links them to those of another run.

    Args:
        desk: the page's state.
        server: where the panel is shown.
        look_at: moves a page's camera to where Gaussians are seen best.
    """

    def __init__(
        self, desk: Desk, server: viser.ViserServer, look_at: Callable[[viser.ClientHandle | None, Rows], None]
    ) -> None:
        self._desk, self._look_at, gui = desk, look_at, server.gui
        like = gui.add_button("Find what is like the clicked thing", icon=viser.Icon.POINTER)
        self.upload = gui.add_upload_button("Find by a picture", mime_type="image/*", icon=viser.Icon.UPLOAD)
        with gui.add_form("Find by words") as form:
            self.text = gui.add_text("Words", "", multiline=True, hint="A description of any length.")
            ask = gui.add_button("Find", icon=viser.Icon.SEARCH)
        self.words = gui.add_html(paragraph("Lines to press appear here, the most alike first."))
        self.found = Listing(gui, desk.guarded)
        with gui.add_folder("Another run", expand_by_default=False):
            self.others = others_of(desk.run.path)
            self.run = gui.add_dropdown("Run", (NO_RUN, *self.others), initial_value=NO_RUN)
            link = gui.add_button("Link its things to these", icon=viser.Icon.LINK, color="gray")
        with gui.add_folder("How they are compared", expand_by_default=False):
            self.choice = MethodChoice(gui, "find", first=(PLAIN,))
        like.on_click(lambda _: desk.guarded(self.like))
        self.upload.on_upload(lambda _: desk.guarded(self.picture))
        ask.on_click(lambda _: form.submit())
        form.on_submit(lambda _: desk.guarded(self.words_asked))
        link.on_click(lambda _: desk.guarded(self.link))

    def like(self) -> None:
        """Rank the things by the one that is selected.

        Raises:
            LangfieldError: nothing is selected, or something is at work.
        """
        rows, methods, method = self._desk.document.selection, self._desk.methods, self.choice.spec
        if not len(rows):
            raise LangfieldError("nothing was clicked", remedy="click a thing first")

        def action() -> Callable[[], None]:
            ranked = methods.find_like(rows, method)
            return lambda: self.show("Like what was clicked", ranked, methods)

        self._desk.begin(f"finding by {self.choice.method.value}", action)

    def picture(self) -> None:
        """Rank the things by an uploaded picture."""
        file, methods, method = self.upload.value, self._desk.methods, self.choice.spec
        picture = uploaded_picture(file.name, file.content)
        title = f"Like {Path(file.name).name[:60]}"
        self._start(title, methods, lambda: methods.find(picture=picture, method=method, most=8))

    def words_asked(self) -> None:
        """Rank the things by words.

        Raises:
            QueryError: there are none.
        """
        text, methods, method = self.text.value.strip(), self._desk.methods, self.choice.spec
        if not text:
            raise QueryError("nothing was written", remedy="describe what you look for")
        self._start(f"Like “{text[:60]}”", methods, lambda: methods.find(text, method=method, most=8))

    def _start(self, title: str, methods: Methods, find: Callable[[], list[dict[str, Any]]]) -> None:
        def action() -> Callable[[], None]:
            ranked = find()
            return lambda: self.show(title, ranked, methods)

        self._desk.begin(f"finding by {self.choice.method.value}", action)

    def show(self, title: str, ranked: list[dict[str, Any]], methods: Methods) -> None:
        """List things that methods of the run found, and light up the first."""
        self.words.content = paragraph(f"{title}, the most alike first and selected; press a line to go there.")
        self.found.show([Line(thing_line(row), self._shows(methods, row["thing"])) for row in ranked])
        if ranked and methods is self._desk.methods:
            self._desk.select(methods.rows_of(ranked[0]["thing"]), "replace")

    def _shows(self, methods: Methods, thing: int) -> Callable[[viser.ClientHandle | None], None]:
        def action(client: viser.ClientHandle | None) -> None:
            if methods is not self._desk.methods:
                raise LangfieldError("the scene has changed meanwhile", remedy="find again")
            rows = methods.rows_of(thing)
            self._desk.select(rows, "replace")
            self._look_at(client, rows)

        return action

    def link(self) -> None:
        """Tell which thing of another run each thing here is.

        Raises:
            LangfieldError: no run was chosen, or something is at work.
        """
        path, methods, method = self.others.get(self.run.value), self._desk.methods, self.choice.spec
        if path is None:
            raise LangfieldError("no run was chosen", remedy="choose another run first")

        def action() -> Callable[[], None]:
            other = Methods(open_run(path), self._desk.asker.encoders)
            rows = methods.link(other, method)
            return lambda: self._linked(path.name, (methods, other), rows)

        self._desk.begin(f"linking by {self.choice.method.value}", action)

    def _linked(self, name: str, scenes: tuple[Methods, Methods], rows: list[dict[str, Any]]) -> None:
        mutual = [row for row in rows if row["mutual"]]
        self.words.content = paragraph(
            f"{len(mutual)} things of this run are each other's best in {name}; press a line."
        )
        self.found.show([
            Line(
                f"{short(row['name'])} ({row['thing']}) = {short(row['other_name'])} ({row['other']}): "
                f"{row['cosine']:.2f}",
                self._tells(row, *scenes),
            )
            for row in mutual
        ])  # fmt: skip

    def _tells(
        self, row: dict[str, Any], methods: Methods, other: Methods
    ) -> Callable[[viser.ClientHandle | None], None]:
        shows = self._shows(methods, row["thing"])

        def action(client: viser.ClientHandle | None) -> None:
            shows(client)
            there = place_of(other.middle_of(row["other"]))
            self._desk.tell(f"There it is thing {row['other']} ({row['other_name']}), at {there} of its world.")

        return action


def thing_line(row: dict[str, Any]) -> str:
    """Say a thing in a line."""
    return f"{short(row['name'], 2 * SHORT)} (thing {row['thing']}): {row['cosine']:.2f}"


def others_of(run: Path) -> dict[str, Path]:
    """Give other runs of the same kind that lie where this one lies, OUTPUTS/SCENE/METHOD/TIME, by their path there."""
    run = run.resolve()
    if len(run.parents) < 4 or not (run / MANIFEST).is_file():
        return {}
    root = run.parents[2]
    found = sorted(root.glob(f"*/{glob.escape(run.parent.name)}/*/{MANIFEST}"), reverse=True)[: MOST_RUNS + 1]
    return {str(path.parent.relative_to(root)): path.parent for path in found if path.parent != run}
