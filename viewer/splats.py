"""Gaussians as viser draws them: centres, covariances, opacities, and one colour each."""

from __future__ import annotations

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from langfield.raster.types import Gaussians

SH_C0 = 0.28209479177387814
"""The spherical harmonic of degree 0."""
WIDEST = 200.0
"""Largest standard deviation sent, so that its square fits half precision (65504)."""


def base_colours(sh: Float[Tensor, "N K 3"]) -> UInt8[np.ndarray, "N 3"]:
    """Give the colour of degree 0 (viser's splats have one colour from every side)."""
    rgb = (sh[:, 0].detach().float().cpu() * SH_C0 + 0.5).nan_to_num(0.5).clamp(0, 1)
    return (rgb * 255).round().to(torch.uint8).numpy()


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


def unit_for_half_precision(scales: Float[Tensor, "N 3"]) -> float:
    """Give the length to send the scene in units of, so that its variances are neither 0 nor infinite as float16.

    viser sends covariances in half precision: a Gaussian of 0.2 mm in metres would have the variance 4e-8, which is 0.
    """
    largest = scales.amax(dim=1)
    usual, most = float(largest.median()), float(largest.max())
    return max(usual, most / WIDEST, 1e-12)


class SplatScene:
    """The Gaussians of a page; colours can be changed without touching the rest."""

    def __init__(self, server: viser.ViserServer, gaussians: Gaussians) -> None:
        g = gaussians.detach()
        scales = g.log_scales.float().cpu().exp()
        unit = unit_for_half_precision(scales)
        self.rgb = base_colours(g.sh)
        """The Gaussians' own colours, uint8 [N, 3]."""
        self._handle = server.scene.add_gaussian_splats(
            "/splats",
            centers=(g.means.float().cpu() / unit).numpy(),
            covariances=covariances(g.quats.float().cpu(), scales / unit).numpy(),
            rgbs=self.rgb,
            opacities=torch.sigmoid(g.logit_opacities.float().cpu())[:, None].numpy(),
            scale=unit,
        )

    def paint(self, rgb: UInt8[np.ndarray, "N 3"]) -> None:
        """Give every Gaussian a colour; nothing is sent where none changes."""
        if not np.array_equal(self._handle.rgbs, rgb):
            self._handle.rgbs = rgb

    @property
    def shown(self) -> UInt8[np.ndarray, "N 3"]:
        """The colours on the page now."""
        return self._handle.rgbs.copy()
