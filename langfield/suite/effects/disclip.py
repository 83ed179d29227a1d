"""DisCLIP: descriptions that a scene chose help, random ones do not."""

from __future__ import annotations

from functools import cache

import numpy as np
from torch.nn.functional import normalize

from langfield.suite.ask.disclip import Settings, ask
from langfield.suite.effects.ground import ToyWriter, model, recoloured, seen, shape_of, share, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import Question
from langfield.suite.toy.words import COLOURS, SHAPES

NEGATIVES = ("object", "things", "stuff", "texture")
GROUND = "toy:bag, a scene whose shapes have colours, descriptions are colours"
WORDS = [f"a {shape}" for shape in SHAPES]


def chosen(seed: int, settings: Settings) -> tuple[float, float]:
    """Names alone against names with descriptions that half of the things chose, on the other half."""
    vectors, truth = _scene(seed)
    encode = model("bag").encode_texts
    head = ask(Question(tuple(WORDS), NEGATIVES, ToyWriter(), vectors[:100]), encode, settings)
    alone = share((vectors[100:] @ encode(WORDS).T).argmax(1), truth[100:])
    return alone, share(head.relevancy(vectors[100:]).argmax(0), truth[100:])


def papers(seed: int) -> tuple[float, float]:
    """Five descriptions, two rivals."""
    return chosen(seed, Settings())


def sharp(seed: int) -> tuple[float, float]:
    """The best description among all rivals."""
    return chosen(seed, Settings(kept=1, rivals=7))


def control(seed: int) -> tuple[float, float]:
    """Random descriptions against none: what the paper shows to be worth nothing; the order is turned round."""
    vectors, truth = _scene(seed)
    encode, rng = model("bag").encode_texts, np.random.default_rng(seed)
    names, pool = encode(WORDS), encode([f"a {colour} thing" for colour in COLOURS])
    rows = [normalize(names + pool[rng.permutation(8)], dim=1) for _ in range(20)]
    random = float(np.mean([share((vectors[100:] @ row.T).argmax(1), truth[100:]) for row in rows]))
    return random, share((vectors[100:] @ names.T).argmax(1), truth[100:])


@cache
def _scene(seed: int) -> tuple:
    colours = np.random.default_rng(seed).permutation(list(COLOURS)).tolist()
    given = recoloured(things(seed, 200), dict(zip(SHAPES, colours, strict=True)))
    return seen("bag", given), shape_of(given)


EFFECTS = (
    Effect("descriptions chosen by the scene help", GROUND, "share named right", 0.01, papers),
    Effect("one description against all rivals helps more", GROUND, "share named right", 0.1, sharp),
    Effect("random descriptions do not help (first number: with them)", GROUND, "share named right", 0.0, control),
)
