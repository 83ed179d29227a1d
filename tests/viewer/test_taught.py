"""What is taught, as values and on disk: undo covers examples, heads come back, damage is left out and said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from langfield.errors import LangfieldError
from langfield.suite.head import AGAINST, HEADS, Head
from langfield.viewer import keep_heads, lesson
from langfield.viewer.lesson import Lesson
from langfield.viewer.panels.teach import result_line
from langfield.viewer.rows import EMPTY, frozen
from langfield.viewer.session import Document, History

NAMES = st.sampled_from(["mug", "vase", None])
SHOWN = st.lists(st.tuples(st.sets(st.integers(0, 9), min_size=1).map(lambda rows: tuple(sorted(rows))), NAMES))


@given(SHOWN)
def test_the_last_word_on_the_same_gaussians_counts(shown: list[tuple[tuple[int, ...], str | None]]):
    taught, expected = Lesson(), dict[tuple[int, ...], str | None]()
    for rows, name in shown:
        before = taught
        taught = lesson.show(taught, frozen(rows), name)
        expected.pop(rows, None)
        expected[rows] = name
        assert before is not taught
    assert [(tuple(e.rows.tolist()), e.name) for e in taught.examples] == list(expected.items())
    assert sum(taught.count(name) for name in ("mug", "vase", None)) == len(expected)
    assert set(taught.names) == set(expected.values()) - {None}
    if expected:
        assert len(lesson.take_back(taught).examples) == len(expected) - 1


def test_undo_takes_an_example_back():
    first = Document(10)
    second = replace(first, lesson=lesson.show(first.lesson, frozen([1, 2]), "mug"))
    history = History(first).do(second)
    assert history.present.lesson.names == ("mug",)
    assert history.undo().present.lesson.names == ()
    assert history.undo().redo().present.lesson.names == ("mug",)


def test_nothing_and_improper_names_are_refused():
    with pytest.raises(LangfieldError, match="nothing is selected"):
        lesson.show(Lesson(), EMPTY, "mug")
    for name in ("", "  ", "x" * 81, "a\x00b"):
        with pytest.raises(LangfieldError, match="needs a name"):
            lesson.proper_name(name)
    assert lesson.proper_name(" <b>mug</b> ") == "<b>mug</b>"


def test_that_examples_did_not_count_is_said():
    def line(alpha: str) -> str:
        return result_line(replace(Document(10), taught=replace(head("mug"), about=(("alpha", alpha),))), 0.1)

    assert "words alone decide" in line("0")
    assert "words alone decide" not in line("0.01")


def head(*names: str, dim: int = 4) -> Head:
    count = len(names)
    rows = (*range(count), AGAINST)
    weight = torch.arange(float((count + 1) * dim)).reshape(count + 1, dim)
    return Head(names, weight, torch.zeros(count + 1), rows, 1.0, about=(("method", "gda"),))


def test_heads_come_back_and_what_is_damaged_or_foreign_is_left_out(tmp_path: Path):
    mug, both = head("mug"), head("my <mug>", "../vase")
    for one in (mug, both, head("wide", dim=9)):
        assert keep_heads.save_head(tmp_path, one).parent == tmp_path / HEADS
    (tmp_path / HEADS / "broken.safetensors").write_bytes(b"no head")
    found, problems = keep_heads.load_heads(tmp_path, 4)
    assert set(found) == {"mug (gda)", "my <mug>, ../vase (gda)"}
    assert torch.equal(found["my <mug>, ../vase (gda)"].weight, both.weight)
    assert len(problems) == 2
    keep_heads.save_head(tmp_path, replace(mug, scale=2.0))
    assert keep_heads.load_heads(tmp_path, 4)[0]["mug (gda)"].scale == 2.0
    keep_heads.forget_head(tmp_path, mug)
    assert set(keep_heads.load_heads(tmp_path, 4)[0]) == {"my <mug>, ../vase (gda)"}
    assert keep_heads.load_heads(tmp_path / "nowhere", 4) == ({}, [])
