"""Whether what is asked of a thing is one of its states at all, told from words: beside the states it could be in.

Some caption always fits best. So a question is held against the thing's captions and against what could be said of the
thing and never was: the lexicon's phrases for states of which no caption speaks. How far the one side lies above the
other is judged by the same phrases: those that mean the states of the captions, and all others, each put as a question
without its own words among the answers. No question that anybody asks takes part.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.query.when import Verdict
from langfield.suite.captions.lexicon import Lexicon, Phrase, content
from langfield.suite.captions.rewrite import Anchor, CaptionVocabulary

FOUND_FROM, UNSURE_FROM = 0.5, 0.35
"""Scores of the verdicts."""
LEAST_PHRASES = 5
USUAL_GAP = 1.5
"""Widths between both sides, where captions use no words that the lexicon knows."""
LEAST_WIDTH = 0.02
SURE = 0.95
"""Score where words alone tell."""


@dataclass(frozen=True)
class StateFit:
    """How surely a question means a state that a thing was seen in."""

    score: float
    """0 to 1: that the question is about a state the captions speak of, both being as likely before it was asked."""
    verdict: Verdict
    note: str
    rather: str
    """What else the question might mean that was never said of the thing."""


@dataclass(frozen=True)
class _Scale:
    """What questions of one thing are held against."""

    texts: tuple[str, ...]
    vectors: Float[Tensor, "V D"]
    """Of what was never said of it."""
    middle: float
    """The gap that speaks for neither side."""
    steep: float


class StateJudge:
    """Tells, per thing, which questions mean a state of it.

    Args:
        vocabulary: what has been said.
    """

    def __init__(self, vocabulary: CaptionVocabulary) -> None:
        self.vocabulary = vocabulary
        self._scale = cache(self._make_scale)

    def judge(self, question: str, anchors: Sequence[Anchor]) -> StateFit:
        """Tell whether a question means a state of the thing of its anchors.

        Args:
            question: keywords or a sentence.
            anchors: captions of one thing, best first; at least one.
        """
        best, scale = anchors[0], self._scale(anchors[0].instance)
        about = self.vocabulary.clause(question)
        fits = scale.vectors @ self.vocabulary.encoder.encode_queries([about])[0]
        rather = int(fits.argmax())
        gap = max(a.cosine for a in anchors) - float(fits[rather])
        score = _sigmoid(scale.steep * (gap - scale.middle))
        agreements = [a.agreement for a in anchors]
        if best.agreement > 0:
            score = max(score, SURE)
        elif max(agreements) <= 0 and min(agreements) < 0:  # the opposite of all that was said
            score = min(score, 1 - SURE)
        return _fit(score, scale.texts[rather], best.text)

    def others(self, instance: int) -> tuple[tuple[str, ...], Float[Tensor, "V D"]]:
        """Give what could be said of a thing and never was, with its sentence vectors."""
        scale = self._scale(instance)
        return scale.texts, scale.vectors

    def _make_scale(self, instance: int) -> _Scale:
        words, name = self.vocabulary, self.vocabulary.names[instance] or "thing"
        phrases, own = _phrases(words.lexicon, [text for i, text, _ in words.said if i == instance])
        texts = [f"The {name} is {p.text}." for p in phrases]
        vectors = words.encoder.encode_texts(texts)
        asked = words.encoder.encode_queries([f"the {name} is {p.text}" for p in phrases])
        said = words.vectors[[row for row, (i, _, _) in enumerate(words.said) if i == instance]]
        distinct = ~own & ~_same_words(phrases)
        nearest = (asked @ said.T).amax(1) if len(said) else torch.full((len(asked),), -1.0)
        gaps = nearest - torch.where(distinct, asked @ vectors.T, -1.0).amax(1)
        middle, steep = _boundary(gaps[own], gaps[~own])
        rows = torch.nonzero(~own)[:, 0].tolist()
        return _Scale(tuple(texts[i] for i in rows), vectors[rows], middle, steep)


def _phrases(lexicon: Lexicon, said: list[str]) -> tuple[tuple[Phrase, ...], Bool[Tensor, " V"]]:
    """Give the lexicon's phrases, and which of them stand in a pair that the captions speak of."""
    spoken = {pair for text in said for pair in lexicon.sides(text)}
    phrases = lexicon.phrases
    pairs = [{pair for pair, _ in lexicon.states[content(p.text)]} for p in phrases]
    return phrases, torch.tensor([bool(p & spoken) for p in pairs])


def _same_words(phrases: tuple[Phrase, ...]) -> Bool[Tensor, "V V"]:
    """Tell which phrases share a word, themselves included."""
    sets = [frozenset(content(p.text)) for p in phrases]
    return torch.tensor([[bool(a & b) for b in sets] for a in sets])


def _boundary(own: Float[Tensor, " A"], other: Float[Tensor, " B"]) -> tuple[float, float]:
    """Give where two groups of gaps are equally likely and how fast that changes: normal, of one common width."""
    low, below = _middle_and_width(other)
    high, above = _middle_and_width(own) if len(own) >= LEAST_PHRASES else (low + USUAL_GAP * below, below)
    width = max(math.sqrt((below**2 + above**2) / 2), LEAST_WIDTH)
    high = max(high, low + width / 2)  # captions that use the words of other states would turn the scale round
    return (low + high) / 2, (high - low) / width**2


def _middle_and_width(values: Float[Tensor, " A"]) -> tuple[float, float]:
    if not len(values):
        return 0.0, LEAST_WIDTH
    low, middle, high = (float(values.double().quantile(share)) for share in (0.16, 0.5, 0.84))
    return middle, (high - low) / 2


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-min(max(value, -50.0), 50.0)))


def _fit(score: float, rather: str, nearest: str) -> StateFit:
    if score >= FOUND_FROM:
        return StateFit(score, "found", f"it means what was said of the thing: {nearest}", rather)
    if score >= UNSURE_FROM:
        return StateFit(score, "unsure", f"it may mean what was said of the thing, or what never was: {rather}", rather)
    return StateFit(score, "never", f"it means what was never said of the thing: {rather}", rather)
