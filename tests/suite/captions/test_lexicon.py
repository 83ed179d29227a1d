"""What words alone say of names and states, opposites and negations."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from langfield.errors import FormatError
from langfield.suite.captions.lexicon import load_lexicon, parse_lexicon, words

LEXICON = load_lexicon()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The box is open.", "Somebody has unlocked the crate"),
        ("The cup stands upright.", "the mug on its base"),
        ("The cup lies on its side.", "the mug got knocked over"),
        ("The jar is empty.", "there is nothing inside the jar"),
        ("The lamp is lit.", "the lamp is shining"),
        ("The lamp is unlit.", "the light was switched off"),
        ("The cookie is whole.", "the biscuit in one piece"),
        ("The cookie is broken in two.", "the biscuit is split"),
        ("The box is closed.", "the box is not open"),
        ("The box is closed.", "the box isn't open"),
        ("The lamp is dark.", "the lamp is no longer lit"),
    ],
)
def test_the_same_state_agrees_and_turned_round_it_disagrees(one: str, other: str):
    assert LEXICON.agreement(one, other) == 1
    assert LEXICON.agreement(other, one) == 1
    turned = re.sub(r" (is|stands|lies) ", " is not ", one)
    assert LEXICON.agreement(turned, other) == -1


def test_states_that_have_nothing_to_do_with_each_other_say_nothing():
    assert LEXICON.agreement("The box is open.", "The lamp is lit.") == 0
    assert LEXICON.agreement("The box is green.", "a box") == 0


def test_the_longer_phrase_wins_over_the_word_in_it():
    small = parse_lexicon("[states]\nlying | upright\nlying flat out | busy\n")
    assert small.sides("it is lying flat out") == {3: 1}
    assert small.sides("it is lying") == {2: 1}


def test_a_text_that_speaks_of_both_sides_takes_none():
    assert LEXICON.sides("first it is open then closed") == {}


def test_a_negation_reaches_three_words():
    small = parse_lexicon("[states]\nopen | closed\n")
    assert small.sides("it is not very widely open") == {2: -1}
    assert small.sides("not that it matters at all it is open") == {2: 1}


def test_a_name_is_told_by_its_last_word_or_a_synonym_and_better_by_all_of_it():
    assert LEXICON.naming("where is the red cup", "red cup") == 1
    assert LEXICON.naming("where is the mug", "red cup") == 0.5
    assert LEXICON.naming("where is the red lamp", "red cup") == 0
    assert LEXICON.naming("two cups", "cup") == 1
    assert LEXICON.naming("anything", "") == 0


def test_words_are_plain():
    assert words("The Cup’s lid isn't OPEN; glasses, boxes!") == (
        "the",
        "cup",
        "lid",
        "is",
        "not",
        "open",
        "glass",
        "box",
    )


def test_no_phrase_of_the_package_stands_on_both_sides_of_one_pair():
    for phrase, pairs in LEXICON.states.items():
        assert len({pair for pair, _ in pairs}) == len(pairs), phrase


@pytest.mark.parametrize("text", ["cup, mug", "[names]\ntea cup, mug", "[states]\nopen, ajar", "[states]\na | b | c"])
def test_what_is_not_of_the_format_is_refused_with_its_line(text: str):
    with pytest.raises(FormatError, match="line"):
        parse_lexicon(text)


def test_a_lexicon_that_is_missing_or_no_text_is_refused(tmp_path: Path):
    (tmp_path / "bytes").write_bytes(b"[names]\n\xff")
    for path in (tmp_path / "none", tmp_path / "bytes"):
        with pytest.raises(FormatError):
            load_lexicon(path)
