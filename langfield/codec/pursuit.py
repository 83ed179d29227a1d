"""Sparse non-negative codes: few atoms of a table whose weighted sum comes near a vector.

Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993) with weights that stay at or above zero: take the
atom that points most into what is left, fit the weights of all atoms taken so far again, repeat.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

SWEEPS = 20
CHUNK = 2048


class Pursuit(NamedTuple):
    """The atoms taken, in the order they were taken, and how much of each."""

    index: Int64[Tensor, "M K"]
    weight: Float[Tensor, "M K"]


@torch.no_grad()
def pursue(vectors: Float[Tensor, "M D"], atoms: Float[Tensor, "A D"], count: int) -> Pursuit:
    """Write each vector as a sum of at most `count` atoms of non-negative weight.

    Args:
        vectors: any length.
        atoms: unit vectors.
        count: K; atoms beyond need get weight 0.
    """
    gram = atoms @ atoms.T
    count = min(count, len(atoms))
    parts = [_pursue_chunk(part @ atoms.T, gram, count) for part in vectors.split(CHUNK)]
    if not parts:
        return Pursuit(torch.zeros(0, count, dtype=torch.int64), vectors.new_zeros(0, count))
    return Pursuit(torch.cat([p.index for p in parts]), torch.cat([p.weight for p in parts]))


def _pursue_chunk(products: Float[Tensor, "M A"], gram: Float[Tensor, "A A"], count: int) -> Pursuit:
    left = products.clone()
    index = torch.zeros(len(products), 0, dtype=torch.int64, device=products.device)
    weight = products.new_zeros(len(products), 0)
    for step in range(count):
        best = left.scatter_(1, index, -torch.inf).argmax(dim=1, keepdim=True)
        index = torch.cat([index, best], dim=1)
        own = gram[index[:, :, None], index[:, None, :]]
        weight = nonnegative_weights(own, products.gather(1, index), pad(weight, (0, 1)))
        if step + 1 < count:
            left = products - embedding_bag(index, gram, per_sample_weights=weight, mode="sum")
    return Pursuit(index, weight)


def nonnegative_weights(
    gram: Float[Tensor, "M K K"], products: Float[Tensor, "M K"], start: Float[Tensor, "M K"]
) -> Float[Tensor, "M K"]:
    """Fit weights w >= 0 that bring the sum of K atoms nearest to a vector, by coordinate descent.

    Args:
        gram: products of the atoms with each other.
        products: products of the atoms with the vector.
        start: weights to begin with.
    """
    weight, squares = start.clone(), gram.diagonal(dim1=1, dim2=2)
    for _ in range(SWEEPS if weight.shape[1] > 1 else 1):
        for k in range(weight.shape[1]):
            rest = products[:, k] - (gram[:, k] * weight).sum(dim=1)
            weight[:, k] = (weight[:, k] + rest / squares[:, k]).clamp_min(0)
    return weight
