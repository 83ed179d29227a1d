"""Sparse non-negative codes: few atoms of a table whose weighted sum comes near a vector.

Orthogonal matching pursuit (Pati, Rezaiifar and Krishnaprasad 1993) with weights that stay at or above zero: take the
atom that points most into what is left, fit the weights of all atoms taken so far again, repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import embedding_bag, pad

SWEEPS = 10
CHUNK = 2048
SUMS_CHUNK = 8192


class Pursuit(NamedTuple):
    """The atoms taken, in the order they were taken, and how much of each."""

    index: Int64[Tensor, "M K"]
    weight: Float[Tensor, "M K"]


@torch.no_grad()
def pursue(
    vectors: Float[Tensor, "M D"], atoms: Float[Tensor, "A D"], count: int, gram: Float[Tensor, "A A"] | None = None
) -> Pursuit:
    """Write each vector as a sum of at most `count` atoms of non-negative weight.

    Args:
        vectors: any length.
        atoms: vectors of (nearly) one length.
        count: K; fewer where there are fewer atoms. Atoms beyond need get weight 0.
        gram: products of the atoms with each other, where they are known.
    """
    products_of = atoms @ atoms.T if gram is None else gram

    def one_chunk(products: Float[Tensor, "M A"]) -> Pursuit:
        def among(index: Int64[Tensor, "M k"]) -> Float[Tensor, "M k k"]:
            return products_of[index[:, :, None], index[:, None, :]]

        def explained(index: Int64[Tensor, "M k"], weight: Float[Tensor, "M k"]) -> Float[Tensor, "M A"]:
            return embedding_bag(index, products_of, per_sample_weights=weight, mode="sum")

        return _greedy(products, min(count, len(atoms)), among, explained)

    return _joined([one_chunk(part @ atoms.T) for part in vectors.split(CHUNK)])


@torch.no_grad()
def pursue_sums(sums: Float[Tensor, "M A"], gram: Float[Tensor, "A A"], count: int, candidates: int = 16) -> Pursuit:
    """Write sums of many atoms as sums of at most `count` of the heaviest, their weights fitted again.

    Args:
        sums: weight of every atom, non-negative.
        gram: products of the atoms with each other.
        count: K; fewer where there are fewer atoms.
        candidates: how many of each row's heaviest atoms count at all.
    """

    def one_chunk(rows: Float[Tensor, "M A"]) -> Pursuit:
        top = rows.topk(min(max(candidates, count), rows.shape[1]), dim=1)
        own = gram[top.indices[:, :, None], top.indices[:, None, :]]

        def among(index: Int64[Tensor, "M k"]) -> Float[Tensor, "M k k"]:
            return _rows(_rows(own, index).mT.contiguous(), index)

        def explained(index: Int64[Tensor, "M k"], weight: Float[Tensor, "M k"]) -> Float[Tensor, "M P"]:
            return (weight[:, None] @ _rows(own, index))[:, 0]

        found = _greedy((own @ top.values[:, :, None])[:, :, 0], min(count, rows.shape[1]), among, explained)
        return Pursuit(top.indices.gather(1, found.index), found.weight)

    return _joined([one_chunk(part) for part in sums.split(SUMS_CHUNK)])


def _rows(matrices: Float[Tensor, "M P Q"], index: Int64[Tensor, "M k"]) -> Float[Tensor, "M k Q"]:
    return matrices[torch.arange(len(index), device=index.device)[:, None], index]


def _joined(parts: list[Pursuit]) -> Pursuit:
    return Pursuit(torch.cat([p.index for p in parts]), torch.cat([p.weight for p in parts]))


def _greedy(
    products: Float[Tensor, "M A"],
    count: int,
    among: Callable[[Tensor], Tensor],
    explained: Callable[[Tensor, Tensor], Tensor],
) -> Pursuit:
    """Take atoms one by one.

    Args:
        products: products of all atoms with each vector.
        count: how many to take.
        among: gives the products of the atoms taken with each other.
        explained: gives the products of all atoms with the sum of those taken.
    """
    left = products.clone()
    index = torch.zeros(len(products), 0, dtype=torch.int64, device=products.device)
    weight = products.new_zeros(len(products), 0)
    for step in range(count):
        index = torch.cat([index, left.scatter_(1, index, -torch.inf).argmax(dim=1, keepdim=True)], dim=1)
        weight = nonnegative_weights(among(index), products.gather(1, index), pad(weight, (0, 1)))
        if step + 1 < count:
            left = products - explained(index, weight)
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
    # Atom by atom along the first axis: with few vectors, as here often, what counts is how many steps there are.
    weight = start.mT.clone(memory_format=torch.contiguous_format)
    of_atom, aims = gram.permute(1, 2, 0).contiguous().unbind(), products.mT.contiguous().unbind()
    squares, rows = gram.diagonal(dim1=1, dim2=2).mT.clamp_min(1e-12).contiguous().unbind(), weight.unbind()
    for _ in range(SWEEPS if len(weight) > 1 else 1):
        for others, aim, square, own in zip(of_atom, aims, squares, rows, strict=True):
            rest = aim - (others * weight).sum(dim=0)
            own.add_(rest.div_(square)).clamp_min_(0)
    return weight.mT.contiguous()
