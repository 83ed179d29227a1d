"""Rewrites: a question is averaged with other words for itself; captions to train on are rewritten the same way.

Improving CLIP Training with Language Rewrites (arXiv 2305.20088): each picture is trained with a text drawn from its
caption and four rewrites by a language model. Asked, the mean over rewrites moves less with the wording than any one of
them. Unlike descriptions, rewrites mean the same as the text; unlike HQ-CLIP nothing is said of what it is not.

Ours: the average at question time; the paper rewrites only what is trained on (`rewritten`, `choose`).

Cost: a text encoding for each rewrite.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question, TextGenerator

NEEDS = ("generator",)
FEWEST_WORDS = 2  # a drawn rewrite of fewer words gives way to the caption, as in the paper's code


@dataclass(frozen=True)
class Settings:
    """How many rewrites, and what they count."""

    rewrites: int = 4
    """Of each text; four in the paper."""
    own: float = 1.0
    """What the text itself counts in the average, where a rewrite counts one."""
    scale: float = 10.0
    """How sharply names are told from negatives: LERF's."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head of averaged texts.

    Args:
        question: texts, negatives, and who rewrites.
        encode: the text encoder.
        settings: how many rewrites, and what they count.

    Raises:
        SettingsError: there is nobody who rewrites, no negatives, or the text counts nothing.
    """
    writer = _writer(question.generator)
    if not question.negatives or not settings.own > 0:
        raise SettingsError("laclip needs negatives to hold names against, and own above 0", f"own is {settings.own}")
    said = [writer.write("rewrites", text, settings.rewrites) for text in question.texts]
    rows = [averaged(text, others, encode, settings.own) for text, others in zip(question.texts, said, strict=True)]
    weight = torch.cat([torch.stack(rows), encode(question.negatives)]).float()
    owner = (*range(len(rows)), *(AGAINST,) * len(question.negatives))
    about = [("method", "laclip"), ("writer", writer.name + (", by rule" if writer.reduced else ""))]
    about += [(text, "; ".join(others) or "no rewrite") for text, others in zip(question.texts, said, strict=True)]
    return Head(question.texts, weight, torch.zeros(len(weight)), owner, settings.scale, about=tuple(about))


def averaged(text: str, others: Sequence[str], encode: Encode, own: float) -> Float[Tensor, " D"]:
    """Give the unit average of a text, which counts `own`, and its rewrites, which count one each."""
    first, *more = encode([text, *others])
    return normalize(own * first + torch.stack(more).sum(0), dim=0) if more else first


def rewritten(pairs: Pairs, generator: TextGenerator, count: int = 4) -> Pairs:
    """Add rewrites of every short caption that is true, said to be the generator's."""
    captions = tuple(
        (*said, *(
            Caption(text, language=caption.language, source=generator.name)
            for caption in said if caption.kind == "short" for text in generator.write("rewrites", caption.text, count)
        ))
        for said in pairs.captions
    )  # fmt: skip
    return replace(pairs, captions=captions)


def choose(caption: str, rewrites: Sequence[str], rng: np.random.Generator) -> str:
    """Draw the caption or one of its rewrites, all alike likely; a drawn text of one word gives way to the caption."""
    drawn = (caption, *rewrites)[int(rng.integers(1 + len(rewrites)))]
    return drawn if len(drawn.split()) >= FEWEST_WORDS else caption


def _writer(generator: TextGenerator | None) -> TextGenerator:
    if generator is None:
        raise SettingsError("laclip needs somebody who writes rewrites", remedy="name a text generator")
    return generator
