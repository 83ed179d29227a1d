"""Slow things: one at a time, their steps told, given up at once; what was cancelled changes nothing."""

from __future__ import annotations

import threading

import pytest

from langfield.errors import LangfieldError
from langfield.progress import step
from langfield.viewer.work import Work


class Page:
    """Holds slow things in its hand: each goes on when it is let go."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.results: list[str] = []
        self.work = Work(self.guarded)
        self.gates: dict[str, threading.Event] = {}
        self.ended: dict[str, threading.Event] = {}
        self.shares: list[float] = []
        self.work.listen(lambda: self.shares.append(self.work.share))

    def guarded(self, action) -> None:
        try:
            action()
        except Exception as error:
            self.told.append(str(error))

    def begin(self, name: str, fails: bool = False) -> None:
        gate, ended = self.gates.setdefault(name, threading.Event()), self.ended.setdefault(name, threading.Event())

        def action():
            try:
                step(1, 4)
                assert gate.wait(60)
                step(2, 4)
                if fails:
                    raise LangfieldError("it broke")
                return lambda: self.results.append(name)
            finally:
                ended.set()

        self.work.start(name, action)


def test_one_thing_at_a_time_and_how_far_it_is():
    page = Page()
    page.begin("one")
    assert page.work.label == "one"
    with pytest.raises(LangfieldError, match="one is still at work"):
        page.begin("two")
    page.gates["one"].set()
    assert page.work.wait()
    assert page.results == ["one"]
    assert {0.25, 0.5} <= set(page.shares)
    assert page.work.label == ""
    step(1, 2)  # nobody watches here


def test_what_is_cancelled_gives_the_page_back_at_once_and_changes_nothing():
    page = Page()
    page.begin("slow")
    page.work.cancel()
    assert page.work.wait(0)
    page.begin("next")
    page.gates["next"].set()
    assert page.work.wait()
    page.gates["slow"].set()
    assert page.ended["slow"].wait(60)
    assert page.results == ["next"]
    assert page.told == []


def test_too_much_that_was_cancelled_is_waited_for():
    page = Page()
    for name in ("a", "b"):
        page.begin(name)
        page.work.cancel()
    with pytest.raises(LangfieldError, match="has not ended"):
        page.begin("c")
    for gate in page.gates.values():
        gate.set()
    for thread in page.work._left:
        thread.join(60)
    page.begin("c")
    page.gates["c"].set()
    assert page.work.wait()
    assert page.results == ["c"]


def test_errors_are_told_and_the_page_goes_on():
    page = Page()
    page.begin("bad", fails=True)
    page.gates["bad"].set()
    assert page.work.wait()
    assert page.told == ["it broke."]
    page.begin("good")
    page.gates["good"].set()
    assert page.work.wait()
    assert page.results == ["good"]
