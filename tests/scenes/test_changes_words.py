"""The dynamic scene's grammar: two vocabularies apart, enough questions, states that partition time."""

# The scripts lie outside the package; conftest.py puts them on the path.
# pyright: reportMissingImports=false

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from changes_story.story import ACTORS, STEPS
from changes_story.texts import queries
from changes_story.words import FUNCTION_WORDS, WORDS

ROOT = Path(__file__).parents[2] / "scenes" / "changes"
QUERIES = json.loads((ROOT / "queries.json").read_text())["queries"]
CAPTIONS = json.loads((ROOT / "captions.json").read_text())["objects"]
NAMES = {row["name"] for row in CAPTIONS}


def stem(word: str) -> str:
    """Cut endings, so that "open", "opened" and "opens" are one word."""
    for ending in ("ing", "ed", "es", "er", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def content(text: str) -> set[str]:
    words = set(re.findall(r"[a-z]+", text.lower())) - FUNCTION_WORDS - NAMES
    return {stem(word) for word in words}


SAID = set().union(*(content(c) for row in CAPTIONS for c in (row["video"], *row["frames"].values())))


def test_stems_bring_forms_together():
    assert stem("opened") == stem("opens") == stem("open")
    assert stem("stands") == stem("standing")
    assert stem("tipped") == stem("tip")
    assert stem("cut") != stem("cup")


@pytest.mark.parametrize("query", QUERIES, ids=lambda q: q["text"])
def test_no_question_shares_a_content_word_with_the_captions(query):
    assert content(query["text"]) & SAID == set()
    assert content(query["text"])
    assert query["object"] in query["text"]


def test_a_shared_word_would_be_noticed():
    assert content("When was the box opened?") & SAID
    assert content("bottle lying there") & SAID


def test_there_are_enough_questions_of_both_kinds():
    assert len({q["text"] for q in QUERIES}) == len(QUERIES) >= 60
    for actor in ACTORS:
        for state in (*actor.states, actor.never):
            kinds = [q["kind"] for q in QUERIES if (q["object"], q["state"]) == (actor.name, state)]
            assert kinds.count("keyword") >= 2
            assert kinds.count("sentence") >= 2


def test_intervals_are_those_of_the_states():
    for query in QUERIES:
        actor = next(a for a in ACTORS if a.name == query["object"])
        steps = {s for first, last in query["intervals"] for s in range(first, last + 1)}
        assert steps == {s for s in range(STEPS) if actor.state(s) == query["state"]}
        assert query["occurs"] == bool(steps) == (query["state"] != actor.never)


def test_states_partition_time_and_change_often_enough():
    for actor in ACTORS:
        both = [s for state in actor.states for a, b in actor.intervals(state) for s in range(a, b + 1)]
        assert sorted(both) == list(range(STEPS))
    changes = [sum(len(a.intervals(s)) for s in a.states) - 1 for a in ACTORS]
    assert sum(n >= 2 for n in changes) >= 3
    assert all(min(b - a for s in actor.states for a, b in actor.intervals(s)) >= 10 for actor in ACTORS)


def test_a_tenth_of_the_captions_is_false_and_said_to_be():
    """A caption says the state its frame shows, except where it is listed as wrong."""
    for row in CAPTIONS:
        assert abs(len(row["wrong"]) - 0.1 * len(row["frames"])) <= 1
        for actor in (a for a in ACTORS if a.name == row["name"]):
            for name, text in row["frames"].items():
                says = [
                    s for s in actor.states if any(f"{row['name']} {c}" in text for c in WORDS[row["name"]][s].captions)
                ]
                right = actor.state(int(name[:3]) - 1)
                assert (right in says) != (name in row["wrong"]), (name, text)


def test_the_committed_questions_are_those_of_the_seed():
    assert queries(np.random.default_rng(8)) == QUERIES


def test_4d_langsplats_file_of_intervals_says_the_same():
    for name, kind in (("video_annotations.json", "keyword"), ("video_annotations_sentences.json", "sentence")):
        table = json.loads((ROOT / "annotations" / name).read_text())
        wanted = {(q["object"], q["text"]): q["intervals"] for q in QUERIES if q["kind"] == kind}
        assert {(o, t): i for o, texts in table.items() for t, i in texts.items()} == wanted
