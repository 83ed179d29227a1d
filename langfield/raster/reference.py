"""The specification of a view in plain torch: any float dtype, gradients by autograd, slow and readable.

3D Gaussian Splatting (Kerbl et al. 2023) with the conventions of gsplat's classic mode: pixel centres at +0.5,
alpha = min(0.999, opacity exp(-power)), contributions below 1/255 left out, a pixel closed before the Gaussian
that would let through 1e-4 or less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from langfield.raster.types import Gaussians, RasterOptions

TILE = 16
ALPHA_CUT = 1 / 255
ALPHA_MAX = 0.999
STOP_BELOW = 1e-4
MAX_RADIUS = 1e6
MIN_QUAT_NORM2 = 1e-30
LARGEST = 1e10
"""Of depths, colours and channels: beyond it one Gaussian's gradient could make those of all others overflow."""


@dataclass(frozen=True)
class Pinhole:
    """A camera as the arithmetic wants it."""

    viewmat: Float[Tensor, "4 4"]
    """World to camera."""
    intrinsics: tuple[float, float, float, float]
    """fx fy cx cy, pixels."""
    width: int
    height: int


@dataclass(frozen=True)
class Splats:
    """Gaussians on the screen."""

    means2d: Float[Tensor, "N 2"]
    conics: Float[Tensor, "N 3"]
    """a b c of power = 0.5 a dx^2 + b dx dy + 0.5 c dy^2, 1 / square pixels."""
    depths: Float[Tensor, " N"]
    opacities: Float[Tensor, " N"]
    colours: Float[Tensor, "N 3"]
    radii: Int[Tensor, "N 2"]


def project(gaussians: Gaussians, camera: Pinhole, options: RasterOptions) -> Splats:
    """Project all Gaussians; rows of those that cannot be seen are zero and carry no gradient."""
    with torch.no_grad():
        seen = _visible(_project(gaussians, camera, options), gaussians, camera, options)
    subset = Gaussians(*(t[seen] for t in gaussians.tensors()))
    splats, n = _project(subset, camera, options), len(gaussians)

    def spread(rows: Tensor) -> Tensor:
        return rows.new_zeros((n, *rows.shape[1:])).index_put((seen,), rows)

    names = ("means2d", "conics", "depths", "opacities", "colours", "radii")
    return Splats(*(spread(getattr(splats, name)) for name in names))


def _project(g: Gaussians, camera: Pinhole, options: RasterOptions) -> Splats:
    fx, fy, cx, cy = camera.intrinsics
    W, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    p = g.means @ W.T + t
    x, y, z = p.unbind(-1)
    J = torch.zeros((len(g), 2, 3), dtype=p.dtype)
    side_x, side_y = 0.15 * camera.width / fx, 0.15 * camera.height / fy  # J is held to 1.3 fields of view
    J[:, 0, 0], J[:, 1, 1] = fx / z, fy / z
    J[:, 0, 2] = -fx / z * (x / z).clamp(-cx / fx - side_x, (camera.width - cx) / fx + side_x)
    J[:, 1, 2] = -fy / z * (y / z).clamp(-cy / fy - side_y, (camera.height - cy) / fy + side_y)
    M = rotations(g.quats) * g.log_scales.exp()[:, None, :]
    half = J @ W @ M
    cov = half @ half.mT + options.blur_px2 * torch.eye(2, dtype=p.dtype)
    xx, xy, yy = cov[:, 0, 0], cov[:, 0, 1], cov[:, 1, 1]
    det = xx * yy - xy * xy
    opacities = torch.sigmoid(g.logit_opacities)
    extent = (2 * (opacities.detach() / ALPHA_CUT).clamp_min(1).log()).sqrt()
    reach = extent[:, None] * torch.stack([xx, yy], -1).detach().sqrt()
    return Splats(
        means2d=torch.stack([fx * x / z + cx, fy * y / z + cy], -1),
        conics=torch.stack([yy, -xy, xx], -1) / det[:, None],
        depths=z,
        opacities=opacities,
        colours=_colours(g, camera, options).clamp_min(0),
        radii=reach.nan_to_num(0).clamp(max=MAX_RADIUS).ceil().to(torch.int32),
    )


def _visible(s: Splats, g: Gaussians, camera: Pinhole, options: RasterOptions) -> Tensor:
    """Give the rows that can be seen: finite, in front, with an extent on the picture."""
    finite = torch.ones(len(g), dtype=torch.bool)
    colours = _colours(g, camera, options)  # before the clamp, which would hide minus infinity
    for tensor in (*g.tensors()[:4], s.means2d, s.conics, s.depths, colours):
        finite &= tensor.isfinite().flatten(1).all(-1) if tensor.dim() > 1 else tensor.isfinite()
    length2 = (g.quats * g.quats).sum(-1)
    turned = (length2 >= MIN_QUAT_NORM2) & length2.isfinite()  # it can overflow
    shaped = (s.conics[:, 0] > 0) & (s.conics[:, 2] > 0)  # the determinant's sign
    size = torch.tensor([camera.width, camera.height])
    inside = ((s.means2d + s.radii > 0) & (s.means2d - s.radii < size) & (s.radii > 0)).all(-1)
    within = (s.depths >= options.near) & (s.depths <= LARGEST) & (colours.abs() <= LARGEST).all(-1)
    return (finite & turned & shaped & inside & within & (s.opacities >= ALPHA_CUT)).nonzero()[:, 0]


def rotations(quats: Float[Tensor, "N 4"]) -> Float[Tensor, "N 3 3"]:
    """Give rotation matrices of w x y z quaternions of any length."""
    w, x, y, z = (quats / quats.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def _colours(g: Gaussians, camera: Pinhole, options: RasterOptions) -> Float[Tensor, "N 3"]:
    """Give colours as the harmonics say, not yet held above zero."""
    if not options.colour:
        return torch.zeros_like(g.means)
    degree = sh_degree_of(g, options)
    W, t = camera.viewmat[:3, :3], camera.viewmat[:3, 3]
    towards = g.means + W.T @ t  # the camera stands at -W^T t
    Y = harmonics(towards / towards.norm(dim=-1, keepdim=True), degree)
    return (Y[..., None] * g.sh[:, : Y.shape[1]]).sum(1) + 0.5


def sh_degree_of(gaussians: Gaussians, options: RasterOptions) -> int:
    """Give the highest harmonic degree to use: what is stored, or less where the options say so."""
    stored = round(gaussians.sh.shape[1] ** 0.5) - 1
    return stored if options.sh_degree is None else min(stored, options.sh_degree)


def harmonics(d: Float[Tensor, "N 3"], degree: int) -> Float[Tensor, "N K"]:
    """Give the real spherical harmonics of unit vectors up to `degree` (0 to 3), with 3DGS's signs."""
    x, y, z = d.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    c1, c2, c3 = 0.4886025119029199, 1.0925484305920792, 0.5900435899266435
    Y = [torch.full_like(x, 0.28209479177387814), -c1 * y, c1 * z, -c1 * x]
    Y += [c2 * x * y, -c2 * y * z, 0.31539156525252005 * (2 * zz - xx - yy), -c2 * x * z, c2 / 2 * (xx - yy)]
    Y += [-c3 * y * (3 * xx - yy), 2.890611442640554 * x * y * z, -0.4570457994644658 * y * (4 * zz - xx - yy)]
    Y += [0.3731763325901154 * z * (2 * zz - 3 * xx - 3 * yy), -0.4570457994644658 * x * (4 * zz - xx - yy)]
    Y += [1.445305721320277 * z * (xx - yy), -c3 * x * (xx - 3 * yy)]
    return torch.stack(Y[: (degree + 1) ** 2], -1)


def blend(s: Splats, features: Tensor, size: tuple[int, int], smooth: bool) -> tuple[Tensor, Tensor]:
    """Blend features [N, F] front to back, tile by tile.

    Args:
        features: what each Gaussian brings.
        size: width and height, pixels.
        smooth: fade contributions out instead of cutting them at 1/255.

    Returns:
        Pixels [H, W, F] and the light that still passes, [H, W].
    """
    drawn, through = [], []
    for tile in tiles(s, size):
        light = tile_light(s, tile, smooth)
        drawn.append((light.weights @ features[tile.ids]).reshape(*tile.shape, -1))
        through.append(light.ahead[:, -1].reshape(*tile.shape, 1))
    across = -(-size[0] // TILE)
    whole = [
        torch.cat([torch.cat(parts[i : i + across], 1) for i in range(0, len(parts), across)], 0)
        for parts in (drawn, through)
    ]
    return whole[0], whole[1][..., 0]


@dataclass(frozen=True)
class Tile:
    """Part of the picture, and the Gaussians that may touch it."""

    x: int
    """Left column, pixels."""
    y: int
    shape: tuple[int, int]
    """Rows and columns: 16 by 16, less at the right and lower border."""
    ids: Int[Tensor, " n"]
    """Near to far."""


def tiles(s: Splats, size: tuple[int, int]) -> Iterator[Tile]:
    """Give all tiles of a picture of `size` (width, height), row by row."""
    width, height = size
    near_to_far = torch.argsort(s.depths.detach(), stable=True)
    order = near_to_far[s.radii[near_to_far].gt(0).all(-1)]
    low, high = (s.means2d.detach() - s.radii)[order], (s.means2d.detach() + s.radii)[order]
    for y in range(0, height, TILE):
        for x in range(0, width, TILE):
            inside = (low[:, 0] < x + TILE) & (high[:, 0] > x) & (low[:, 1] < y + TILE) & (high[:, 1] > y)
            yield Tile(x, y, (min(TILE, height - y), min(TILE, width - x)), order[inside])


@dataclass(frozen=True)
class Light:
    """How the light of each pixel p of a tile divides among its n Gaussians."""

    weights: Float[Tensor, "P n"]
    """w = alpha T: the share of the light that a Gaussian takes (Kerbl et al. 2023, equation 3)."""
    ahead: Float[Tensor, "P n+1"]
    """T: what passes before each Gaussian, and behind the last one."""


def tile_light(s: Splats, tile: Tile, smooth: bool) -> Light:
    """Give the blend weights of one tile."""
    ids, (h, w) = tile.ids, tile.shape
    ys, xs = torch.meshgrid(torch.arange(h) + tile.y + 0.5, torch.arange(w) + tile.x + 0.5, indexing="ij")
    pixels = torch.stack([xs, ys], -1).reshape(-1, 2).to(s.means2d.dtype)
    d = pixels[:, None] - s.means2d[ids]  # [P, n, 2]
    a, b, c = s.conics[ids].unbind(-1)
    power = 0.5 * (a * d[..., 0] ** 2 + c * d[..., 1] ** 2) + b * d[..., 0] * d[..., 1]
    raw = s.opacities[ids] * torch.exp(-power)
    alpha = raw.clamp_max(ALPHA_MAX) * ((raw.detach() >= ALPHA_CUT) & (power.detach() >= 0))
    if smooth:
        u = (raw / ALPHA_CUT - 1).clamp(0, 1)
        alpha = alpha * u * u * (3 - 2 * u)
    after = torch.cumprod(1 - alpha, 1)
    alpha = alpha * (smooth | (after.detach() > STOP_BELOW))
    after = torch.cumprod(1 - alpha, 1)
    ahead = torch.cat([after.new_ones((len(pixels), 1)), after], 1)
    return Light(alpha * ahead[:, :-1], ahead)
