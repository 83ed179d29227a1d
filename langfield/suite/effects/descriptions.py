"""Descriptions: names nobody knows are found by what is seen of them; known names hardly need them."""

from __future__ import annotations

import torch

from langfield.suite.ask.descriptions import head_of
from langfield.suite.effects.ground import a, model, seen, share, things
from langfield.suite.effects.types import Effect
from langfield.suite.toy.words import COLOURS, NEW_NAMES, SHAPES

NEGATIVES = ("thing", "texture")


def unknown(seed: int) -> tuple[float, float]:
    """Names of nothing; each stands for a colour and a shape, which are written of it."""
    kinds = [(colour, shape) for colour, shape in zip(COLOURS, SHAPES, strict=True)]
    given = [thing for thing in things(seed, 600) if (thing.colour, thing.shape) in kinds]
    truth = torch.tensor([kinds.index((thing.colour, thing.shape)) for thing in given])
    told = {name: [a(f"{c} {s}"), a(f"{c} thing")] for name, (c, s) in zip(NEW_NAMES, kinds, strict=True)}
    return _named(given, truth, {name: [] for name in told}, told)


def known(seed: int) -> tuple[float, float]:
    """Shapes by name, and with sizes and textures that all of them may have."""
    given = things(seed, 200)
    truth = torch.tensor([SHAPES.index(thing.shape) for thing in given])
    told = {shape: [f"a big {shape}", f"a small {shape}", f"a striped {shape}"] for shape in SHAPES}
    return _named(given, truth, {shape: [] for shape in SHAPES}, told)


def _named(
    given: list, truth: torch.Tensor, plain: dict[str, list[str]], told: dict[str, list[str]]
) -> tuple[float, float]:
    vectors, encode = seen("bag", given), model("bag").encode_texts
    heads = [head_of(texts, NEGATIVES, encode) for texts in (plain, told)]
    before, after = (share(head.relevancy(vectors).argmax(0), truth) for head in heads)
    return before, after


EFFECTS = (
    Effect(
        "unknown names are found by what is seen of them",
        "toy:bag, eight made-up names",
        "share named right",
        0.3,
        unknown,
    ),
    Effect(
        "known names are found better too",
        "toy:bag, eight shapes, three descriptions each",
        "share named right",
        None,
        known,
    ),
)
