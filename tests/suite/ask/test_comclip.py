"""ComCLIP: sentences in parts, the composed picture by its formula, pairs of things, and what geometry decides."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.ask.comclip import Parts, Settings, ask, compose, pairs, parse
from langfield.suite.slots import Question
from tests.suite.contract.common import encode, unit

NEGATIVES = ("object", "stuff")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("the red mug left of the laptop", ("the red mug", "left of", "the laptop")),
        ("the red mug to the left of the laptop", ("the red mug", "to the left of", "the laptop")),
        ("a book is on a table", ("a book", "on", "a table")),
        ("a mug On top of a book", ("a mug", "on top of", "a book")),
        ("mug", ("mug", None, None)),
        ("on the table", ("on the table", None, None)),
        ("orange and banana", ("orange", "and", "banana")),
        ("a cotton bag", ("a cotton bag", None, None)),
    ],
)
def test_sentences_in_parts(text, parts):
    assert parse(text) == Parts(text, *parts)


def test_the_composed_picture_is_the_papers():
    whole, parts = unit(0, 1)[0], unit(1, 3)
    words = normalize(parts + unit(2, 3), dim=1)
    words[1] = -parts[1]  # fits worse than not at all
    fits = [max(float(p @ w), 0.0) for p, w in zip(parts, words, strict=True)]
    expected = whole.clone()
    for fit, part in zip(fits, parts, strict=True):
        expected += fit / sum(fits) * part
    torch.testing.assert_close(compose(whole, parts, words), expected / expected.norm())
    batch = compose(whole.expand(4, -1), parts.expand(4, -1, -1), words)
    torch.testing.assert_close(batch[2], expected / expected.norm())


def test_one_part_that_is_the_whole_changes_nothing_and_no_fit_neither():
    whole, words = unit(3, 1)[0], unit(4, 1)
    torch.testing.assert_close(compose(whole, whole[None], whole[None]), whole)
    torch.testing.assert_close(compose(whole, -words, words), whole)


def test_the_head_asks_for_the_subject():
    head = ask(Question(("red mug left of globe", "teapot"), NEGATIVES), encode)
    torch.testing.assert_close(head.weight, encode(["red mug", "teapot", *NEGATIVES]))
    assert dict(head.about)["red mug left of globe"] == "red mug | left of | globe"
    with pytest.raises(SettingsError, match="negatives"):
        ask(Question(("mug",), ()), encode)


def test_pairs_are_scored_as_written_out():
    things, parts, settings = unit(5, 6), parse("red mug on globe"), Settings(candidates=6, entities=0.5)
    text, subject, thing, relation = encode(["red mug on globe", "red mug", "globe", "on"])
    found = pairs(parts, things, encode, settings)
    assert len(found) == 30
    for pair in found:
        assert pair.object is not None
        i, j = things[pair.subject], things[pair.object]
        whole = normalize(i + j, dim=0)
        made = compose(whole, torch.stack([i, j, whole]), torch.stack([subject, thing, relation]))
        expected = float(made @ text) + 0.5 * float(i @ subject + j @ thing) / 2
        assert pair.score == pytest.approx(expected, abs=1e-5)
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    few = pairs(parts, things, encode, Settings(candidates=2, entities=0.5))
    assert set(few) < set(found)
    assert {p.subject for p in few} == set((things @ subject).topk(2).indices.tolist())


def test_the_things_that_are_said_are_the_best_pair_and_geometry_rules_out():
    words = ["red mug", "blue mug", "globe", "teapot"]
    things, parts = encode(words), parse("blue mug beside teapot")
    best = pairs(parts, things, encode)[0]
    assert (best.subject, best.object) == (1, 3)
    holds = torch.ones(4, 4, dtype=torch.bool)
    holds[1, 3] = False
    assert all((p.subject, p.object) != (1, 3) for p in pairs(parts, things, encode, holds=holds))
    assert pairs(parts, things, encode, holds=~holds)[0] == best


def test_what_is_said_of_one_thing_ranks_things_as_the_text_does():
    things = unit(7, 5)
    found = pairs(parse("mug"), things, encode)
    assert [p.subject for p in found] == (things @ encode(["mug"])[0]).argsort(descending=True).tolist()
    assert {p.object for p in found} == {None}
