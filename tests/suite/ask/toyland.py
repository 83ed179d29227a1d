"""Single things of the toy world as a toy CLIP sees them, and writers who know that world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch

from langfield.suite.model import ClipModel
from langfield.suite.slots import Writing
from langfield.suite.spec import clip_model
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, Thing, make_scene
from langfield.suite.toy.words import COLOURS, SHAPES, TEMPLATES, UNSEEN_TEMPLATES


@cache
def model(name: str) -> ClipModel:
    """Give a toy CLIP, loaded once."""
    return clip_model(f"toy:{name}")


def things(seed: int, count: int) -> list[Thing]:
    """Give things of scenes that hold one each, from 100,000 x (1 + seed) on."""
    return [make_scene(100_000 * (1 + seed) + i, 1).things[0] for i in range(count)]


def recoloured(given: Sequence[Thing], colour_of: dict[str, str]) -> list[Thing]:
    """Give things of which every shape has a colour of its own."""
    return [replace(thing, colour=colour_of[thing.shape]) for thing in given]


def seen(name: str, given: Sequence[Thing]) -> torch.Tensor:
    """Give the vectors of pictures of one thing each."""
    return model(name).encode_images([draw(Scene((thing,), i)).picture for i, thing in enumerate(given)])


class ToyWriter:
    """A TextGenerator that knows the toy world's words: true rewrites, other colours and shapes, every attribute."""

    name, reduced = "toyland", False

    def write(self, kind: Writing, text: str, count: int) -> list[str]:
        """Write."""
        bare = text
        for form in (*UNSEEN_TEMPLATES, *TEMPLATES[1:]):
            bare = bare.removeprefix(form.removesuffix("{}"))
        if kind == "rewrites":
            made = [form.format(bare) for form in TEMPLATES]
        elif kind == "negatives":
            made = [other for i, word in enumerate(bare.split()) for other in self._exchanged(bare.split(), i, word)]
        else:
            made = [f"a {colour} thing" for colour in COLOURS]
        return [other for other in made if other != text][:count]

    @staticmethod
    def _exchanged(words: list[str], at: int, word: str) -> list[str]:
        options = COLOURS if word in COLOURS else SHAPES if word in SHAPES else ()
        return [" ".join([*words[:at], other, *words[at + 1 :]]) for other in options if other != word]
