"""What a thing never is, told from words: with an encoder whose sentences mean exactly what a table says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch.nn.functional import normalize

from langfield.query.absent_states import FOUND_FROM, StateJudge, _boundary
from langfield.suite.captions.lexicon import content, load_lexicon
from langfield.suite.captions.rewrite import CaptionVocabulary
from langfield.suite.captions.store import Captions, ObjectCaptions


class Pairs:
    """A sentence's vector is the pair of states it speaks of, a side of it, and some words of its own."""

    name, dim = "pairs", 400
    provenance = {"name": "pairs"}  # noqa: RUF012

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.stack([self._vector(text) for text in texts])

    encode_queries = encode_texts

    def _vector(self, text: str) -> torch.Tensor:
        vector = torch.zeros(self.dim)
        for pair, side in load_lexicon().sides(text).items():
            vector[pair] += 1.0
            vector[100 + 2 * pair + (side > 0)] += 0.5
        for word in content(text):
            g = torch.Generator().manual_seed(sum(ord(c) * 31**i for i, c in enumerate(word)) % 2**31)
            vector[300:] += 0.08 * torch.randn(100, generator=g)
        return normalize(vector, dim=0)


@pytest.fixture(scope="module")
def vocabulary() -> CaptionVocabulary:
    said = {f"{t}": ("It is lit.", "It is switched off.")[t // 5] for t in range(10)}
    flat = {f"{t}": "It stands upright." for t in range(10)}
    return CaptionVocabulary(Captions((ObjectCaptions(1, "lamp", "", said), ObjectCaptions(2, "", "", flat))), Pairs())


def judged(vocabulary: CaptionVocabulary, question: str, instance: int = 1):
    return StateJudge(vocabulary).judge(question, [a for a in vocabulary.anchors(question) if a.instance == instance])


@pytest.mark.parametrize("question", ["lamp ablaze", "the lamp has gone out", "when does the lamp glow?"])
def test_states_that_were_seen_are_found(vocabulary, question):
    fit = judged(vocabulary, question)
    assert fit.verdict == "found"
    assert fit.score > FOUND_FROM


@pytest.mark.parametrize("question", ["folded lamp", "the lamp is soaked", "when is the lamp frozen?"])
def test_states_that_nobody_spoke_of_are_never(vocabulary, question):
    fit = judged(vocabulary, question)
    assert fit.verdict == "never"
    assert content(question)[-1] in (*content(fit.rather), "lamp")


def test_the_opposite_of_all_that_was_said_is_never(vocabulary):
    assert judged(vocabulary, "standing", 2).verdict == "found"
    fit = judged(vocabulary, "toppled", 2)
    assert fit.verdict == "never"
    assert fit.score <= 0.051


def test_what_could_be_said_holds_no_phrase_of_a_pair_that_was(vocabulary):
    texts, vectors = StateJudge(vocabulary).others(1)
    assert len(texts) == len(vectors) > 200
    assert not {"The lamp is lit.", "The lamp is extinguished."} & set(texts)
    assert "The thing is folded." in StateJudge(vocabulary).others(2)[0]


def test_the_boundary_lies_where_two_equal_normal_groups_are_equally_likely():
    g = torch.Generator().manual_seed(0)
    other, own = torch.randn(4000, generator=g) * 0.1 - 0.3, torch.randn(4000, generator=g) * 0.1
    middle, steep = _boundary(own, other)
    assert middle == pytest.approx(-0.15, abs=0.01)
    assert steep == pytest.approx(0.3 / 0.1**2, rel=0.1)
    few = _boundary(own[:2], other)  # too few to tell: the usual gap
    assert few[0] == pytest.approx(-0.3 + 0.75 * 0.1, abs=0.01)
