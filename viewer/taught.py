"""What was taught: examples pointed out, heads learnt from them, asked, kept beside the run and read back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from langfield.errors import LangfieldError
from langfield.progress import say
from langfield.query.image import language_of
from langfield.suite.head import Head
from langfield.viewer import keep_heads, lesson, session
from langfield.viewer.desk import Desk


class Taught:
    """Teaches names on a page.

    Args:
        desk: the page's state.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.heads: dict[str, Head] = {}
        """What was kept, by what it is called."""
        self._told, self._seen = set[str](), 0
        self.look()

    def look(self) -> None:
        """Take in what came to lie beside the run since, such as heads of `langfield teach`."""
        run = self._desk.run
        changed = keep_heads.changed_at(run.path)
        if run.field.codes is None or changed == self._seen:
            return
        self._seen = changed
        found, problems = keep_heads.load_heads(run.path, language_of(run.field)[1].dim)
        names = {head.names for head in found.values()}
        self.heads = {k: h for k, h in self.heads.items() if h.names not in names} | found
        for problem in problems:
            if problem not in self._told:
                say(f"left out: {problem}")
        self._told.update(problems)

    def point_out(self, name: str | None) -> None:
        """Take what is selected as an example of a name, or of none of them.

        Raises:
            LangfieldError: nothing is selected, or the name cannot be used.
        """
        name = None if name is None else lesson.proper_name(name)
        self._desk.change(lambda d: replace(d, lesson=lesson.show(d.lesson, d.selection, name)))

    def take_back(self) -> None:
        """Forget the last example."""
        self._desk.change(lambda d: replace(d, lesson=lesson.take_back(d.lesson)))

    def forget_all(self) -> None:
        """Forget all examples."""
        self._desk.change(lambda d: replace(d, lesson=lesson.Lesson()))

    def learn(self, method: str) -> Callable[[], None]:
        """Learn from the examples, which may take long; gives what puts the result on the page.

        Raises:
            LangfieldError: there are no examples, or the method cannot work with them.
        """
        desk = self._desk
        head = desk.methods.learn(desk.document.lesson, method, desk.negatives)
        return lambda: self._learnt(head)

    def _learnt(self, head: Head) -> None:
        self._desk.change(lambda d: replace(d, taught=head))
        self.ask(head)

    def ask(self, head: Head) -> None:
        """Ask for every name of what was taught, each in a colour of its own.

        Raises:
            QueryError: the head is of another encoder.
        """
        desk = self._desk
        with desk.asking:
            queries = [desk.asker.query(found) for found in desk.asker.ask_head(head)[: session.MOST_QUERIES]]
            with desk.lock:
                desk.mode, desk.message = "relevancy", ""
                desk.change(lambda d: session.ask_all(d, queries, desk.beside))

    def keep(self) -> str:
        """Keep what was learnt last, also on disk; gives what it is called.

        Raises:
            LangfieldError: nothing was learnt.
            StorageError: it cannot be written; the page keeps it then.
        """
        head = self._desk.document.taught
        if head is None:
            raise LangfieldError("nothing was learnt", remedy="show examples and press Learn first")
        name = keep_heads.called(head)
        self.heads = {**{k: h for k, h in self.heads.items() if h.names != head.names}, name: head}
        self._desk.refresh()
        keep_heads.save_head(self._desk.run.path, head)
        return name

    def forget(self, name: str) -> None:
        """Forget what was kept, also on disk."""
        head = self.heads.get(name)
        if head is not None:
            self.heads = {k: h for k, h in self.heads.items() if k != name}
            keep_heads.forget_head(self._desk.run.path, head)
            self._desk.refresh()
