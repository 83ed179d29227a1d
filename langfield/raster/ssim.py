"""Structural similarity of two pictures (Wang et al. 2004) as 3DGS uses it: 11x11 Gaussian window, sigma 1.5."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.errors import FormatError
from langfield.raster import ops
from langfield.raster.dispatch import compiled_available

C1, C2 = 0.01**2, 0.03**2
RADIUS, SIGMA = 5, 1.5


def ssim(a: Float[Tensor, "H W 3"], b: Float[Tensor, "H W 3"]) -> Float[Tensor, ""]:
    """Give the mean structural similarity of pictures with values 0 to 1; outside the picture counts as zero.

    Args:
        a: the picture gradients flow to.
        b: the picture it is compared with; a constant.

    Raises:
        FormatError: they are not two pictures of one size, dtype and device.
    """
    if a.shape != b.shape or a.dim() != 3 or a.shape[2] != 3 or a.dtype != b.dtype or a.device != b.device:
        where = f"{list(a.shape)} {a.dtype} on {a.device}, {list(b.shape)} {b.dtype} on {b.device}"
        raise FormatError("structural similarity needs two [H, W, 3] pictures of one size, dtype and device", where)
    fast = a.dtype == torch.float32 and a.device.type == "cpu" and compiled_available()
    return ops.ssim(a, b.detach())[0] if fast else plain_ssim(a, b.detach())


def plain_ssim(a: Float[Tensor, "H W 3"], b: Float[Tensor, "H W 3"]) -> Float[Tensor, ""]:
    """Give the same in plain torch: the specification."""
    a, b = (t.permute(2, 0, 1) for t in (a, b))
    maps = _blur(torch.cat([a, b, a * a, b * b, a * b])[:, None])
    mean_a, mean_b, aa, bb, ab = maps[:, 0].split(a.shape[0])
    cross, squares = mean_a * mean_b, mean_a * mean_a + mean_b * mean_b
    similar = (2 * cross + C1) * (2 * (ab - cross) + C2)
    return (similar / ((squares + C1) * (aa + bb - squares + C2))).mean()


def _blur(maps: Float[Tensor, "M 1 H W"]) -> Float[Tensor, "M 1 H W"]:
    taps = torch.exp(-((torch.arange(-RADIUS, RADIUS + 1, dtype=maps.dtype, device=maps.device) / SIGMA) ** 2) / 2)
    taps = (taps / taps.sum()).reshape(1, 1, 1, -1)
    rows = torch.nn.functional.conv2d(maps, taps, padding=(0, RADIUS))
    return torch.nn.functional.conv2d(rows, taps.mT, padding=(RADIUS, 0))
