"""Negatives that fit the question: a name is held against what it is easily taken for, not only against "object".

HQ-CLIP: Leveraging Large Vision-Language Models to Create High-Quality Image-Text Datasets and CLIP Models (ICCV 2025)
gives each picture long and short texts that are true and short ones that are false, and trains against the false ones.
Here a generator writes what looks like each name and is not it; these texts are what all names must beat. Unlike LaCLIP
and descriptions the name's own row stays as it is.

Ours: the use at question time is not the paper's; `with_negatives` makes its false texts for training
(`langfield.suite.objectives.hard_negative`). A negative of one name that is asked for itself, or means nearly that, is
left out.

Cost: a text encoding for each negative.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.corpus import Caption, Pairs
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question, TextGenerator

NEEDS = ("generator",)


@dataclass(frozen=True)
class Settings:
    """Which negatives are used."""

    negatives: int = 8
    """Written for each text."""
    keep: bool = True
    """Whether the given negatives stay beside them; they stay in any case where none were written."""
    nearest: float = 0.97
    """Greatest cosine of a negative with a text that is asked for."""
    scale: float = 10.0
    """How sharply names are told from negatives: LERF's."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head of texts and their own negatives.

    Args:
        question: texts, negatives, and who writes more of these.
        encode: the text encoder.
        settings: which negatives are used.

    Raises:
        SettingsError: there is nobody who writes, or nothing at all to hold names against.
    """
    if question.generator is None:
        raise SettingsError("hq-clip needs somebody who writes negatives", remedy="name a text generator")
    names = encode(question.texts).float()
    texts = written(question, question.generator, settings.negatives)
    vectors = encode(texts).float() if texts else names[:0]
    texts, vectors = _apart(texts, vectors, names, settings.nearest)
    kept = question.negatives if settings.keep or not texts else ()
    if not texts and not kept:
        raise SettingsError("nothing was written to hold the names against", remedy="name negatives")
    weight = torch.cat([names, vectors, encode(kept).float()] if kept else [names, vectors])
    rows = (*range(len(names)), *(AGAINST,) * (len(weight) - len(names)))
    writer = question.generator.name + (", by rule" if question.generator.reduced else "")
    about = (("method", "hq-clip"), ("writer", writer), ("against", "; ".join([*texts, *kept])))
    return Head(question.texts, weight, torch.zeros(len(weight)), rows, settings.scale, about=about)


def written(question: Question, generator: TextGenerator, count: int) -> list[str]:
    """Give what was written for any text, none twice and none that stands in the question already, in any case."""
    known = {text.strip().lower() for text in (*question.texts, *question.negatives)}
    said = [other for text in question.texts for other in generator.write("negatives", text, count)]
    return [other for other in dict.fromkeys(said) if other.strip().lower() not in known]


def with_negatives(pairs: Pairs, generator: TextGenerator, count: int = 4) -> Pairs:
    """Add false texts of every short caption that is true, said to be the generator's."""
    captions = tuple(
        (*said, *(
            Caption(text, "negative", caption.language, generator.name)
            for caption in said if caption.kind == "short" for text in generator.write("negatives", caption.text, count)
        ))
        for said in pairs.captions
    )  # fmt: skip
    return replace(pairs, captions=captions)


def _apart(
    texts: list[str], vectors: Float[Tensor, "K D"], names: Float[Tensor, "C D"], nearest: float
) -> tuple[list[str], Float[Tensor, "k D"]]:
    """Leave out what means nearly one of the names."""
    apart = (vectors @ names.T).amax(1) <= nearest if texts else torch.zeros(0, dtype=torch.bool)
    return [text for text, kept in zip(texts, apart.tolist(), strict=True) if kept], vectors[apart]
