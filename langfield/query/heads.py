"""Heads asked of a field: per Gaussian, per thing, per picture; where the codec is linear codes are not decoded.

A text query is one case (`head_of`), with the numbers that `gaussian_relevancy`, `thing_scores`, `relevancy_maps` give.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.language import unit_codes
from langfield.field.types import Field
from langfield.query.image import CHUNK_FLOATS, NO_LATENT, language_of, render_latents
from langfield.query.relevancy import NEUTRAL, TEMPERATURE, Phrases
from langfield.query.similarity import LEAST_SEEN, Similarity, draw_language
from langfield.query.things import things_of
from langfield.suite.head import AGAINST, Head


def head_of(phrases: Phrases) -> Head:
    """Give a question as a head: its positives and what they are held against, without bias."""
    rows = tuple(range(len(phrases))) if phrases.rows is None else phrases.rows
    weight = torch.cat([phrases.positives, phrases.canonicals])
    against = (AGAINST,) * len(phrases.canonicals)
    about = (("method", "text"), ("against", ", ".join(phrases.negatives)))
    return Head(phrases.texts, weight, torch.zeros(len(weight)), (*rows, *against), TEMPERATURE, about=about)


@torch.no_grad()
def head_scores(field: Field, head: Head) -> Float[Tensor, "C L N"]:
    """Give the relevancy of every Gaussian, per name and level; 0.5 where no view has shown it.

    Raises:
        QueryError: the field has no language part, or the head reads vectors of another width.
    """
    codes, codec = _fitting(field, head)
    if not codec.linear:
        return _decoded(unit_codes(codes.float()), codec, head)
    similarity = Similarity(field)
    return _relevancy(head, head.margins(similarity.products), similarity.seen)


@torch.no_grad()
def head_things(field: Field, head: Head) -> Float[Tensor, "C I"]:
    """Give the relevancy of every thing, per name, drawn towards chance (see `langfield.query.things`).

    Raises:
        QueryError: the field has no things, or the head reads vectors of another width.
    """
    things = things_of(field)
    _fitting(field, head)
    margin = head.margins(things.score)  # I C
    chance = margin.mean(dim=0, keepdim=True)
    return torch.sigmoid(head.scale * (chance + (margin - chance) * things.reliability[:, None])).T


@torch.no_grad()
def head_maps(field: Field, camera: Camera, head: Head) -> Float[Tensor, "C L H W"]:
    """Give the relevancy of every pixel, per name and level, as seen through a camera.

    Where the codec is linear it is that of the products expected along the ray; else blended codes are decoded.

    Raises:
        QueryError: the field has no language part, or the head reads vectors of another width.
    """
    codes, codec = _fitting(field, head)
    if not codec.linear:
        latents = render_latents(field, camera)[0]
        length = latents.norm(dim=-1, keepdim=True)
        return _decoded(torch.where(length > NO_LATENT, latents / length.clamp_min(1e-12), 0.0), codec, head)
    similarity, levels = Similarity(field), len(codes)

    def draw(channels: Tensor) -> Float[Tensor, "H W P L"]:
        flat = channels.to(field.gaussians.means).contiguous()
        return draw_language(field, camera, flat, False)[0].unflatten(-1, (-1, levels))

    covered = draw(similarity.seen.T.float())
    expected = head.margins(lambda rows: (draw(similarity.channels(rows)) / covered.clamp_min(LEAST_SEEN)).mT)
    return _relevancy(head, expected, covered[..., 0, :] > LEAST_SEEN).permute(0, 3, 1, 2)


def _fitting(field: Field, head: Head) -> tuple[Tensor, Any]:
    codes, codec = language_of(field)
    if codec.dim != head.dim:
        raise QueryError(f"the head reads vectors of width {head.dim}, the field holds width {codec.dim}")
    return codes, codec


def _relevancy(head: Head, margins: Float[Tensor, "*B C"], seen: Tensor) -> Float[Tensor, " C *B"]:
    return torch.where(seen[..., None], torch.sigmoid(head.scale * margins), NEUTRAL).movedim(-1, 0)


def _decoded(codes: Float[Tensor, "*B d"], codec: Any, head: Head) -> Float[Tensor, " C *B"]:
    parts = codes.flatten(0, -2).split(max(1, CHUNK_FLOATS // codec.dim))
    return torch.cat([head.relevancy(codec.decode(part)) for part in parts], dim=1).unflatten(1, codes.shape[:-1])
