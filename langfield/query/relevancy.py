"""How relevant a vector is to a phrase: closer to it than to phrases that fit anything (LERF, LangSplat)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import QueryError
from langfield.suite.head import Head
from langfield.suite.types import ImageEncoder, TextEncoder

CANONICALS = ("object", "things", "stuff", "texture")
TEMPERATURE = 10.0
NEUTRAL = 0.5
"""The relevancy of a zero vector: it is as close to every phrase."""
MAX_TEXT = 512
Space = Literal["text", "image", "taught"]


@dataclass(frozen=True)
class Phrases:
    """What is asked, as unit vectors, and what it is held against; the one question that every query function takes.

    Made of texts here (`encode_phrases`), of pictures, regions and raw vectors in `langfield.query.questions`, of heads
    in `langfield.query.heads`.
    """

    texts: tuple[str, ...]
    """What each row of an answer is about: a phrase, or words for a picture or a region."""
    positives: Float[Tensor, "P D"]
    canonicals: Float[Tensor, "K D"]
    """What the positives must be closer to than these are: the negatives."""
    encoder: dict[str, Any]
    """Name, width and provenance of the encoder that made the positives, shown with every answer."""
    negatives: tuple[str, ...] = CANONICALS
    """What the canonicals stand for, in words; their order and number need not be those of the vectors."""
    rows: tuple[int, ...] | None = None
    """Row of an answer that each positive counts for, where several make one question; None for a row each."""
    space: Space = "text"
    """What made the positives: vectors of pictures are nearer to all that is seen than those of texts; what was taught
    from examples is like neither."""
    head: Head | None = None
    """An affine form that scores in the place of cosines, with a row of the answer for each name (`query.heads`)."""

    def __len__(self) -> int:
        """Number Q of rows of an answer."""
        return len(self.texts)

    def join(self, scores: Float[Tensor, " P *B"]) -> Float[Tensor, " Q *B"]:
        """Turn scores of positives into rows of an answer: the best of those that count for the same row."""
        if self.rows is None:
            return scores
        rows = torch.tensor(self.rows)
        return torch.stack([scores[rows == row].amax(dim=0) for row in range(len(self))])

    def row(self, index: int) -> Phrases:
        """Give the question of one row of the answer."""
        rows = range(len(self)) if self.rows is None else self.rows
        head = None if self.head is None else self.head.only(index)
        mine = [i for i, row in enumerate(rows) if row == index]
        joined = None if self.rows is None else (0,) * len(mine)
        texts, positives = self.texts[index : index + 1], self.positives[mine]
        return replace(self, texts=texts, positives=positives, rows=joined, head=head)

    def any_of(self) -> Phrases:
        """Give one question that any of the rows answers."""
        head = None if self.head is None else self.head.any_of()
        return replace(self, texts=(" or ".join(self.texts),), rows=(0,) * len(self.positives), head=head)

    def scores(self, vectors: Float[Tensor, "*B D"]) -> Float[Tensor, " Q *B"]:
        """Give the relevancy of unit vectors to every row of the question; 0.5 for zero vectors."""
        if self.head is not None:
            return self.head.relevancy(vectors)
        return self.join(relevancy(vectors, self.positives, self.canonicals))


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


def encode_phrases(
    encoder: TextEncoder, texts: Sequence[str], dim: int, negatives: Sequence[str] = CANONICALS
) -> Phrases:
    """Encode phrases together with those they are held against; `any_of` makes one question of several.

    Args:
        encoder: the text encoder that goes with the field's image encoder.
        texts: one or more phrases.
        dim: width D of the field's embeddings.
        negatives: what a thing must fit less than it fits a phrase; in any order.

    Raises:
        QueryError: a phrase cannot be asked, there is no negative, or the encoder's vectors do not fit the field.
    """
    asked, against = tuple(check_text(text) for text in texts), tuple(check_text(text) for text in negatives)
    if not asked:
        raise QueryError("no question was given", remedy="name at least one thing")
    if not against:
        raise QueryError("no negative was given", remedy=f"name at least one, or leave out for {', '.join(CANONICALS)}")
    vectors = encode_unit(encoder, [*asked, *against], dim)
    return Phrases(asked, vectors[: len(asked)], vectors[len(asked) :], about_encoder(encoder), against)


def encode_unit(encoder: TextEncoder, texts: Sequence[str], dim: int) -> Float[Tensor, "B D"]:
    """Encode texts to float32 vectors on the CPU, distrusting the encoder.

    Raises:
        QueryError: its vectors do not fit the field, or are not finite.
    """
    if encoder.dim != dim:
        raise QueryError(
            f"text encoder gives vectors of width {encoder.dim}, the field holds width {dim}",
            encoder.name,
            "ask with the text encoder that belongs to the field's image encoder",
        )
    vectors = encoder.encode_texts(list(texts)).detach().float().cpu()
    if vectors.shape != (len(texts), dim) or not torch.isfinite(vectors).all():
        raise QueryError("text encoder gave unusable vectors", f"{encoder.name}, shape {tuple(vectors.shape)}")
    return vectors


def about_encoder(encoder: TextEncoder | ImageEncoder) -> dict[str, Any]:
    """Say what an encoder is, for answers."""
    return {"name": encoder.name, "dim": encoder.dim, "provenance": dict(encoder.provenance)}
