"""Descriptions that tell a name from its nearest rivals in this scene, whoever they were written for.

Does VLM Classification Benefit from LLM Description Semantics? (arXiv 2412.11917): descriptions written for a name help
mostly as an ensemble, so meaning has to be shown. All descriptions, without names, are compared with pictures; a name
keeps those that its own pictures fit better than those of any rival. Unlike Visual Classification via Description, what
was written for a name counts nothing by itself; unlike GRAIN parts do not vote.

Ours: the pictures are the scene's things, each taken for the name that lies nearest; rivals are those of the name and
not of each picture, so that the answer stays a head. Names no thing was taken for keep their own descriptions, as do
names without any that tells them apart.

Cost: a text encoding for each description, a product of descriptions and things.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question

NEEDS = ("generator", "gallery")
UNSEEN = -2.0  # similarity of descriptions to a name without things: below any


@dataclass(frozen=True)
class Settings:
    """How descriptions are chosen and weighed."""

    written: int = 8
    """Descriptions asked for each text."""
    kept: int = 5
    """The most that a name keeps."""
    rivals: int = 2
    """The names nearest to a name; with itself the paper's three. A single name has the negatives for rivals."""
    name_weight: float = 1.0
    """What the name itself counts beside the mean of its descriptions."""
    scale: float = 10.0
    """How sharply names are told from negatives: LERF's."""


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head of names and the descriptions that tell them apart.

    Args:
        question: texts, negatives, who describes, and the scene's things.
        encode: the text encoder.
        settings: how descriptions are chosen and weighed.

    Raises:
        SettingsError: there is nobody who describes, no thing to look at, or no negatives.
    """
    if question.generator is None or question.gallery is None or len(question.gallery) == 0:
        raise SettingsError("disclip needs somebody who describes and the scene's things", remedy="name a generator")
    if not question.negatives:
        raise SettingsError("disclip needs negatives to hold names against", remedy="name some")
    names = encode([*question.texts, *question.negatives]).float()
    own = [question.generator.write("descriptions", text, settings.written) for text in question.texts]
    pool = list(dict.fromkeys(text for texts in own for text in texts))
    vectors = encode(pool).float() if pool else names[:0]
    fits = fit_of(vectors, names, question.gallery.float())
    rows, about = [], [("method", "disclip"), ("writer", question.generator.name)]
    for name, text in enumerate(question.texts):
        known = names[: len(question.texts)] if len(question.texts) > 1 else names
        chosen = select(fits, name, nearest(known, name, settings.rivals), settings.kept)
        found = chosen or [pool.index(d) for d in own[name]]
        rows.append(_row(names[name], vectors[found], settings.name_weight))
        about.append((text, ("" if chosen else "own: ") + "; ".join(pool[d] for d in found)))
    weight = torch.cat([torch.stack(rows), names[len(rows) :]])
    owner = (*range(len(rows)), *(AGAINST,) * len(question.negatives))
    return Head(question.texts, weight, torch.zeros(len(weight)), owner, settings.scale, about=tuple(about))


def fit_of(
    descriptions: Float[Tensor, "P D"], names: Float[Tensor, "C D"], things: Float[Tensor, "G D"]
) -> Float[Tensor, "P C"]:
    """Give S[d, c]: the mean similarity of description d to what was taken for name c; UNSEEN without any."""
    taken = torch.nn.functional.one_hot((things @ names.T).argmax(1), len(names)).float()
    count = taken.sum(0)
    mean = descriptions @ things.T @ taken / count.clamp_min(1)
    return torch.where(count > 0, mean, UNSEEN)


def nearest(names: Float[Tensor, "C D"], name: int, count: int) -> Int64[Tensor, " k"]:
    """Give the other names that lie nearest to one."""
    close = names @ names[name]
    close[name] = -torch.inf
    return close.topk(min(count, len(names) - 1)).indices


def select(fits: Float[Tensor, "P C"], name: int, rivals: Int64[Tensor, " k"], most: int) -> list[int]:
    """Choose the descriptions that fit a name at least as well as each rival, those that fit it most of all first."""
    seen = rivals[fits[:1, rivals].flatten() > UNSEEN] if len(fits) else rivals[:0]
    if len(seen) == 0 or float(fits[0, name]) == UNSEEN:
        return []
    ahead = fits[:, name, None] - fits[:, seen]
    able = (ahead >= 0).all(1).nonzero().flatten()
    order = ahead[able].mean(1).argsort(descending=True, stable=True)
    return able[order][:most].tolist()


def _row(name: Float[Tensor, " D"], descriptions: Float[Tensor, "k D"], weight: float) -> Float[Tensor, " D"]:
    """Give the row that makes the weighed mean of two cosines: with the name, and the mean one of its descriptions."""
    if len(descriptions) == 0:
        return name
    return (weight * name + descriptions.mean(0)) / (weight + 1)
