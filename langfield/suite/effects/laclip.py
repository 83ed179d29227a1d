"""LaCLIP: rewrites make a question mean the same however it is worded."""

from __future__ import annotations

from functools import cache

import torch

from langfield.suite.ask.laclip import Settings, ask
from langfield.suite.effects.ground import ToyWriter, a, model, seen, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import Question
from langfield.suite.toy.words import COLOURS, SHAPES, UNSEEN_TEMPLATES

GROUND = "toy:bag, 64 names in three wordings it never learned"


@cache
def asked(seed: int) -> tuple[list[float], list[float]]:
    """Share named right and steadiness (1 - spread of relevancy over wordings), without rewrites and with five."""
    given, names = things(seed, 120), [(shape, colour) for shape in SHAPES for colour in COLOURS]
    vectors, truth = seen("bag", given), torch.tensor([names.index((thing.shape, thing.colour)) for thing in given])
    words, right, steady = [a(f"{colour} {shape}") for shape, colour in names], [], []
    for count in (0, 5):
        found = []
        for form in UNSEEN_TEMPLATES:
            question = Question(tuple(map(form.format, words)), ("object", "stuff"), ToyWriter())
            found.append(ask(question, model("bag").encode_texts, Settings(rewrites=count)).relevancy(vectors))
        scores = torch.stack(found)
        right.append(float((scores.argmax(1) == truth).double().mean()))
        steady.append(1 - float(scores.std(0).mean()))
    return right, steady


def right(seed: int) -> tuple[float, float]:
    """Share named right."""
    before, after = asked(seed)[0]
    return before, after


def steady(seed: int) -> tuple[float, float]:
    """1 - the mean spread of relevancy over wordings."""
    before, after = asked(seed)[1]
    return before, after


EFFECTS = (
    Effect("strange wordings are repaired", GROUND, "share named right", 0.01, right),
    Effect("answers move less with the wording", GROUND, "1 - spread of relevancy", 0.0, steady),
)
