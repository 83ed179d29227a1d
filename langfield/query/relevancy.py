"""How relevant a vector is to a phrase: closer to it than to phrases that fit anything (LERF, LangSplat)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import QueryError
from langfield.suite.types import TextEncoder

CANONICALS = ("object", "things", "stuff", "texture")
TEMPERATURE = 10.0
NEUTRAL = 0.5
"""The relevancy of a zero vector: it is as close to every phrase."""
MAX_TEXT = 512


@dataclass(frozen=True)
class Phrases:
    """Phrases and canonical phrases as unit vectors of one text encoder."""

    texts: tuple[str, ...]
    positives: Float[Tensor, "Q D"]
    canonicals: Float[Tensor, "K D"]
    encoder: dict[str, Any]
    """Name, width and provenance of the text encoder, shown with every answer."""

    def __len__(self) -> int:
        return len(self.texts)


def relevancy(
    vectors: Float[Tensor, "*B D"], positives: Float[Tensor, "Q D"], canonicals: Float[Tensor, "K D"]
) -> Float[Tensor, " Q *B"]:
    """Give the relevancy of every vector to every phrase, 0 to 1 (LERF, Section 3.4; LangSplat, Section 3.4).

    The least over canonical phrases of softmax(10 q·v, 10 c·v), first entry, which is a sigmoid of the difference.

    Args:
        vectors: unit vectors, or zero where there is nothing to see (relevancy 0.5).
        positives: unit vectors of the phrases.
        canonicals: unit vectors of the canonical phrases.
    """
    return relevancy_from(vectors @ positives.T.to(vectors), vectors @ canonicals.T.to(vectors))


def relevancy_from(wanted: Float[Tensor, "*B Q"], canonical: Float[Tensor, "*B K"]) -> Float[Tensor, " Q *B"]:
    """Give the relevancy that follows from inner products with phrases and with canonical phrases."""
    nearest_canonical = canonical.amax(dim=-1)  # *B
    return torch.sigmoid(TEMPERATURE * (wanted.movedim(-1, 0) - nearest_canonical))


def check_text(text: str) -> str:
    """Give a phrase stripped of outer spaces.

    Raises:
        QueryError: it is empty, longer than 512 characters, or has control characters.
    """
    stripped = text.strip()
    if not stripped:
        raise QueryError("the question is empty", remedy="name a thing, such as 'red mug'")
    if len(stripped) > MAX_TEXT:
        raise QueryError(f"the question has {len(stripped)} characters", remedy=f"use at most {MAX_TEXT}")
    if not stripped.isprintable():
        raise QueryError("the question contains control characters", repr(stripped[:40]), "use one line of plain text")
    return stripped


def encode_phrases(encoder: TextEncoder, texts: Sequence[str], dim: int) -> Phrases:
    """Encode phrases together with the canonical ones.

    Args:
        encoder: the text encoder that goes with the field's image encoder.
        texts: one or more phrases.
        dim: width D of the field's embeddings.

    Raises:
        QueryError: a phrase cannot be asked, or the encoder's vectors do not fit the field.
    """
    asked = tuple(check_text(text) for text in texts)
    if not asked:
        raise QueryError("no question was given", remedy="name at least one thing")
    if encoder.dim != dim:
        raise QueryError(
            f"text encoder gives vectors of width {encoder.dim}, the field holds width {dim}",
            encoder.name,
            "ask with the text encoder that belongs to the field's image encoder",
        )
    vectors = encoder.encode_texts([*asked, *CANONICALS]).detach().float().cpu()
    if vectors.shape != (len(asked) + len(CANONICALS), dim) or not torch.isfinite(vectors).all():
        raise QueryError("text encoder gave unusable vectors", f"{encoder.name}, shape {tuple(vectors.shape)}")
    about = {"name": encoder.name, "dim": encoder.dim, "provenance": dict(encoder.provenance)}
    return Phrases(asked, vectors[: len(asked)], vectors[len(asked) :], about)
