"""The compiled questions to a view as functions of tensors; see `langfield.raster.contributions` for what they mean."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from langfield.raster.build import library
from langfield.raster.cpu import BLOCK, PIXELS, Tiles, arguments, threads_for

RECORD_INTS = 4
"""A record of lf_scatter_walk is level, segment and two floats."""


@dataclass(frozen=True)
class Walk:
    """What every walk over the tiles of a view needs."""

    packed: Tensor
    """The splats as the backend's kernels read them (`cpu.pack`, `cuda.pack`)."""
    tiles: Tiles
    size: tuple[int, int]
    """Width and height, pixels."""
    smooth: bool

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.size[0] * self.size[1]


def top(walk: Walk, k: int) -> tuple[Tensor, Tensor]:
    """Give ids int32 [H, W, k] and weights [H, W, k] of the largest weights of every pixel."""
    width, height = walk.size
    ids = torch.empty((height, width, k), dtype=torch.int32)
    weights = torch.empty((height, width, k), dtype=torch.float32)
    library().lf_top(
        *arguments(walk.packed, walk.tiles.start, walk.tiles.gaussian, width, height, walk.smooth, k),
        *arguments(threads_for(walk.pixels, PIXELS), ids, weights),
    )
    return ids, weights


def splat_channels(walk: Walk, channels: Tensor) -> Tensor:
    """Blend channels [N, C] alone to [H, W, C]."""
    width, height = walk.size
    out = torch.empty((height, width, channels.shape[1]), dtype=torch.float32)
    library().lf_splat_channels(
        *arguments(
            walk.packed, channels, channels.shape[1], walk.tiles.start, walk.tiles.gaussian, width, height, walk.smooth
        ),
        *arguments(threads_for(walk.pixels, PIXELS), out),
    )
    return out


def splat_codes(walk: Walk, index: Tensor, weight: Tensor, atoms: int) -> Tensor:
    """Blend sparse codes, index int32 and weight [N, K], to [H, W, atoms]."""
    width, height = walk.size
    out = torch.empty((height, width, atoms), dtype=torch.float32)
    library().lf_splat_codes(
        *arguments(
            walk.packed, index, weight, index.shape[1], atoms, walk.tiles.start, walk.tiles.gaussian, width, height
        ),
        *arguments(walk.smooth, threads_for(walk.pixels, PIXELS), out),
    )
    return out


def splat_codes_backward(walk: Walk, index: Tensor, grad: Tensor) -> Tensor:
    """Give the gradient by `weight` [N, K] from that of the picture [H, W, atoms]."""
    (width, height), (n, k), tiles = walk.size, index.shape, walk.tiles
    scratch = torch.zeros((tiles.gaussian.shape[0], k), dtype=torch.float32)
    out = torch.empty((n, k), dtype=torch.float32)
    library().lf_splat_codes_backward(
        *arguments(walk.packed, index, n, k, grad.shape[2], tiles.start, tiles.gaussian, tiles.slot, tiles.first),
        *arguments(width, height, walk.smooth, threads_for(walk.pixels, PIXELS), grad, scratch, out),
    )
    return out


def scatter(walk: Walk, segments: Tensor, coverage: float, floor: float) -> tuple[Tensor, ...]:
    """Give gaussian, level, segment, weight, weight_all [M] and total [N] for segments int32 [L, H, W]."""
    tiles, n, entries = walk.tiles, walk.packed.shape[0], walk.tiles.gaussian.shape[0]
    weights = torch.zeros(entries, dtype=torch.float32)
    slots = torch.zeros(entries, dtype=torch.int64), torch.zeros(entries, dtype=torch.int32), weights
    records = _records(walk, segments, torch.tensor([1 - coverage, floor], dtype=torch.float32), slots)
    threads, many = threads_for(n, 4 * BLOCK), torch.empty(n, dtype=torch.int64)
    total = torch.empty(n, dtype=torch.float32)
    library().lf_scatter_count(*arguments(tiles.first, *slots, records, n, threads, many, total))
    end = many.cumsum(0)
    pairs = int(end[-1]) if n else 0
    kinds = torch.int64, torch.int32, torch.int32, torch.float32, torch.float32
    out = [torch.empty(pairs, dtype=kind) for kind in kinds]
    library().lf_scatter_fill(*arguments(tiles.first, *slots[:2], records, n, threads, end, *out))
    return (*out, total)


def _records(walk: Walk, segments: Tensor, gate: Tensor, slots: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Walk the view; a second time where more was found than was guessed (memory not written to costs nothing)."""
    needed = torch.zeros(1, dtype=torch.int64)
    lists = walk.tiles.start, walk.tiles.gaussian, walk.tiles.slot
    capacity = 4096 + 3 * segments.shape[0] * walk.tiles.gaussian.shape[0]
    while True:
        records = torch.empty((capacity, RECORD_INTS), dtype=torch.int32)
        library().lf_scatter_walk(
            *arguments(walk.packed, *lists, segments, segments.shape[0], *walk.size, walk.smooth, gate),
            *arguments(threads_for(walk.pixels, PIXELS), capacity, records, *slots, needed),
        )
        if int(needed) <= capacity:
            return records
        capacity = int(needed)
