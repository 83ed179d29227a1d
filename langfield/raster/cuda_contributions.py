"""The CUDA questions to a view as functions of tensors, the twins of `cpu_contributions`; a launcher runs them."""

from __future__ import annotations

import torch
from torch import Tensor

from langfield.raster import cuda
from langfield.raster.cpu_contributions import Walk
from langfield.raster.cuda_launch import Launcher
from langfield.raster.reference_contributions import added_up

BLOCK = (256, 1, 1)
ATOMS = 32
"""Atoms that one walk of splat_codes adds up (as in contributions.cu)."""
LEVELS = 4
"""Levels that one walk of scatter_segments takes (as in scatter.cu)."""
TOP_WIDTHS = (4, 8, 16, 32)


def top(launch: Launcher, walk: Walk, k: int) -> tuple[Tensor, Tensor]:
    """Give ids int32 [H, W, k] and weights [H, W, k] of the largest weights of every pixel."""
    width, height = walk.size
    weights = walk.packed.new_empty((height, width, k))
    ids = torch.empty_like(weights, dtype=torch.int32)
    widest = next(many for many in TOP_WIDTHS if many >= k)
    launch(f"top_{widest}", _grid(walk), BLOCK, *_view(walk), k, ids, weights)
    return ids, weights


def splat_channels(launch: Launcher, walk: Walk, channels: Tensor) -> Tensor:
    """Blend channels [N, C] alone to [H, W, C]."""
    return cuda.blend_channels(launch, walk.packed, channels, walk.tiles, walk.size, walk.smooth)


def splat_codes(launch: Launcher, walk: Walk, index: Tensor, weight: Tensor, atoms: int) -> Tensor:
    """Blend sparse codes, index int32 and weight [N, K], to [H, W, atoms]."""
    width, height = walk.size
    out = weight.new_empty((height, width, atoms))
    codes = (index, weight, index.shape[1], atoms, out)
    launch("splat_codes", (_grid(walk)[0], -(-atoms // ATOMS), 1), BLOCK, *_view(walk), *codes)
    return out


def splat_codes_backward(launch: Launcher, walk: Walk, index: Tensor, grad: Tensor) -> Tensor:
    """Give the gradient by `weight` [N, K] from that of the picture [H, W, atoms]."""
    out = grad.new_zeros(index.shape)
    codes = (index, index.shape[1], grad.shape[2], grad, out)
    launch("splat_codes_backward", _grid(walk), BLOCK, *_view(walk), *codes)
    return out


def look_up_scores(launch: Launcher, index: Tensor, weight: Tensor, table: Tensor) -> tuple[Tensor, Tensor]:
    """Give each row's scores from index int32 and weight [N, L, K] and table [L, A, Q].

    Returns:
        [N, L, Q]; int32 [1], 1 where an index lay outside the table (it was left out), 2 where a weight is not finite.
    """
    (n, levels, k), (_, atoms, queries) = index.shape, table.shape
    out, wrong = weight.new_empty((n, levels, queries)), index.new_zeros(1, dtype=torch.int32)
    if n:
        grid = (-(-n * levels // BLOCK[0]), 1, 1)
        sizes = (n * levels, levels, k, atoms, queries)
        launch("look_up_scores", grid, BLOCK, index, weight, table, *sizes, out, wrong)
    return out, wrong


def scatter(launch: Launcher, walk: Walk, segments: Tensor, gate: tuple[float, float]) -> tuple[Tensor, ...]:
    """Give gaussian, level, segment, weight, weight_all [M] and total [N] for segments int32 [L, H, W].

    The number of records is read back once for every four levels: it says how much there is to sort.

    Args:
        launch: runs the kernels.
        walk: the view.
        segments: ids, -1 for none.
        gate: coverage and floor.
    """
    total = walk.packed.new_zeros(len(walk.packed))
    limits = torch.tensor([1 - gate[0], gate[1]], dtype=torch.float32, device=total.device)
    view = _view(walk)
    found = [
        _records(launch, walk, (*view, segments, limits), level, total) for level in range(0, len(segments), LEVELS)
    ]
    keys, gated, every = (torch.cat(parts) for parts in zip(*found, strict=True))
    return (*added_up(keys, gated, every, len(segments)), total)


def _records(
    launch: Launcher, walk: Walk, inputs: tuple[Tensor | int, ...], level: int, total: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Walk the view for up to four levels; again where more was found than there was room for."""
    *view, segments, limits = inputs
    assert isinstance(segments, Tensor)  # noqa: S101
    levels = len(segments)
    many = min(LEVELS, levels - level)
    capacity = 4096 + 2 * many * len(walk.tiles.gaussian)
    while True:
        cursor = total.new_zeros(1, dtype=torch.int64)
        keys, counted = total.new_empty(capacity, dtype=torch.int64), torch.zeros_like(total)
        weights = [total.new_empty(capacity) for _ in range(2)]
        maps = (segments, levels, level, many, limits)
        launch("scatter_segments", _grid(walk), BLOCK, *view, *maps, capacity, cursor, keys, *weights, counted)
        needed = int(cursor)
        if needed <= capacity:
            if level == 0:
                total.copy_(counted)
            return keys[:needed], weights[0][:needed], weights[1][:needed]
        capacity = needed


def _grid(walk: Walk) -> tuple[int, int, int]:
    return len(walk.tiles.start) - 1, 1, 1


def _view(walk: Walk) -> tuple[Tensor | int, ...]:
    return walk.packed, walk.tiles.start, walk.tiles.gaussian, *walk.size, int(walk.smooth)
