"""Blind pairs of this scene: things the encoder takes for one, which colour, shape or another encoder tells apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from torch import Tensor
from torch.nn.functional import normalize

from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.things import things_of
from langfield.suite.corpus import Pairs
from langfield.suite.slots import Items
from langfield.suite.types import ImageEncoder

STEPS = 4
"""Cells of a colour's histogram along each channel."""
PAIRS, BINS = 512, 24
"""Distances drawn in a thing, and the bins that they fall into, an eighth of an octave each side of its median."""
OCTAVES = 3.0
FEWEST = 64
"""Gaussians a thing needs so that colour and shape say anything: one for a cell of its colours' histogram."""
SH_0 = 0.28209479177387814
SHARED = 0.1
"""Two things that share more than this of the smaller's Gaussians lie inside each other: no pair."""


def gather_blind(field: Field, other: Float[Tensor, "I E"]) -> Items:
    """Give all things of a scene, row by number, for a Diagnoser.

    Args:
        field: one with things.
        other: unit vectors of the things by what may tell them apart: `colours_of`, `shapes_of`, `looks_of`.

    Raises:
        QueryError: the field has no things, or `other` is not of them.
    """
    things = things_of(field)
    if len(other) != len(things):
        raise QueryError(f"{len(other)} vectors for {len(things)} things")
    return Items(normalize(things.vectors.float(), dim=1), other=other)


def blind_pairs(
    field: Field, items: Items, diagnose: Callable[[Items], Sequence[dict[str, Any]]], most: int = 20
) -> list[dict[str, Any]]:
    """Report the blind pairs of things that lie in different places.

    Args:
        field: the one that the items are of.
        items: as `gather_blind` gives them.
        diagnose: gives all pairs, worst first, by their numbers `a` and `b`.
        most: pairs at most.
    """
    things = things_of(field)
    sizes, belongs = things.sizes.numpy(), _belongs(field)
    shared = (belongs @ belongs.T).tocsr()
    known = things.often.numpy() & (sizes >= FEWEST)
    known &= items.other.any(dim=1).numpy()  # type: ignore[union-attr]
    found = []
    for row in diagnose(items):
        a, b = row["a"], row["b"]
        if known[a] and known[b] and float(shared[a, b]) <= SHARED * min(sizes[a], sizes[b]):
            found.append(row)
    return found[:most]


def _belongs(field: Field) -> Any:
    things = things_of(field)
    ones, shape = np.ones(len(things.rows), np.float32), (len(things), len(field.gaussians))
    return sparse.csr_matrix((ones, things.rows.numpy(), things.first.numpy()), shape)


def colours_of(field: Field) -> Float[Tensor, "I E"]:
    """Give each thing the square root of its colours' histogram: cosines are Bhattacharyya coefficients, 0 to 1.

    Colours lie in 4 x 4 x 4 cells, each counted in the nearest two along every channel, by opacity and size.
    """
    things, gaussians = things_of(field), field.gaussians
    colour = (gaussians.sh[:, 0].detach().cpu().float() * SH_0 + 0.5).clamp(0, 1) * (STEPS - 1)
    area = gaussians.log_scales.detach().cpu().float().topk(2, dim=1).values.sum(dim=1).exp()
    weight = area * torch.sigmoid(gaussians.logit_opacities.detach().cpu().float())
    low = colour.floor().clamp_max(STEPS - 2).long()
    share, rows = colour - low, things.rows.long()
    found = torch.zeros(len(things), STEPS**3)
    for corner in torch.cartesian_prod(*[torch.arange(2)] * 3):
        near = torch.where(corner.bool(), share, 1 - share).prod(dim=1)
        cell = ((low + corner) * torch.tensor([STEPS**2, STEPS, 1])).sum(dim=1)
        found.index_put_((things.owner, cell[rows]), (near * weight)[rows], accumulate=True)
    return normalize(found.sqrt(), dim=1)


def shapes_of(field: Field, seed: int = 0) -> Float[Tensor, "I E"]:
    """Give each thing the square root of its distances' histogram (D2; Osada et al. 2002), sizes told apart.

    Distances between random pairs of a thing's Gaussians, on a logarithmic scale around the scene's median.
    """
    things, rng = things_of(field), np.random.default_rng(seed)
    means = field.gaussians.means.detach().cpu().double().numpy()
    drawn = np.full((len(things), PAIRS), np.nan)
    for thing in range(len(things)):
        rows = things.gaussians(thing).numpy()
        if len(rows) >= FEWEST:
            a, b = means[rng.choice(rows, PAIRS)], means[rng.choice(rows, PAIRS)]
            drawn[thing] = np.linalg.norm(a - b, axis=1)
    usual = np.nanmedian(drawn) if np.isfinite(drawn).any() else 1.0
    octave = np.log2(np.maximum(drawn, 1e-9 * usual) / usual)
    cell = (octave + OCTAVES) / (2 * OCTAVES) * BINS
    found = np.zeros((len(things), BINS), np.float32)
    for thing in np.flatnonzero(np.isfinite(drawn[:, 0])):
        found[thing] = np.bincount(cell[thing].clip(0, BINS - 1).astype(int), minlength=BINS)
    return normalize(torch.from_numpy(found).sqrt(), dim=1)


def looks_of(pairs: Pairs, encoder: ImageEncoder, things: int) -> Float[Tensor, "I E"]:
    """Give each thing the mean of another encoder's vectors of its pictures; zero for things without any.

    Args:
        pairs: pictures of things with their numbers (`langfield.query.gather_pairs`).
        encoder: the other one.
        things: how many there are.

    Raises:
        QueryError: there are no pictures.
    """
    if pairs.pictures is None or pairs.instances is None:
        raise QueryError("another encoder needs pictures of things", remedy="use a run that keeps its segments")
    vectors = encoder.encode_images(list(pairs.pictures)).float().cpu()
    return normalize(torch.zeros(things, vectors.shape[1]).index_add_(0, pairs.instances, vectors), dim=1)
