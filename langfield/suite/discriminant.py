"""Gaussian discriminants of one shared covariance, and what each gives its own examples when they are left out.

A discriminant without one of its examples differs from the whole one by a step of a mean, a rank-one part of the
covariance and another ridge, so that in the eigenbasis of the covariance all of them come from a few products.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

LEAST = 1e-9
"""A mean spread below this is none: examples of each class are alike."""


@dataclass(frozen=True)
class Discriminant:
    """W and b of the log posterior of each class, up to what all share; zero for classes without examples."""

    weight: Float[Tensor, "C D"]
    bias: Float[Tensor, " C"]

    def logits(self, vectors: Float[Tensor, "M D"]) -> Float[Tensor, "M C"]:
        """Give W f + b."""
        return vectors @ self.weight.T + self.bias


def discriminant(vectors: Float[Tensor, "M d"], labels: Int64[Tensor, " M"], classes: int, width: int) -> Discriminant:
    """Give the discriminant of Gaussians of one shared covariance, priors equal.

    The covariance is inverted as D ((M - 1) S + tr(S) I)^-1 (Kubokawa and Srivastava), through M x M products. What all
    classes share is taken away, so that a class nobody showed is as likely as the average.

    Args:
        vectors: examples.
        labels: class of each.
        classes: number C of classes.
        width: D of the vectors, or of those whose coordinates in a basis of their span these are.
    """
    present, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    means, apart = _parted(vectors, place, counts)
    shrink = float(apart.square().sum()) / max(len(labels) - 1, 1)
    if shrink < LEAST:  # one example of each: all directions alike, as wide as classes lie apart
        apart, shrink = apart[:0], float((means - means.mean(dim=0)).square().sum()) or 1.0
    inner = apart @ apart.T + shrink * torch.eye(len(apart), dtype=vectors.dtype)
    found = width / shrink * (means - torch.linalg.solve(inner, apart @ means.T).T @ apart)
    within = width * torch.linalg.solve(inner, inner - shrink * torch.eye(len(inner)).to(inner)).trace()
    longer = within / max(len(labels) - len(present), 1) / counts  # by how much noise lengthens means of few
    bias = 0.5 * (longer - (found * means).sum(dim=1))
    weight = vectors.new_zeros(classes, vectors.shape[1]).index_copy(0, present, found - found.mean(dim=0))
    return Discriminant(weight, vectors.new_zeros(classes).index_copy(0, present, bias - bias.mean()))


def left_out(
    vectors: Float[Tensor, "M D"], labels: Int64[Tensor, " M"], classes: int, which: Bool[Tensor, " M"]
) -> Float[Tensor, "R C"]:
    """Give the logits of examples by the discriminant of all others each.

    Without example r of class y, with a = v_r - m_y, the scatter is S - n/(n-1) a a^T, the mean of y is m_y - a/(n-1),
    and what is inverted is solved in the eigenbasis of S by Sherman and Morrison's formula.

    Args:
        vectors: all examples.
        labels: class of each.
        classes: number C of classes.
        which: the R that are left out, one at a time; their classes have other examples.
    """
    width, within = vectors.shape[1], torch.linalg.qr(vectors.T).R.T  # coordinates: at most M numbers, not D
    present, place, counts = torch.unique(labels, return_inverse=True, return_counts=True)
    means, apart = _parted(within, place, counts)
    spread, turn = torch.linalg.eigh(apart.T @ apart)
    means, seen, gone, own = means @ turn, (within @ turn)[which], (apart @ turn)[which], place[which]
    less = (counts[own] - 1).to(within)  # examples of its class that stay
    share, size = (less + 1) / less, gone.square().sum(dim=1)
    ridge = (spread.clamp_min(0).sum() - share * size) / max(len(labels) - 2, 1)
    plain = ridge < LEAST
    over = 1 / (spread.clamp_min(0) + ridge.clamp_min(LEAST)[:, None])  # R x d, the inverse's diagonal
    rows, step = torch.arange(len(own)), 1 / less
    tilt, turned = (gone.square() * over).sum(dim=1), (gone * over) @ means.T  # a.P a, a.P m
    across, square = (seen * over) @ means.T, over @ means.square().T  # v.P m, m.P m
    mixed = (seen * over * gone).sum(dim=1)  # v.P a
    across[rows, own] -= mixed * step
    square[rows, own] += tilt * step**2 - 2 * turned[rows, own] * step
    turned[rows, own] -= tilt * step
    lift = (share / (1 - share * tilt))[:, None]
    across, square = across + lift * mixed[:, None] * turned, square + lift * turned.square()
    inverse = over.sum(dim=1) + lift[:, 0] * (gone * over).square().sum(dim=1)  # its trace
    noise = (len(spread) - ridge * inverse) / max(len(labels) - 1 - len(present), 1)
    many = counts.to(within).repeat(len(own), 1)
    many[rows, own] = less
    logits = width * (across + 0.5 * (noise[:, None] / many - square))
    logits = vectors.new_zeros(len(own), classes).index_copy(1, present, logits - logits.mean(dim=1, keepdim=True))
    for row in torch.nonzero(plain)[:, 0].tolist():  # what is left has no spread: the formula divides by nothing
        kept = torch.arange(len(labels)) != torch.nonzero(which)[row, 0]
        logits[row] = discriminant(within[kept], labels[kept], classes, width).logits(seen[row] @ turn.T)
    return logits


def _parted(
    vectors: Float[Tensor, "M d"], place: Int64[Tensor, " M"], counts: Int64[Tensor, " P"]
) -> tuple[Float[Tensor, "P d"], Float[Tensor, "M d"]]:
    """Give the mean of each class and how each example differs from its own."""
    sums = vectors.new_zeros(len(counts), vectors.shape[1]).index_add(0, place, vectors)
    means = sums / counts[:, None]
    return means, vectors - means[place]
