"""What the rasterizer takes and gives."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class Gaussians:
    """Gaussians as the PLYs everybody exchanges store them; all on one device, one float dtype."""

    means: Float[Tensor, "N 3"]
    """World units."""
    quats: Float[Tensor, "N 4"]
    """w x y z; normalised where used."""
    log_scales: Float[Tensor, "N 3"]
    logit_opacities: Float[Tensor, " N"]
    sh: Float[Tensor, "N K 3"]
    """Spherical harmonics, K = (degree + 1)^2, degree 0 to 3."""

    def __len__(self) -> int:
        return self.means.shape[0]

    def detach(self) -> Gaussians:
        """Give the same Gaussians cut from the graph."""
        return Gaussians(*(t.detach() for t in self.tensors()))

    def tensors(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Give the five tensors in the order of the fields."""
        return self.means, self.quats, self.log_scales, self.logit_opacities, self.sh


@dataclass(frozen=True)
class RasterOptions:
    """How a view is drawn."""

    colour: bool = True
    """Draw colour from the spherical harmonics."""
    sh_degree: int | None = None
    """Highest degree used; None for all that are there."""
    near: float = 0.01
    """Gaussians whose centre is nearer are left out, world units."""
    blur_px2: float = 0.3
    """Added to both screen variances (3DGS's low-pass), square pixels."""
    smooth_cutoff: bool = False
    """Fade contributions out instead of cutting at 1/255; only so that derivatives can be compared."""


@dataclass(frozen=True)
class View:
    """One drawn view; every tensor is differentiable where that makes sense."""

    alpha: Float[Tensor, "H W"]
    """1 - final transmittance."""
    depth: Float[Tensor, "H W"]
    """Sum of blend weight times camera z, world units; divide by alpha for the expected depth."""
    colour: Float[Tensor, "H W 3"] | None
    """Blended colour over black, not clamped; add (1 - alpha) * background."""
    channels: Float[Tensor, "H W C"] | None
    """Blended channels over zero."""
    means2d: Float[Tensor, "N 2"]
    """Projected centres in pixels; part of the graph, so `.retain_grad()` gives densification its signal."""
    radii: Int[Tensor, "N 2"]
    """Half extent on screen in pixels; 0 0 where culled."""
