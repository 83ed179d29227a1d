"""The compiled kernels of `langfield.raster.kept` as functions of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from langfield.raster.build import library
from langfield.raster.cpu import PIXELS, Tiles, arguments, threads_for

if TYPE_CHECKING:
    from langfield.raster.kept import KeptWeights

BLOCKS = 32
"""Blocks of a tile (as in cpu_tile.h)."""
ROW_BYTES = 20


def keep(
    packed: Tensor, tiles: Tiles, size: tuple[int, int], smooth: bool, most_bytes: int
) -> tuple[Tensor, Tensor, Tensor, Tensor] | None:
    """Give start, count, gaussian and weight; None where they take more than `most_bytes`.

    Room is asked for all that could be; memory that is not written to costs nothing.
    """
    (width, height), blocks = size, BLOCKS * (len(tiles.start) - 1)
    capacity = min(BLOCKS * len(tiles.gaussian), most_bytes // ROW_BYTES)
    start, count = torch.empty(blocks, dtype=torch.int64), torch.empty(blocks, dtype=torch.int32)
    gaussian, weight = torch.empty(capacity, dtype=torch.int32), torch.empty((capacity, 8), dtype=torch.uint16)
    needed = library().lf_keep_weights(
        *arguments(packed, tiles.start, tiles.gaussian, width, height, smooth, threads_for(width * height, PIXELS)),
        *arguments(capacity, start, count, gaussian, weight),
    )
    return (start, count, gaussian[:needed], weight[:needed]) if needed <= capacity else None


def blend(kept: KeptWeights, channels: Tensor) -> Tensor:
    """Blend channels [N, C] to [C, H, W]."""
    out = _planes(kept, channels.shape[1])
    library().lf_blend_kept(*_matrix(kept), *arguments(channels, channels.shape[1], out))
    return out


def relevancy(kept: KeptWeights, channels: Tensor, nearest: Tensor, gain: Tensor) -> Tensor:
    """Blend channels [N, Q L] and give sigmoid(gain (sum - nearest)) [Q L, H, W]."""
    out, levels = _planes(kept, channels.shape[1]), len(nearest)
    many = channels.shape[1] // levels
    library().lf_blend_relevancy(*_matrix(kept), *arguments(channels, many, levels, nearest, gain, out))
    return out


def against(kept: KeptWeights, channels: Tensor, levels: int, limits: tuple[float, float]) -> tuple[Tensor, Tensor]:
    """Blend channels [N, (K + 1) L] and give nearest and gain [L, H, W]."""
    nearest, gain, bounds = _planes(kept, levels), _planes(kept, levels), torch.tensor(limits, dtype=torch.float32)
    many = channels.shape[1] // levels - 1
    library().lf_blend_against(*_matrix(kept), *arguments(channels, many, levels, bounds, nearest, gain))
    return nearest, gain


def _planes(kept: KeptWeights, many: int) -> Tensor:
    return torch.empty((many, *kept.size[::-1]), dtype=torch.float32)


def _matrix(kept: KeptWeights) -> list[object]:
    pixels = kept.size[0] * kept.size[1]
    return arguments(kept.start, kept.count, kept.gaussian, kept.weight, *kept.size, threads_for(pixels, PIXELS))
