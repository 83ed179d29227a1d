"""Levels of detail: Gaussians that lie in one cell of a grid become one, with the same middle, spread and light.

Cells double from level to level, and each level is made of the one before. Means and covariances are the mixture's own
(moment matching), weighted by opacity times area, which is what a Gaussian gives to a picture taken from far away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from langfield.errors import FormatError
from langfield.field.ellipsoids import axes_of, covariances
from langfield.raster.types import Gaussians

BITS = 20
"""Cells along a side of the finest grid: two to this."""
FIRST_SHARE = 0.35
"""The first level has at most this share of the Gaussians themselves."""
OPAQUE = 0.99
REMEDY = "make the shards again with `langfield shard`"


@dataclass(frozen=True)
class Detail:
    """Gaussians of a level and what else is known of each."""

    gaussians: Gaussians
    codes: Shaped[Tensor, "L N d"] | None
    """Of the heaviest Gaussian that has one."""

    def __len__(self) -> int:
        return len(self.gaussians)


def along_curve(points: Float[Tensor, "N 3"]) -> tuple[Int64[Tensor, " N"], Int64[Tensor, " N"]]:
    """Give each point's number along Morton's curve, and the order in which they rise.

    Points of one cell of any coarser grid, whose cells are 2, 4, 8 ... times as wide, follow each other in that order.
    """
    if not len(points):
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    at = points.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0)
    low = at.amin(dim=0)
    side = max(float((at - low).amax()), 1e-12)
    cells = ((at - low) / side * (2**BITS - 1)).long()
    key = _spread(cells[:, 0]) | (_spread(cells[:, 1]) << 1) | (_spread(cells[:, 2]) << 2)
    return key, torch.argsort(key, stable=True)


def _spread(numbers: Int64[Tensor, " N"]) -> Int64[Tensor, " N"]:
    """Put two zeros before each of twenty bits."""
    for shift, keep in (
        (32, 0x1F00000000FFFF), (16, 0x1F0000FF0000FF), (8, 0x100F00F00F00F00F), (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):  # fmt: skip
        numbers = (numbers | (numbers << shift)) & keep
    return numbers


def pyramid(detail: Detail, fewest: int = 512, levels: int = 8) -> list[Detail]:
    """Give ever coarser levels, the Gaussians themselves not among them.

    Args:
        detail: the Gaussians, in the order of `along_curve`.
        fewest: no level is made of so few or fewer.
        levels: how many levels at most.
    """
    key, order = along_curve(detail.gaussians.means)
    if bool((order != torch.arange(len(order))).any()):
        raise ValueError("levels are made of Gaussians in the order of the curve")
    out, wanted = list[Detail](), FIRST_SHARE
    for bit in range(1, BITS + 1):
        runs = torch.unique_consecutive(key >> (3 * bit), return_inverse=True)[1]
        if len(out) == levels or len(detail) <= fewest:
            break
        if int(runs[-1]) + 1 > wanted * len(detail):
            continue
        detail = merged(detail, runs)
        key = key[torch.searchsorted(runs, torch.arange(len(detail)))]
        out.append(detail)
        wanted = 0.6
    return out


def stand_ins(means: Float[Tensor, "N 3"], count: int) -> Int64[Tensor, " N"]:
    """Give for each Gaussian the row of the one that stands for it at a level of `pyramid`.

    Args:
        means: of the Gaussians themselves, in the order of `along_curve`.
        count: Gaussians of the level; levels have different numbers.

    Raises:
        FormatError: no level made of these Gaussians has so many.
    """
    key = along_curve(means)[0]
    for bit in range(1, BITS + 1):
        begins = (key >> (3 * bit)).diff() != 0
        if int(begins.sum()) + (len(key) > 0) == count:
            return torch.cat([key.new_zeros(min(1, len(key))), begins.cumsum(0)])
    raise FormatError(f"a level of {count} Gaussians is not made of these {len(key)}", remedy=REMEDY)


def merged(detail: Detail, runs: Int64[Tensor, " N"]) -> Detail:
    """Make one Gaussian of each run; one that is alone stays as it is.

    Args:
        detail: N Gaussians.
        runs: number of each one's run, rising from 0 in steps of one.
    """
    g = detail.gaussians.detach()
    count = int(runs[-1]) + 1 if len(runs) else 0
    weight = _weight(g)
    total = _sum(weight, runs, count)
    share = weight / total[runs].clamp_min(1e-30)
    means = g.means.double()
    middle = _sum(share[:, None] * means, runs, count)
    apart = means - middle[runs]
    spread = covariances(g.quats.double(), g.log_scales.double().exp()) + apart[:, :, None] * apart[:, None, :]
    quats, scales = axes_of(_sum(share[:, None, None] * spread, runs, count))
    opacity = (total / _area(scales)).clamp(1e-6, OPAQUE)
    new = [middle, quats, scales.log(), torch.logit(opacity), _sum(share[:, None, None] * g.sh.double(), runs, count)]
    first = torch.searchsorted(runs, torch.arange(count))
    alone = torch.bincount(runs, minlength=count) == 1
    kept = [
        torch.where(alone.reshape(-1, *[1] * (t.ndim - 1)), t[first], n.to(t))
        for t, n in zip(g.tensors(), new, strict=True)
    ]
    return Detail(Gaussians(*kept), None if detail.codes is None else _heaviest(detail.codes, weight, runs, count))


def _weight(g: Gaussians) -> Float[Tensor, " N"]:
    """Give opacity times area, in double precision; nothing where a number is not finite."""
    weight = torch.sigmoid(g.logit_opacities.double()) * _area(g.log_scales.double().exp())
    return torch.where(weight.isfinite(), weight, 0.0).clamp_min(1e-30)


def _area(scales: Float[Tensor, "N 3"]) -> Float[Tensor, " N"]:
    """Give the mean of the areas seen along the three axes, without the factor that all share."""
    x, y, z = scales.unbind(-1)
    return (x * y + y * z + x * z) / 3


def _sum(values: Float[Tensor, " N *S"], runs: Int64[Tensor, " N"], count: int) -> Float[Tensor, " R *S"]:
    return values.new_zeros(count, *values.shape[1:]).index_add_(0, runs, values)


def _heaviest(
    codes: Shaped[Tensor, "L N d"], weight: Float[Tensor, " N"], runs: Int64[Tensor, " N"], count: int
) -> Shaped[Tensor, "L R d"]:
    """Give each run the code of its heaviest Gaussian that has one, level by level."""
    out = codes.new_zeros(len(codes), count, codes.shape[2])
    for level, own in enumerate(codes):
        known = (own != 0).any(dim=1).nonzero()[:, 0]
        order = known[torch.from_numpy(np.lexsort((weight[known].numpy(), runs[known].numpy())))]
        last = torch.ones(len(order), dtype=torch.bool)
        last[:-1] = runs[order][1:] != runs[order][:-1]
        out[level, runs[order[last]]] = own[order[last]]
    return out


def reach(g: Gaussians) -> Float[Tensor, "2 3"]:
    """Give the corners of a box around Gaussians, three standard deviations about each centre; world units."""
    means = g.means.detach().double().cpu()
    wide = 3 * g.log_scales.detach().double().cpu().exp().amax(dim=1, keepdim=True)
    usable = (means.isfinite().all(1) & wide.isfinite()[:, 0]).nonzero()[:, 0]
    if not len(usable):
        return torch.tensor([[math.inf] * 3, [-math.inf] * 3], dtype=torch.float64)
    return torch.stack([(means - wide)[usable].amin(0), (means + wide)[usable].amax(0)])
