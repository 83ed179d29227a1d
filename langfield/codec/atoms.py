"""Learning the atoms of a codebook: spherical k-means for a start, then atoms and sparse codes in turn.

The turns are the method of optimal directions (Engan, Aase and Husøy 1999) with non-negative codes, as SCOUP (arXiv
2605.13600) learns its codebook on region features.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.codec.pursuit import pursue

RIDGE = 1e-3
"""Added to every atom's use before solving; keeps atoms of nearly no use where they are finite."""


def spread_start(vectors: Float[Tensor, "M D"], count: int, generator: torch.Generator) -> Int64[Tensor, " A"]:
    """Choose rows far from each other, each drawn in proportion to its distance from those before (k-means++).

    Args:
        vectors: unit vectors.
        count: rows wanted; fewer come back where there are fewer different vectors.
        generator: decides the draw.
    """
    rows: list[int] = [int(torch.randint(len(vectors), (1,), generator=generator))]
    nearest = vectors @ vectors[rows[0]]
    while len(rows) < count:
        distance = (1 - nearest).clamp_min(0)
        distance[distance < 1e-6] = 0
        if not distance.any():
            break
        rows.append(int(torch.multinomial(distance, 1, generator=generator)))
        nearest = torch.maximum(nearest, vectors @ vectors[rows[-1]])
    return torch.tensor(rows)


def cluster_step(vectors: Float[Tensor, "M D"], centres: Float[Tensor, "A D"]) -> Float[Tensor, "A D"]:
    """Move every centre to the direction of the sum of the vectors nearest to it (one step of spherical k-means).

    A centre that nobody is nearest to moves to one of the vectors that are farthest from theirs.
    """
    similarity, owner = (vectors @ centres.T).max(dim=1)
    sums = torch.zeros_like(centres).index_add_(0, owner, vectors)
    return replace_unused(
        normalize(sums, dim=-1), torch.bincount(owner, minlength=len(centres)) == 0, vectors, -similarity
    )


def refine_step(vectors: Float[Tensor, "M D"], atoms: Float[Tensor, "A D"], terms: int) -> Float[Tensor, "A D"]:
    """Code all vectors with `terms` atoms each, then give the atoms that serve these codes best."""
    index, weight = pursue(vectors, atoms, terms)
    codes = vectors.new_zeros(len(vectors), len(atoms)).scatter_(1, index, weight)
    use = codes.T @ codes
    unused = use.diagonal() == 0
    use.diagonal().add_(RIDGE)
    better = torch.linalg.solve(use, codes.T @ vectors + RIDGE * atoms)
    missed = (vectors - codes @ atoms).norm(dim=-1)
    return replace_unused(normalize(better, dim=-1), unused, vectors, missed)


def replace_unused(
    atoms: Float[Tensor, "A D"], unused: Tensor, vectors: Float[Tensor, "M D"], missed: Float[Tensor, " M"]
) -> Float[Tensor, "A D"]:
    """Put the directions of the vectors that are missed most in the places of unused atoms."""
    places = unused.nonzero()[:, 0][: len(vectors)]
    worst = missed.argsort(descending=True, stable=True)[: len(places)]
    atoms[places] = normalize(vectors[worst], dim=-1)
    return atoms
