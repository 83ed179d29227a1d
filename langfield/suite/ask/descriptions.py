"""A name is asked as the mean of what can be seen of it: "mug, which has a handle", "mug, which is a drinking vessel".

Visual Classification via Description from Large Language Models (arXiv 2210.07183, Section 2): the score of a name is
the mean cosine to its descriptions, each of which says for itself how well it fits. Unlike `laclip` it names parts and
properties, not other words for the same; unlike `disclip` it keeps all of them. A mean of cosines is the cosine's
product with a mean vector, so the head has one row a name and costs what the name alone does.

Ours: the plain name counts like a description where `with_name` is set, and alone where nothing was written.

Cost: the writer's, once a name; encoding ten texts a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question

NEEDS = ("generator",)
IS = ("a", "an", "used")
BARE = ("has", "often", "typically", "may", "can")


@dataclass(frozen=True)
class Settings:
    """How many descriptions there are and what counts beside them."""

    count: int = 10
    """Descriptions wanted of each name."""
    with_name: bool = False
    """Whether the plain name counts as one of them."""
    scale: float = 10.0
    """1 / temperature, LERF's."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Have names described, and ask for the descriptions.

    Args:
        question: with a generator.
        encode: texts to unit vectors.
        settings: see above.

    Raises:
        SettingsError: there is no generator or no negative.
    """
    described = describe(question, settings)
    generator = question.generator
    about = (("written by", generator.name), ("reduced", "yes" if generator.reduced else "no")) if generator else ()
    return head_of(described, question.negatives, encode, settings, about)


def describe(question: Question, settings: Settings = Settings()) -> dict[str, list[str]]:
    """Give what is written of each name; the lists may be edited before `head_of`.

    Raises:
        SettingsError: there is no generator.
    """
    if question.generator is None:
        raise SettingsError("descriptions need somebody who writes them", remedy="choose a text generator")
    generator = question.generator
    return {text: generator.write("descriptions", text, settings.count) for text in question.texts}


def head_of(
    described: Mapping[str, Sequence[str]],
    negatives: Sequence[str],
    encode: Encode,
    settings: Settings = Settings(),
    about: tuple[tuple[str, str], ...] = (),
) -> Head:
    """Give the head of names and their descriptions.

    Args:
        described: descriptions of each name, perhaps none.
        negatives: what names are held against.
        encode: texts to unit vectors.
        settings: see above.
        about: what else to say of the head.

    Raises:
        SettingsError: there is no negative.
    """
    if not negatives:
        raise SettingsError("there is nothing names are held against", remedy="name negatives")
    rows = [encode(sentences(name, told, settings.with_name)).mean(dim=0) for name, told in described.items()]
    weight: Float[Tensor, "R D"] = torch.cat([torch.stack(rows), encode(list(negatives))]).float()
    told = tuple((name, "; ".join(texts) or "nothing written") for name, texts in described.items())
    owners = (*range(len(rows)), *(AGAINST,) * len(negatives))
    made = (("method", "descriptions"), *about, *told)
    return Head(tuple(described), weight, torch.zeros(len(weight)), owners, settings.scale, about=made)


def sentences(name: str, descriptions: Sequence[str], with_name: bool = False) -> list[str]:
    """Join a name with each description as a sentence says it; the name alone where there are none."""
    joined = [f"{name}, {_clause(text)}" for text in descriptions]
    return [name, *joined] if with_name or not joined else joined


def _clause(description: str) -> str:
    first = description.split(maxsplit=1)[0].lower()
    if first in BARE:
        return f"which {description}"
    return f"which is {description}" if first in IS else f"which has {description}"
