"""The page's state without a page: whatever is done, undo brings back exactly what was, and sets stay sets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.errors import LangfieldError
from langfield.viewer import session
from langfield.viewer.rows import EMPTY, as_mask, combine, frozen
from langfield.viewer.session import MOST_QUERIES, MOST_STEPS, PALETTE, Document, History, Query, Thing

COUNT = 12
ROWS = st.sets(st.integers(0, COUNT - 1)).map(frozen)


def thing(level: int) -> Thing:
    return Thing(0.9, 0.4 + 0.1 * level, frozen([level]), (0.0, 0.0, float(level)))


def tune(document: Document, threshold: float | None, level: int | None) -> Document:
    return session.retune(document, threshold, level, lambda _, at: thing(at))


def query(text: str, seed: int = 0) -> Query:
    scores = np.random.default_rng(seed).random((3, COUNT)).astype(np.float32)
    return Query(text, scores, {2: thing(2)}, 2, "", "", 1.0)


def step(document: Document, action: tuple) -> Document:
    what, rows, number, flag = action
    steps: dict[str, Callable[[], Document]] = {
        "ask": lambda: session.ask(document, query(f"q{number}", number), flag),
        "drop": lambda: session.drop(document, number % max(1, len(document.queries))),
        "tune": lambda: tune(document, number / 10 if flag else None, number % 3),
        "select": lambda: session.select(document, rows, ("replace", "add", "subtract", "keep common")[number % 4]),
        "name": lambda: session.name_selection(document, f"n{number}"),
        "forget": lambda: session.forget_name(document, f"n{number}"),
        "edit": lambda: session.edit(document, ("hide", "isolate", "delete", "show all")[number % 4]),
        "tint": lambda: session.tint(document, PALETTE[number % 8]),
        "move": lambda: session.move(document, (number, 0.0, 1.0)),
    }
    try:
        return steps[what]()
    except LangfieldError:
        assert not len(document.selection)
        return document


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "drop", "tune", "select", "name", "forget", "edit", "tint", "move"]),
        ROWS, st.integers(0, 9), st.booleans(),
    ),
    max_size=MOST_STEPS,
)  # fmt: skip


@given(ACTIONS)
def test_undoing_everything_gives_the_very_first_and_redoing_the_very_last(actions: list[tuple]):
    start = Document(COUNT)
    history = History(start)
    for action in actions:
        history = history.do(step(history.present, action))
    end = history.present
    while history.past:
        history = history.undo()
    assert history.present is start
    assert history.undo() is history
    while history.future:
        history = history.redo()
    assert history.present is end
    assert history.redo() is history


@given(ACTIONS)
def test_the_document_stays_sound(actions: list[tuple]):
    document = Document(COUNT)
    for action in actions:
        document = step(document, action)
        assert 0 <= document.active < max(1, len(document.queries)) <= MOST_QUERIES
        assert len({q.colour for q in document.queries}) == len(document.queries)
        assert len({q.text for q in document.queries}) == len(document.queries)
        for rows in (document.selection, document.edits.hidden, document.edits.deleted, *document.named.values()):
            assert (np.diff(rows) > 0).all()
            assert not rows.flags.writeable
        assert not np.intersect1d(document.selection, document.edits.deleted).size


@given(ROWS, ROWS)
def test_sets_are_sets(a: np.ndarray, b: np.ndarray):
    x, y = set(a.tolist()), set(b.tolist())
    assert set(combine(a, b, "replace").tolist()) == y
    assert set(combine(a, b, "add").tolist()) == x | y
    assert set(combine(a, b, "subtract").tolist()) == x - y
    assert set(combine(a, b, "keep common").tolist()) == x & y
    assert np.array_equal(np.flatnonzero(as_mask(a, COUNT)), a)


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_a_dragged_slider_is_one_step(values: list[float]):
    history = History(session.ask(Document(COUNT), query("a"), False))
    before = history.present
    for value in values:
        history = history.do(tune(history.present, value, None), tag="threshold")
    assert history.present.query is not None
    assert history.present.query.threshold == values[-1]
    assert history.undo().present is before


def test_many_questions_have_colours_of_their_own_and_the_oldest_goes():
    document = Document(COUNT)
    for i in range(MOST_QUERIES + 3):
        document = session.ask(document, query(str(i), i), True)
    assert [q.text for q in document.queries] == [str(i) for i in range(3, MOST_QUERIES + 3)]
    assert {q.colour for q in document.queries} == set(PALETTE)
    again = session.ask(document, query("5", 99), True)
    assert len(again.queries) == MOST_QUERIES
    assert session.ask(document, query("alone"), False).queries[0].text == "alone"


def test_level_and_threshold_follow_the_answer_until_chosen():
    document = session.ask(Document(COUNT), query("a"), False)
    found = document.query
    assert found is not None
    assert (found.level, found.threshold) == (2, pytest.approx(0.6))
    assert np.array_equal(found.lit, np.flatnonzero(found.scores[2] >= found.threshold))
    part = tune(document, None, 1).query
    assert part is not None
    assert (part.level, part.threshold) == (1, pytest.approx(0.5))
    high = tune(document, 0.9, 9).query
    assert high is not None
    assert (high.level, high.threshold) == (2, 0.9)


@pytest.mark.parametrize("name", ["", "  ", "x" * 81, "a\x00b", "a\nb"])
def test_odd_names_are_refused(name: str):
    document = replace(Document(COUNT), selection=frozen([1]))
    with pytest.raises(LangfieldError, match="1 to 80"):
        session.name_selection(document, name)
    assert "<b>" in session.name_selection(document, " <b> ").named


def test_isolating_hides_the_rest_and_moves_add_up():
    document = session.select(Document(COUNT), frozen([2, 3]))
    assert np.array_equal(session.edit(document, "isolate").edits.hidden, np.delete(np.arange(COUNT), [2, 3]))
    twice = session.move(session.move(document, (1.0, 0.0, 0.0)), (0.0, 2.0, 0.0))
    expected = np.zeros((COUNT, 3))
    expected[[2, 3]] = (1.0, 2.0, 0.0)
    assert np.array_equal(twice.edits.offsets(COUNT), expected)
    with pytest.raises(LangfieldError, match="finite"):
        session.move(document, (np.nan, 0.0, 0.0))
    gone = session.edit(document, "delete")
    assert gone.selection is EMPTY
    assert len(session.select(gone, frozen([2, 5])).selection) == 1
