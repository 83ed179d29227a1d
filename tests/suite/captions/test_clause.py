"""The clause of a question: what opens it is left out, what names the thing never is."""

import pytest

from langfield.suite.captions.clause import clause
from langfield.suite.captions.lexicon import load_lexicon

NAMES = ("red cup", "wooden door", "")


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("When is the red cup full?", "is the red cup full"),
        ("Show me the frames in which the mug has been emptied.", "the mug has been emptied"),
        ("At what moments during which time the door stands ajar", "the door stands ajar"),
        ("I wonder whether, while nobody looked, the door fell", "nobody looked, the door fell"),
        ("the red cup that stands on the shelf", "the red cup that stands on the shelf"),
        ("full cup", "full cup"),
        ("  where is the door  ", "is the door"),
    ],
)
def test_what_opens_a_question_is_left_out(question, found):
    assert clause(question, NAMES, load_lexicon()) == found


def test_a_clause_without_the_thing_is_none():
    """The cup is named in the first half only, so the clause goes on to the end from there."""
    question = "tell me when the cup is so full that somebody spills what is in it"
    assert clause(question, NAMES, load_lexicon()) == "the cup is so full that somebody spills what is in it"


def test_without_a_name_the_innermost_clause_counts():
    assert clause("find the moments when it falls over sideways", NAMES, load_lexicon()) == "it falls over sideways"


def test_nothing_is_lost_of_odd_texts():
    for text in ("when", "when when when when", "???", "a"):
        assert clause(text, NAMES, load_lexicon()) in text
