"""Gaussians as covariance matrices, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

LEAST_SCALE = 1e-9
"""A flat Gaussian has at least this standard deviation across, world units."""


def covariances(quats: Float[Tensor, "N 4"], scales: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3 3"]:
    """Give R diag(scales²) Rᵀ for quaternions w x y z of any length but zero (3DGS, Equation 6).

    Args:
        quats: w x y z.
        scales: standard deviations along the Gaussian's own axes, world units.
    """
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    rows = (
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
        2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y),
    )  # fmt: skip
    axes = torch.stack(rows, dim=-1).unflatten(-1, (3, 3)) * scales[..., None, :]
    return axes @ axes.mT


def axes_of(spread: Float[Tensor, "N 3 3"]) -> tuple[Float[Tensor, "N 4"], Float[Tensor, "N 3"]]:
    """Give unit quaternions w x y z and standard deviations, rising, of covariance matrices."""
    squares, turn = torch.linalg.eigh(spread)
    turn = turn * torch.linalg.det(turn).sign()[:, None, None]  # a rotation, not a mirror
    return quaternions(turn), squares.clamp_min(LEAST_SCALE**2).sqrt()


def quaternions(turn: Float[Tensor, "N 3 3"]) -> Float[Tensor, "N 4"]:
    """Give unit quaternions w x y z of rotations, by the largest of four equal ways (Shepperd 1978)."""
    d = turn.diagonal(dim1=-2, dim2=-1)
    squares = 1 + torch.stack([d.sum(-1), *(2 * d[:, i] - d.sum(-1) for i in range(3))], dim=-1)  # 4 w², x², y², z²
    (_, xy, xz), (yx, _, yz), (zx, zy, _) = (turn[:, row].unbind(-1) for row in range(3))
    products = torch.stack([
        squares[:, 0], zy - yz, xz - zx, yx - xy,
        zy - yz, squares[:, 1], xy + yx, xz + zx,
        xz - zx, xy + yx, squares[:, 2], yz + zy,
        yx - xy, xz + zx, yz + zy, squares[:, 3],
    ], dim=-1).unflatten(-1, (4, 4))  # fmt: skip
    best = products[torch.arange(len(turn)), squares.argmax(dim=-1)]
    return torch.nn.functional.normalize(best, dim=-1)
