"""Ground that effects are measured on: things of the toy world as toy CLIPs see them, and writers who know it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.suite.model import ClipModel
from langfield.suite.slots import FewShotTask, Writing
from langfield.suite.spec import clip_model
from langfield.suite.toy.draw import draw
from langfield.suite.toy.scenes import Scene, Thing, make_scene
from langfield.suite.toy.words import COLOURS, NEW_NAMES, SHAPES, TEMPLATES, UNSEEN_TEMPLATES


@cache
def model(name: str) -> ClipModel:
    """Give a toy CLIP, loaded once."""
    return clip_model(f"toy:{name}")


def things(seed: int, count: int) -> list[Thing]:
    """Give things of scenes that hold one each, from 100,000 x (1 + seed) on."""
    return [make_scene(100_000 * (1 + seed) + i, 1).things[0] for i in range(count)]


def shape_of(given: Sequence[Thing]) -> Int64[Tensor, " M"]:
    """Give the place of each thing's shape in SHAPES."""
    return torch.tensor([SHAPES.index(thing.shape) for thing in given])


def share(found: Int64[Tensor, " M"], truth: Int64[Tensor, " M"]) -> float:
    """Give the share that is right."""
    return float((found == truth).double().mean())


def a(words: str) -> str:
    """Put an article before words."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def new_names(name: str, seed: int, shots: int) -> tuple[FewShotTask, Float[Tensor, "H D"], Int64[Tensor, " H"]]:
    """Names that nobody knows, with a few examples of a shape each; other things of these shapes to be named.

    Args:
        name: of the toy CLIP.
        seed: draws the things.
        shots: examples a name.
    """
    given = things(seed, 200)
    vectors, truth, clip = seen(name, given), shape_of(given), model(name)
    shown = torch.cat([(truth == shape).nonzero()[:shots, 0] for shape in range(len(SHAPES))])
    held = torch.ones(len(truth), dtype=torch.bool).index_fill(0, shown, False)
    texts = clip.encode_texts(NEW_NAMES)
    task = FewShotTask(vectors[shown], truth[shown], NEW_NAMES, texts, texts[:0])
    return task, vectors[held], truth[held]


def recoloured(given: Sequence[Thing], colour_of: dict[str, str]) -> list[Thing]:
    """Give things of which every shape has a colour of its own."""
    return [replace(thing, colour=colour_of[thing.shape]) for thing in given]


def seen(name: str, given: Sequence[Thing]) -> Float[Tensor, "M D"]:
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
