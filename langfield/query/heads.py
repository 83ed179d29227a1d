"""Heads as questions: what a method made of words or examples is asked of a field as a text is.

`ask_head` gives the one question that all of `langfield.query` takes; a text query is one case (`head_of`). Where the
codec is linear codes are not decoded, as affine forms pass through blending.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gaussians import gaussian_relevancy
from langfield.query.image import language_of, relevancy_maps
from langfield.query.relevancy import TEMPERATURE, Phrases
from langfield.query.things import thing_scores
from langfield.suite.families import FAMILIES, method
from langfield.suite.head import AGAINST, Head


def head_of(phrases: Phrases) -> Head:
    """Give a question as a head: its positives and what they are held against, without bias."""
    if phrases.head is not None:
        return phrases.head
    rows = tuple(range(len(phrases))) if phrases.rows is None else phrases.rows
    weight = torch.cat([phrases.positives, phrases.canonicals])
    against = (AGAINST,) * len(phrases.canonicals)
    about = (("method", "text"), ("against", ", ".join(phrases.negatives)))
    return Head(phrases.texts, weight, torch.zeros(len(weight)), (*rows, *against), TEMPERATURE, about=about)


def ask_head(head: Head, dim: int, encoder: Mapping[str, Any] | None = None) -> Phrases:
    """Give a head as a question, with a row of the answer for each of its names.

    Args:
        head: what a method made.
        dim: width D of the field's embeddings.
        encoder: what encoded its words, for answers.

    Raises:
        QueryError: the head reads vectors of another width.
    """
    if head.dim != dim:
        raise QueryError(
            f"the head reads vectors of width {head.dim}, the field holds width {dim}",
            remedy="use a head that was made with this field's encoder",
        )
    named = [i for i, row in enumerate(head.rows) if row != AGAINST]
    about, against = {"name": "none", **(encoder or {}), "head": dict(head.about)}, dict(head.about).get("against", "")
    rows = tuple(head.rows[i] for i in named)
    positives, canonicals = normalize(head.weight[named], dim=1), head.rows_of(AGAINST)[0]
    space = "text" if _in_words(head) else "taught"
    return Phrases(head.names, positives, canonicals, about, (against,) if against else (), rows, space, head)


def _in_words(head: Head) -> bool:
    """Tell whether rows are texts, which may be compared with common names."""
    name = dict(head.about).get("method", "")
    asked = name in FAMILIES["ask"][0] and not getattr(method("ask", name), "TOGETHER", False)
    return (asked or name == "text") and not head.rivals and not bool(head.bias.any())


def head_scores(field: Field, head: Head) -> Float[Tensor, "C L N"]:
    """Give the relevancy of every Gaussian, per name and level; 0.5 where no view has shown it.

    Raises:
        QueryError: the field has no language part, or the head reads vectors of another width.
    """
    return gaussian_relevancy(field, _question(field, head))


def head_things(field: Field, head: Head) -> Float[Tensor, "C I"]:
    """Give the relevancy of every thing, per name, drawn towards chance (see `langfield.query.things`).

    Raises:
        QueryError: the field has no things, or the head reads vectors of another width.
    """
    return thing_scores(field, _question(field, head))


def head_maps(field: Field, camera: Camera, head: Head) -> Float[Tensor, "C L H W"]:
    """Give the relevancy of every pixel, per name and level, as seen through a camera.

    Where the codec is linear it is that of the products expected along the ray; else blended codes are decoded.

    Raises:
        QueryError: the field has no language part, or the head reads vectors of another width.
    """
    return relevancy_maps(field, camera, _question(field, head))


def _question(field: Field, head: Head) -> Phrases:
    return ask_head(head, language_of(field)[1].dim)
