"""A still camera's blend weights, kept: what a new question to the same view costs is a sum over lists.

w[p, i] (Kerbl et al. 2023, equation 3) does not depend on what is blended. For blocks of 4x2 pixels it is kept as whole
65,535ths beside the number of the Gaussian: 20 bytes for eight pixels, about 30 MB for a picture of 640x480.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int32, Int64, UInt16
from torch import Tensor

from langfield.errors import FormatError
from langfield.raster import cpu_kept
from langfield.raster.screen import Screen

MOST_BYTES = 2**28


@dataclass(frozen=True)
class KeptWeights:
    """A sparse matrix of E rows (block of eight pixels, Gaussian) of blend weights."""

    start: Int64[Tensor, " blocks"]
    """First row of each block; blocks lie tile by tile, 32 a tile, in the order of cpu_tile.h."""
    count: Int32[Tensor, " blocks"]
    """Rows of each block, near to far."""
    gaussian: Int32[Tensor, " E"]
    weight: UInt16[Tensor, "E 8"]
    """65,535ths."""
    many: int
    """N, the view's Gaussians."""
    size: tuple[int, int]
    """Width and height, pixels."""

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.gaussian.nbytes + self.weight.nbytes


@torch.no_grad()
def keep_weights(screen: Screen, most_bytes: int = MOST_BYTES) -> KeptWeights | None:
    """Walk a view once and keep its blend weights; None where they take too much memory or the view is not compiled.

    Args:
        screen: the view.
        most_bytes: how much they may take.
    """
    if screen.backend != "cpu" or screen.tiles is None:
        return None
    found = cpu_kept.keep(screen.packed, screen.tiles, screen.size, screen.smooth, most_bytes)
    return None if found is None else KeptWeights(*found, len(screen), screen.size)


@torch.no_grad()
def blend_kept(kept: KeptWeights, channels: Float[Tensor, "N C"]) -> Float[Tensor, "C H W"]:
    """Blend channels as `splat_channels` does, plane by plane, with each weight rounded to 1 / 65,535.

    Raises:
        FormatError: shape, dtype or device do not fit.
    """
    return cpu_kept.blend(kept, _checked(kept, channels))


@torch.no_grad()
def blend_kept_against(
    kept: KeptWeights, channels: Float[Tensor, "N C"], levels: int, limits: tuple[float, float]
) -> tuple[Float[Tensor, "L H W"], Float[Tensor, "L H W"]]:
    """Give what blended channels are compared with: the largest of K sums, and a steepness from one more.

    Args:
        kept: the view's weights.
        channels: K + 1 for each level, level by level in each.
        levels: L.
        limits: least blended last channel, and the temperature that is divided by it where it is above.

    Raises:
        FormatError: shape, dtype or device do not fit.
    """
    if levels < 1 or channels.shape[-1] % levels or channels.shape[-1] < 2 * levels:
        raise FormatError(f"channels are not at least two for each of {levels} levels", f"{list(channels.shape)}")
    return cpu_kept.against(kept, _checked(kept, channels), levels, limits)


@torch.no_grad()
def blend_kept_relevancy(
    kept: KeptWeights,
    channels: Float[Tensor, "N C"],
    nearest: Float[Tensor, "L H W"],
    gain: Float[Tensor, "L H W"],
) -> Float[Tensor, "C H W"]:
    """Give sigmoid(gain (blended - nearest)) in one pass; channels lie level by level in each of Q.

    Raises:
        FormatError: shape, dtype or device do not fit.
    """
    shape = (len(nearest), *kept.size[::-1])
    for plane in (nearest, gain):
        if plane.shape != shape or len(plane) == 0 or plane.dtype != torch.float32:
            raise FormatError(f"nearest and gain must be float32 {list(shape)}", f"{list(plane.shape)} {plane.dtype}")
    if channels.shape[-1] % len(nearest):
        raise FormatError(f"channels are not some for each of {len(nearest)} levels", f"{list(channels.shape)}")
    return cpu_kept.relevancy(kept, _checked(kept, channels), nearest.contiguous(), gain.contiguous())


def _checked(kept: KeptWeights, channels: Tensor) -> Tensor:
    fits = channels.dim() == 2 and len(channels) == kept.many and channels.shape[1] > 0
    if not fits or channels.dtype != torch.float32 or channels.device.type != "cpu":
        where = f"channels {list(channels.shape)} {channels.dtype} on {channels.device}"
        raise FormatError(f"channels are not {kept.many} x C of float32 on the CPU", where)
    return channels.contiguous()
