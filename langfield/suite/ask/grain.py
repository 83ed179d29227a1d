"""Parts vote: each part of a thing is scored by the description that fits it best, the whole by name and descriptions.

Grounding Descriptions in Images informs Zero-Shot Visual Recognition (arXiv, December 2024), its test-time part: the
score of a name is a x the cosine of the picture with the mean of "name which has description", plus (1 - a) x the mean
over regions of the greatest cosine with any description. Unlike Visual Classification via Description one description
is enough for a part; unlike DisCLIP all of them are kept.

Ours: the decoder that finds regions is not built; regions are what the field has, Gaussians and the segments of a
thing. A name has a row for each description, a x mean + (1 - a) x description, so the head gives the formula for what
is asked of it as whole and region at once; `vote` gives it for a picture and its regions. In a head the plain name is
one of the descriptions, since a thing may be its own only part.

Cost: two text encodings for each description.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question

NEEDS = ("generator",)


@dataclass(frozen=True)
class Settings:
    """What counts how much."""

    written: int = 8
    """Descriptions asked for each text."""
    whole: float = 0.5
    """The paper's a: what the name with its descriptions counts; the rest is the best description alone."""
    with_name: bool = True
    """Whether the plain name is one of the descriptions."""
    scale: float = 10.0
    """How sharply names are told from negatives: LERF's."""


@dataclass(frozen=True)
class Described:
    """A name and its descriptions as vectors; a name without descriptions has itself for the only one."""

    mean: Float[Tensor, " D"]
    """Unit mean of the name with each description."""
    parts: Float[Tensor, "P D"]
    """Unit vectors of the descriptions alone."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head with a row for every description.

    Args:
        question: texts, negatives, and who describes.
        encode: the text encoder.
        settings: what counts how much.

    Raises:
        SettingsError: there is nobody who describes, no negatives, or a share outside 0 to 1.
    """
    if question.generator is None:
        raise SettingsError("grain needs somebody who writes descriptions", remedy="name a text generator")
    if not question.negatives or not 0 <= settings.whole <= 1:
        raise SettingsError("grain needs negatives, and whole between 0 and 1", f"whole is {settings.whole}")
    writer, rows, owner = question.generator, [], []
    about = [("method", "grain"), ("writer", writer.name + (", by rule" if writer.reduced else ""))]
    for name, text in enumerate(question.texts):
        said = writer.write("descriptions", text, settings.written)
        one = describe(text, said, encode)
        parts = torch.cat([one.parts, encode([text])]) if settings.with_name and said else one.parts
        rows.append(settings.whole * one.mean + (1 - settings.whole) * parts)
        owner += [name] * len(parts)
        about.append((text, "; ".join(said) or "no description"))
    weight = torch.cat([*rows, encode(question.negatives)]).float()
    rows_of = (*owner, *(AGAINST,) * len(question.negatives))
    return Head(question.texts, weight, torch.zeros(len(weight)), rows_of, settings.scale, about=tuple(about))


def describe(text: str, said: Sequence[str], encode: Encode) -> Described:
    """Put a name and its descriptions into vectors."""
    if not said:
        alone = encode([text])
        return Described(alone[0], alone)
    together = encode([f"{text} which has {description}" for description in said])
    return Described(normalize(together.mean(0), dim=0), encode(list(said)))


def vote(
    names: Sequence[Described], picture: Float[Tensor, " D"], regions: Float[Tensor, "R D"], whole: float = 0.5
) -> Float[Tensor, " C"]:
    """Give the paper's score of every name for a picture and its regions.

    Args:
        names: as `describe` gives them.
        picture: unit vector of the whole.
        regions: unit vectors of at least one part of it.
        whole: the paper's a.
    """
    found = [whole * (picture @ one.mean) + (1 - whole) * (regions @ one.parts.T).amax(1).mean() for one in names]
    return torch.stack(found)
