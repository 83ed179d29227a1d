"""Babel-ImageNet: the share named right tells which languages an encoder was taught."""

from __future__ import annotations

import torch

from langfield.suite.diagnose.babel_imagenet import diagnose, languages
from langfield.suite.effects.ground import model, seen, things
from langfield.suite.effects.types import Effect
from langfield.suite.slots import Items
from langfield.suite.toy.captions import say, say_german
from langfield.suite.toy.claims import Claim, Phrase
from langfield.suite.toy.words import COLOURS, SHAPES


def german(name: str, seed: int) -> tuple[float, float]:
    """The accuracy in German that chance would give, and that a toy CLIP has, 64 names."""
    kinds = [(shape, colour) for shape in SHAPES for colour in COLOURS]
    claims, numbers = [Claim(Phrase(shape, colour)) for shape, colour in kinds], tuple(range(len(kinds)))
    labels = {"en": (numbers, tuple(map(say, claims))), "de": (numbers, tuple(map(say_german, claims)))}
    given = things(seed, 120)
    truth = torch.tensor([kinds.index((thing.shape, thing.colour)) for thing in given])
    tongues = languages(labels, model(name).encode_texts)
    rows = {row["language"]: row for row in diagnose(Items(seen(name, given), labels=truth, languages=tongues))}
    return rows["de"]["chance"], rows["de"]["accuracy"]


def taught(seed: int) -> tuple[float, float]:
    """German as an encoder that never saw it has it, and one that did."""
    return german("dense", seed)[1], german("good", seed)[1]


EFFECTS = (
    Effect(
        "accuracy in a language tells whether the encoder was taught it",
        "German to toy:dense (never taught) and to toy:good (one caption in six)",
        "share of 64 named right",
        0.5,
        taught,
    ),
)
