"""A sentence of two things is asked by its parts: each part of a picture counts by how well it fits the words for it.

ComCLIP: Training-Free Compositional Image and Text Matching (arXiv 2211.13854): subject, predicate and object of a
sentence are compared with pictures of each alone; these are added to the whole picture, weighed by their share of the
fit, and the sum is compared with the whole sentence. It re-ranks what CLIP ranked first. Unlike GRAIN, whose parts vote
for descriptions of one name, each word here has a part of its own.

Ours: pictures of parts are the vectors of the field's things, cut out in 3D already, and the picture of a pair is the
mean of both where none is given. A head asks things one at a time, so `ask` gives the subject's, and `pairs` ranks
pairs of things. The sum hardly says which thing is which (it is the same bag of parts), so fits of subject and object
count beside it. CLIP does not know left from right: where a thing lies comes from the field's geometry, as `holds`, or
from nobody. Sentences are parsed by a list of relations, not by a language model. Fits below zero count nothing.

Cost: four text encodings a sentence; a product for every candidate pair.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import SettingsError
from langfield.suite.head import AGAINST, Head
from langfield.suite.slots import Encode, Question

NEEDS = ()
RELATIONS = (
    "to the left of", "to the right of", "left of", "right of", "on top of", "in front of", "next to", "close to",
    "above", "below", "under", "beneath", "behind", "beside", "near", "between", "inside", "around", "holding",
    "wearing", "against", "over", "with", "on", "in", "and",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """How pairs are chosen and scored."""

    candidates: int = 10
    """Things that fit the subject best, and as many that fit the object; the paper re-ranks ten."""
    entities: float = 1.0
    """What the mean fit of subject and object counts beside the sentence's cosine."""
    scale: float = 10.0
    """How sharply a subject is told from negatives: LERF's."""


@dataclass(frozen=True)
class Parts:
    """A sentence in parts; what is said of one thing is its subject alone."""

    text: str
    subject: str
    relation: str | None = None
    object: str | None = None


@dataclass(frozen=True)
class Pair:
    """Things that may be meant, by their place in the gallery, and how well they fit."""

    subject: int
    object: int | None
    score: float


def parse(text: str) -> Parts:
    """Part a sentence at the first relation that has words on both sides: "the red mug left of the laptop"."""
    for found in re.finditer(rf"\s({'|'.join(RELATIONS)})\s", text, re.IGNORECASE):
        subject = re.sub(r"\s+(is|are|lies|stands|that is)$", "", text[: found.start()].strip())
        other = text[found.end() :].strip()
        if subject and other:
            return Parts(text, subject, found.group(1).lower(), other)
    return Parts(text, text.strip())


def ask(question: Question, encode: Encode, settings: Settings = Settings()) -> Head:
    """Make a head of what each sentence is about: its subject.

    Args:
        question: texts and negatives.
        encode: texts to unit vectors.
        settings: see above.

    Raises:
        SettingsError: there are no negatives.
    """
    if not question.negatives:
        raise SettingsError("comclip needs negatives to hold names against", remedy="name some")
    parsed = [parse(text) for text in question.texts]
    weight = encode([*(parts.subject for parts in parsed), *question.negatives]).float()
    rows = (*range(len(parsed)), *(AGAINST,) * len(question.negatives))
    told = tuple((p.text, f"{p.subject} | {p.relation} | {p.object}" if p.object else p.subject) for p in parsed)
    about = (("method", "comclip"), *told)
    return Head(question.texts, weight, torch.zeros(len(weight)), rows, settings.scale, about=about)


def pairs(
    parts: Parts,
    things: Float[Tensor, "G D"],
    encode: Encode,
    settings: Settings = Settings(),
    both: Float[Tensor, "G G D"] | None = None,
    holds: Bool[Tensor, "G G"] | None = None,
) -> list[Pair]:
    """Rank pairs of things, or things where the sentence is about one, best first.

    Args:
        parts: the sentence.
        things: unit vectors of the scene's things.
        encode: texts to unit vectors.
        settings: see above.
        both: unit vectors of pictures of two things each; their means where not given.
        holds: whether the relation holds of two things, by geometry; pairs of which it does not are left out.
    """
    if parts.object is None or parts.relation is None:
        found = things @ encode([parts.text])[0].to(things)
        return [Pair(i, None, float(found[i])) for i in found.argsort(descending=True).tolist()]
    text, *words = encode([parts.text, parts.subject, parts.object, parts.relation]).to(things)
    fits = things @ torch.stack(words[:2]).T
    first, second = (fits[:, side].topk(min(settings.candidates, len(things))).indices.tolist() for side in (0, 1))
    chosen = [(i, j) for i in first for j in second if i != j and (holds is None or bool(holds[i, j]))]
    ranked = []
    for i, j in chosen:
        whole = normalize(things[i] + things[j], dim=0) if both is None else both[i, j]
        made = compose(whole, torch.stack([things[i], things[j], whole]), torch.stack(words))
        entities = settings.entities * float(fits[i, 0] + fits[j, 1]) / 2
        ranked.append(Pair(i, j, float(made @ text) + entities))
    return sorted(ranked, key=lambda pair: -pair.score)


def compose(
    whole: Float[Tensor, "*B D"], parts: Float[Tensor, "*B P D"], words: Float[Tensor, "P D"]
) -> Float[Tensor, "*B D"]:
    """Give unit(picture + sum of parts, each weighed by its share of the fit to its words)."""
    fits = (parts * words).sum(dim=-1).clamp_min(0)
    shares = fits / fits.sum(dim=-1, keepdim=True).clamp_min(1e-9)
    return normalize(whole + (shares[..., None] * parts).sum(dim=-2), dim=-1)
