"""The specification of the questions to a view in plain torch, from the weights w = alpha T of `reference`.

With w[p, i] the share of pixel p's light that Gaussian i takes (Kerbl et al. 2023, equation 3) and T[p, i] what nearer
Gaussians leave of it, every question is a sum over w.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from langfield.raster.reference import TILE, Splats, Tile, tile_light, tiles


@dataclass(frozen=True)
class Scene:
    """Splats and the picture they are seen in."""

    splats: Splats
    size: tuple[int, int]
    """Width and height, pixels."""
    smooth: bool

    def place(self, parts: list[Tensor]) -> Tensor:
        """Put tiles [P, ...] together to a picture [H, W, ...]."""
        width, height = self.size
        rows = []
        across = -(-width // TILE)
        for first in range(0, len(parts), across):
            deep = min(TILE, height - first // across * TILE)
            strip = [part.reshape(deep, -1, *part.shape[1:]) for part in parts[first : first + across]]
            rows.append(torch.cat(strip, 1))
        return torch.cat(rows, 0)


def top(scene: Scene, k: int) -> tuple[Tensor, Tensor]:
    """Give the k largest w[p, i] of every pixel p and their i; equal ones nearer first."""
    ids, weights = [], []
    for tile in tiles(scene.splats, scene.size):
        w = tile_light(scene.splats, tile, scene.smooth).weights
        w, order = torch.nn.functional.pad(w, (0, k)).sort(dim=1, descending=True, stable=True)
        own = torch.nn.functional.pad(tile.ids, (0, k), value=-1)[order[:, :k]]
        ids.append(own.masked_fill(w[:, :k] == 0, -1).to(torch.int32))
        weights.append(w[:, :k])
    return scene.place(ids), scene.place(weights)


def splat_channels(scene: Scene, channels: Float[Tensor, "N C"]) -> Float[Tensor, "H W C"]:
    """Give sum_i w[p, i] f[i]."""
    parts = [
        tile_light(scene.splats, t, scene.smooth).weights @ channels[t.ids] for t in tiles(scene.splats, scene.size)
    ]
    return scene.place(parts)


def splat_codes(
    scene: Scene, index: Int[Tensor, "N K"], weight: Float[Tensor, "N K"], atoms: int
) -> Float[Tensor, "H W A"]:
    """Give sum_i w[p, i] c[i, a] with c[i, a] = sum over k with index[i, k] = a of weight[i, k]."""
    dense = weight.new_zeros((len(index), atoms)).scatter_add(1, index.long(), weight)
    return splat_channels(scene, dense)


def scatter(scene: Scene, segments: Int[Tensor, "L H W"], coverage: float, floor: float) -> tuple[Tensor, ...]:
    """Give, for every Gaussian i and segment s, sum of w[p, i] over the pixels p of s; gated, and all of them."""
    total = scene.splats.means2d.new_zeros(len(scene.splats.means2d))
    found: list[tuple[Tensor, ...]] = []
    for tile in tiles(scene.splats, scene.size):
        light = tile_light(scene.splats, tile, scene.smooth)
        w, T = light.weights, light.ahead[:, :-1]
        passes = (1 - coverage < T) & (w >= floor)
        total = total.index_add(0, tile.ids, w.sum(0))
        for level, plane in enumerate(segments):
            found += _of_tile(tile, level, plane, (w * passes, w))
    return (*merged(found, len(segments), total), total)


def _of_tile(tile: Tile, level: int, plane: Tensor, weights: tuple[Tensor, Tensor]) -> list[tuple[Tensor, ...]]:
    rows, columns = tile.shape
    flat = plane[tile.y : tile.y + rows, tile.x : tile.x + columns].reshape(-1)
    found = []
    for segment in flat[flat >= 0].unique():
        gated, every = ((w * (flat == segment)[:, None]).sum(0) for w in weights)
        met = every > 0
        own = tile.ids[met]
        found.append((own, torch.full_like(own, level), torch.full_like(own, int(segment)), gated[met], every[met]))
    return found


def merged(found: list[tuple[Tensor, ...]], levels: int, like: Tensor) -> tuple[Tensor, ...]:
    """Add up equal (gaussian, level, segment) and sort by them.

    Args:
        found: gaussian, level, segment (int64) and two weights, in pieces.
        levels: how many there are; levels times Gaussians must stay below 2^32.
        like: gives the dtype and device of an empty result.
    """
    if not found:
        whole = like.new_zeros(0, dtype=torch.int64)
        return whole, whole.int(), whole.int(), like.new_zeros(0), like.new_zeros(0)
    gaussian, level, segment, gated, every = (torch.cat(parts) for parts in zip(*found, strict=True))
    return added_up((gaussian * levels + level) << 31 | segment, gated, every, levels)


def added_up(keys: Tensor, gated: Tensor, every: Tensor, levels: int) -> tuple[Tensor, ...]:
    """Sort by key, (gaussian * levels + level) * 2^31 + segment, and add up the weights of equal ones."""
    keys, place = keys.unique(return_inverse=True)
    sums = [w.new_zeros(len(keys)).index_add(0, place, w) for w in (gated, every)]
    owner = keys >> 31
    return owner // levels, (owner % levels).int(), (keys & (2**31 - 1)).int(), sums[0], sums[1]
