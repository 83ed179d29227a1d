"""What changed: a direction from one text to another, along which things or moments are ranked.

Pictures lie far from the texts that describe them, but the difference of two pictures lies near the difference of their
texts. DeltaSpace / DeltaEdit: Exploring Text-free Training for Text-Driven Image Manipulation (CVPR 2023) trains on
the former and is driven by the latter. Of it this is the direction: how far something is along it is an inner product,
so a field evaluates it per Gaussian, and per moment where the field changes. Unlike Visual Classification via
Description, which adds words up, it takes one text from another; turned round it says the opposite.

Ours: the last text is what it became, the others what it was; both are averaged over forms of words. The
paper's mapper, which edits pictures, is not built: here there is nothing to edit but the field.

Cost: a text encoding for each form of each text.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question

NEEDS = ()
TOGETHER = True


@dataclass(frozen=True)
class Settings:
    """How texts are said, and how sharply both ends are told apart."""

    forms: tuple[str, ...] = ("{}", "a photo of {}", "a picture of {}", "there is {}", "one can see {}")
    """Forms of words that are averaged over."""
    scale: float = 30.0
    """Of the inner product with the direction, of unit length, in the sigmoid."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head that says how far something has become the last text from being the others.

    Args:
        question: at least two texts; its negatives are not used, what it was is what it is held against.
        encode: texts to unit vectors.
        settings: how.

    Raises:
        SettingsError: fewer than two texts, or both ends are the same.
    """
    *before, after = question.texts or ("",)
    if not before:
        raise SettingsError("a change has two ends", "deltaspace", 'say both, such as "a closed door" "an open door"')
    start = torch.stack([said(text, encode, settings) for text in before]).mean(dim=0)
    towards = direction(start, said(after, encode, settings))
    names = (f"{' or '.join(before)} -> {after}",)
    about = (("method", "deltaspace"), ("from", " or ".join(before)), ("to", after))
    return Head(names, torch.stack([towards, -towards]) / 2, torch.zeros(2), (0, AGAINST), settings.scale, about=about)


def said(text: str, encode: Encode, settings: Settings) -> Float[Tensor, " D"]:
    """Give the mean vector of a text in all forms of words."""
    return encode([form.format(text) for form in settings.forms]).float().mean(dim=0)


def direction(start: Float[Tensor, " D"], end: Float[Tensor, " D"]) -> Float[Tensor, " D"]:
    """Give the unit difference of two ends.

    Raises:
        SettingsError: there is none.
    """
    difference = end - start
    if float(difference.norm()) < 1e-6:
        raise SettingsError("both ends of the change are the same", "deltaspace", "say what becomes different")
    return normalize(difference, dim=0)


def change(head: Head, before: Float[Tensor, "*B D"], after: Float[Tensor, "*B D"]) -> Float[Tensor, " *B"]:
    """Give how well what happened between two vectors fits: the cosine of their difference with the direction.

    Args:
        head: what `ask` made.
        before: unit vectors.
        after: unit vectors of the same things, later or elsewhere.
    """
    return normalize(after - before, dim=-1) @ normalize(head.weight[0], dim=0).to(after)
