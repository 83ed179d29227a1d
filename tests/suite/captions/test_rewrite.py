"""Questions in natural words against a scene's captions: what is found, what each sign adds, a model's choice."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from langfield.errors import EnvironmentProblem, QueryError
from langfield.suite.captions.endpoint import Endpoint
from langfield.suite.captions.endpoint_settings import EndpointSettings
from langfield.suite.captions.prompting import load_prompt
from langfield.suite.captions.retry import RetrySettings
from langfield.suite.captions.rewrite import CaptionVocabulary, RewriteSettings, Rewritten, read_choice, rewrite
from langfield.suite.captions.store import Captions, ObjectCaptions
from langfield.suite.captions.types import Speechless
from langfield.suite.sentences import MiniLmSentences
from tests.suite.captions.server import chat_server, says

SCENE = {
    "red cup": ("The red cup stands upright on the shelf.", "The red cup has fallen and lies on its side."),
    "wooden chest": ("The wooden chest is closed.", "The wooden chest is open."),
    "desk lamp": ("The desk lamp is lit.", "The desk lamp is off and dark."),
    "glass jar": ("The glass jar is full of sweets.", "The glass jar is empty."),
    "loaf": ("The loaf is whole.", "The loaf is cut in half."),
}
# Question, thing, which of its two captions is meant.
QUESTIONS = [
    ("When does the mug get toppled by somebody?", "red cup", 1),
    ("I want to see the beaker resting properly on its base", "red cup", 0),
    ("at which moments can one look into the chest because its lid is up", "wooden chest", 1),
    ("the trunk while it was still shut tight", "wooden chest", 0),
    ("Show me when the lamp was shining", "desk lamp", 0),
    ("is there a time at which the lamp has been switched off?", "desk lamp", 1),
    ("nothing inside the jar any more", "glass jar", 1),
    ("the jar filled to the top with candy", "glass jar", 0),
    ("somebody sliced the bread into two", "loaf", 1),
    ("bread in one piece, before anybody touched it", "loaf", 0),
]
ABSENT = [
    "the chest is on fire", "the jar flies through the window", "a dog runs over the table", "the cup is painted green",
]  # fmt: skip


def captions() -> Captions:
    """Ten pictures a state; the names of pictures say nothing."""
    rows = [
        ObjectCaptions(i, name, "", {f"{t:02d}": states[t // 10] for t in range(20)})
        for i, (name, states) in enumerate(SCENE.items(), 1)
    ]
    return Captions(tuple(rows))


@pytest.fixture(scope="module")
def vocabulary(minilm) -> CaptionVocabulary:
    return CaptionVocabulary(captions(), MiniLmSentences(minilm))


def margins(vocabulary: CaptionVocabulary, settings: RewriteSettings) -> torch.Tensor:
    """How far the caption that is meant lies above the best other one, per question."""
    found = []
    for question, name, which in QUESTIONS:
        scores = {a.text: a.score for a in vocabulary.anchors(question, settings)}
        meant = scores.pop(SCENE[name][which])
        found.append(meant - max(scores.values()))
    return torch.tensor(found)


def test_equal_captions_are_one_anchor_with_the_number_of_its_pictures(vocabulary):
    assert len(vocabulary) == 10
    assert {a.frames for a in vocabulary.anchors("cup")} == {10}


def test_natural_sentences_find_their_caption(vocabulary):
    assert (margins(vocabulary, RewriteSettings()) > 0).sum() >= 9


def test_words_for_states_and_names_widen_the_margin_of_the_caption_meant(vocabulary):
    whole = RewriteSettings()
    both = margins(vocabulary, whole)
    vectors = margins(vocabulary, replace(whole, name=0.0, state=0.0))
    assert both.min() > vectors.min() + 0.2
    assert both.mean() > margins(vocabulary, replace(whole, name=0.0)).mean() + 0.02
    assert both.mean() > margins(vocabulary, replace(whole, state=0.0)).mean() + 0.2


def test_words_tell_what_is_in_no_caption_better_than_vectors_alone(vocabulary):
    def told_apart(settings: RewriteSettings) -> float:
        """Share of pairs of a present and an absent state in which the present one scores higher."""
        present = torch.tensor([vocabulary.anchors(question, settings)[0].score for question, _, _ in QUESTIONS])
        absent = torch.tensor([vocabulary.anchors(question, settings)[0].score for question in ABSENT])
        return float((present[:, None] > absent).float().mean())

    assert told_apart(RewriteSettings()) >= 0.9
    assert told_apart(RewriteSettings()) > told_apart(RewriteSettings(name=0.0, state=0.0)) + 0.1


def test_naming_another_thing_pushes_away_and_the_opposite_state_more_than_saying_nothing(vocabulary):
    found = {a.text: a for a in vocabulary.anchors("the chest is ajar")}
    opened, shut = found["The wooden chest is open."], found["The wooden chest is closed."]
    lamp = found["The desk lamp is lit."]
    assert (opened.agreement, shut.agreement, lamp.agreement) == (1, -1, 0)
    assert (opened.naming, lamp.naming) == (0.5, -1)
    settings = RewriteSettings()
    for a in found.values():
        assert a.score == pytest.approx(a.cosine + settings.name * a.naming + settings.state * a.agreement)


def test_two_things_of_one_kind_are_told_apart_by_their_other_words(minilm):
    rows = tuple(ObjectCaptions(i, f"{c} cup", "", {"a": "It stands upright."}) for i, c in ((1, "red"), (2, "blue")))
    two = CaptionVocabulary(Captions(rows), MiniLmSentences(minilm))
    assert two.anchors("the blue mug standing")[0].instance == 2
    assert [a.naming for a in two.anchors("the mug standing")] == [0.5, 0.5]


class Letters:
    """A sentence encoder that counts letters: needs no weights."""

    name, dim = "letters", 26

    def __init__(self) -> None:
        self.provenance = {"name": self.name}

    def encode_texts(self, texts):
        counts = torch.tensor([[1.0 + t.lower().count(chr(97 + i)) for i in range(26)] for t in texts])
        return torch.nn.functional.normalize(counts.reshape(len(texts), 26), dim=1)

    encode_queries = encode_texts


def asked(reply: str | None, question: str = "the chest is ajar") -> tuple[Rewritten, list[str]]:
    """Rewrite with a model behind a real server that replies so; None: it fails."""
    vocabulary, prompts = CaptionVocabulary(captions(), Letters()), list[str]()

    def answer(request, number):
        prompts.append(request.prompt)
        return says(reply)

    with chat_server(answer) as server:
        settings = EndpointSettings(server.url, "tiny", retry=RetrySettings(tries=1))
        return rewrite(question, vocabulary, model=Endpoint(settings), prompt=load_prompt("rewrite")), prompts


def offered(prompt: str) -> list[str]:
    lines = [line.partition(". ") for line in prompt.splitlines()]
    return [text for number, dot, text in lines if dot and number.isdecimal()]


def test_a_model_chooses_among_the_captions_it_was_offered_in_words_alone():
    found, (prompt,) = asked('{"lines": [4, 1]}')
    lines = offered(prompt)
    assert "the chest is ajar" in prompt
    assert sorted(lines) == sorted(text for states in SCENE.values() for text in states)
    assert [a.text for a in found.anchors] == [lines[3], lines[0]]
    assert (found.by, found.note) == ("model", "")


def test_a_model_may_say_that_no_caption_means_it():
    found, _ = asked('```json\n{"lines": []}\n```')
    assert (found.anchors, found.by) == ((), "model")


@pytest.mark.parametrize(
    "reply",
    [
        "Line 3.", '{"lines": [0]}', '{"lines": [11]}', '{"lines": [1, 1]}', '{"lines": "1"}', '{"lines": [1.0]}',
        "[1]",
        '{"lines": [true]}', '{"lines": [1], "why": "x"}', '{"lines": [1, 2, 3, 4, 5, 6]}', '{"line": [1]}', None,
        '{"lines": [1]} {"lines": [2]}', "The wooden chest is open.", "NaN",
    ],
)  # fmt: skip
def test_any_other_reply_falls_back_to_the_nearest_and_says_so(reply: str | None):
    found, _ = asked(reply)
    plain = rewrite("the chest is ajar", CaptionVocabulary(captions(), Letters()))
    assert found.by == plain.by == "retrieval"
    assert found.anchors == plain.anchors
    assert "did not choose" in found.note
    assert plain.note == ""


def test_a_model_that_cannot_be_reached_is_no_reason_to_fail():
    class Gone:
        name, parallel = "gone", 1

        def __init__(self) -> None:
            self.identity = self.provenance = {}

        def caption(self, images, prompt):
            raise EnvironmentProblem("nobody there")

    found = rewrite("a cup", CaptionVocabulary(captions(), Letters()), model=Gone(), prompt=load_prompt("rewrite"))
    assert found.by == "retrieval"
    assert "nobody there" in found.note


def test_without_captions_nothing_is_found_and_nobody_is_asked():
    found = rewrite("a cup", CaptionVocabulary(Captions(()), Letters()))
    assert found == Rewritten("a cup", (), "retrieval")


@pytest.mark.parametrize("question", ["", "  ", "cup " * 300])
def test_questions_must_say_something_and_end(question: str):
    with pytest.raises(QueryError):
        rewrite(question, CaptionVocabulary(captions(), Letters()))


def test_read_choice_takes_what_was_asked_for():
    assert read_choice(json.dumps({"lines": [2, 1]}), 2, 5) == [2, 1]
    with pytest.raises(Speechless):
        read_choice("[" * 100_000, 2, 5)
