"""Direct alignment of a picture with depth to a drawn view of the map, by Gauss-Newton over a pyramid.

One drawing serves all steps: what was drawn is the template, and the new picture is looked up where the template's
points fall in it (inverse compositional: Baker & Matthews 2004, with point-to-plane depth as in KinectFusion,
Newcombe et al. 2011). It brings the pose within a fraction of a pixel for the price of one drawing; what the
rasterizer's own gradients then have left to do is the last bit, in two or three drawings instead of a hundred.

The template's surface at a pixel is the plane m . X = 1. The inverse depth of a plane is affine over a picture, so m
follows from its gradient, and the relative error of a point Q is m . Q - 1, whatever the world's unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample

from langfield.online.pose import exp_se3

GREY = (0.299, 0.587, 0.114)
STEEPEST = 8.0
"""|m| z of surfaces seen at a slant of more than about 83 degrees, whose depth says little."""
EDGE = 0.05
"""Neighbouring inverse depths that differ by a larger share lie on two surfaces."""


@dataclass(frozen=True)
class Robust:
    """Where residuals stop counting as squares, and how much depth weighs beside colour."""

    colour: float = 0.03
    """Grey value, 0 to 1; beyond it the residual counts by its absolute value (Huber)."""
    depth: float = 0.01
    """Share of the depth."""
    depth_weight: float = 2.0
    """Weight of the mean relative depth loss beside the mean colour loss."""
    same: float = 0.1
    """Depths that differ by a larger share are not of one surface and do not count."""


@dataclass(frozen=True)
class Level:
    """Grey values and inverse depths at one size, and the lens there."""

    grey: Float[Tensor, "H W"]
    q: Float[Tensor, "H W"]
    """1 / depth; 0 where unknown."""
    known: Bool[Tensor, "H W"]
    """Where the grey value may be used."""
    lens: tuple[float, float, float, float]
    """fx fy cx cy, pixels."""

    def rays(self) -> Float[Tensor, "H W 3"]:
        """Give the ray (z = 1) through each pixel centre."""
        height, width = self.grey.shape
        fx, fy, cx, cy = self.lens
        like: dict[str, Any] = {"device": self.grey.device, "dtype": self.grey.dtype}
        x = (torch.arange(width, **like) + (0.5 - cx)) / fx
        y = (torch.arange(height, **like) + (0.5 - cy)) / fy
        return torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.ones_like(self.grey)], -1)


@dataclass(frozen=True)
class Template:
    """P pixels of a drawn view that can be aligned with."""

    grey: Float[Tensor, " P"]
    points: Float[Tensor, "P 3"]
    """In the drawn camera's space."""
    slope: Float[Tensor, "P 6"]
    """How the grey value at a fixed pixel falls when the camera moves by a twist."""
    plane: Float[Tensor, "P 3"]
    """m; zero where the surface is unknown or too steep."""
    lean: Float[Tensor, "P 6"]
    """m and Q x m: how the relative depth error grows with a twist."""


@dataclass(frozen=True)
class Fit:
    """The normal equations of an alignment at one state."""

    H: Float[Tensor, "8 8"]
    """Curvature by twist, gain and offset; float64 on the CPU."""
    g: Float[Tensor, " 8"]
    loss: float
    inliers: float
    """Share of the pixels looked up whose colour and depth agree."""
    seen: float
    """Share of the template that falls into the picture."""


def grey_of(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
    """Give the luma of a picture."""
    return image @ torch.tensor(GREY, dtype=image.dtype, device=image.device)


def level_of(
    grey: Float[Tensor, "H W"], depth: Float[Tensor, "H W"], known: Bool[Tensor, "H W"], K: Float[Tensor, "3 3"]
) -> Level:
    """Give the finest level.

    Args:
        grey: 0 to 1.
        depth: along z, world units; not positive where unknown.
        known: where grey may be used.
        K: intrinsics, pixels.
    """
    q = torch.where(depth > 0, 1 / depth.clamp_min(1e-12), torch.zeros_like(depth))
    return Level(grey, q, known, (float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2])))


def halved(level: Level) -> Level:
    """Give the level of half the size; a depth only where all four are known and of one surface."""
    height, width = (side // 2 * 2 for side in level.grey.shape)
    grey, q, known = (t[:height, :width] for t in (level.grey, level.q, level.known))
    four = q.reshape(height // 2, 2, width // 2, 2)
    low, high = four.amin((1, 3)), four.amax((1, 3))
    one = (low > 0) & (high - low < EDGE * high)
    mean = avg_pool2d(torch.stack([grey, q])[None], 2)[0]
    all_known = known.reshape(height // 2, 2, width // 2, 2).all(3).all(1)
    fx, fy, cx, cy = level.lens
    return Level(mean[0], torch.where(one, mean[1], 0.0), all_known, (fx / 2, fy / 2, cx / 2, cy / 2))


def pyramid(level: Level, halvings: int) -> list[Level]:
    """Give the level and its halvings, finest first; stops before a side falls below 12 pixels."""
    out = [level]
    while len(out) <= halvings and min(out[-1].grey.shape) >= 24:
        out.append(halved(out[-1]))
    return out


def template_of(level: Level) -> Template:
    """Give what can be aligned with: pixels of known grey value and depth away from depth edges and the border."""
    rays, (fx, fy) = level.rays(), level.lens[:2]
    gx, gy = _central(level.grey)
    use = smooth_of(level).nonzero(as_tuple=True)
    inverse = level.q[use]
    points = rays[use] / inverse[:, None]
    flow = torch.stack([gx[use] * fx, gy[use] * fy], -1) * inverse[:, None]
    push = torch.cat([flow, -(flow * rays[use][:, :2]).sum(-1, keepdim=True)], -1)
    plane = planes(level)[use]
    steep = plane.norm(dim=1) > STEEPEST * inverse
    plane = plane.masked_fill(steep[:, None], 0.0)
    return Template(
        level.grey[use],
        points,
        torch.cat([push, torch.linalg.cross(points, push)], 1),
        plane,
        torch.cat([plane, torch.linalg.cross(points, plane)], 1),
    )


def planes(level: Level) -> Float[Tensor, "H W 3"]:
    """Give m of each pixel's surface; it means something only where `smooth_of` holds."""
    fx, fy = level.lens[:2]
    qx, qy = _central(level.q)
    m = torch.stack([fx * qx, fy * qy], -1)
    return torch.cat([m, (level.q - (m * level.rays()[..., :2]).sum(-1))[..., None]], -1)


def _central(a: Tensor) -> tuple[Tensor, Tensor]:
    x, y = torch.zeros_like(a), torch.zeros_like(a)
    x[:, 1:-1] = (a[:, 2:] - a[:, :-2]) / 2
    y[1:-1] = (a[2:] - a[:-2]) / 2
    return x, y


def smooth_of(level: Level) -> Bool[Tensor, "H W"]:
    """Say where a pixel and its four neighbours are known and lie on one surface."""
    q, out = level.q, torch.zeros_like(level.known)
    middle, usable = q[1:-1, 1:-1], level.known & (q > 0)
    good = usable[1:-1, 1:-1].clone()
    for dy, dx in ((0, 1), (2, 1), (1, 0), (1, 2)):
        rows, columns = slice(dy, q.shape[0] - 2 + dy), slice(dx, q.shape[1] - 2 + dx)
        near = q[rows, columns]
        good &= usable[rows, columns] & ((near - middle).abs() < EDGE * middle)
    out[1:-1, 1:-1] = good
    return out


def equations(
    template: Template,
    level: Level,
    motion: Float[Tensor, "4 4"],
    exposure: tuple[float, float],
    robust: Robust,
) -> Fit:
    """Give the normal equations of a template against a picture.

    Args:
        template: of the drawn view.
        level: of the picture, same size as the template's.
        motion: drawn camera's space to the picture's camera's space, float64.
        exposure: gain and offset, picture = gain * drawn + offset.
        robust: the loss.
    """
    R, t = (part.to(template.grey) for part in (motion[:3, :3], motion[:3, 3]))
    there = template.points @ R.T + t
    grey, q, weight = _look_up(level, there)
    sure = q > 0
    back = (there[:, :2] / there[:, 2:].clamp_min(1e-6)).new_empty(there.shape)
    back[:, :2] = there[:, :2] / there[:, 2:].clamp_min(1e-6)
    back[:, 2] = 1.0
    found = (back / q.clamp_min(1e-9)[:, None] - t) @ R
    off = torch.where(sure, (template.plane * found).sum(1) - 1, 0.0)
    other = sure & ((q * there[:, 2] - 1).abs() > robust.same)  # another surface is seen there
    weight = weight & ~other
    gain, offset = exposure
    error = grey - gain * template.grey - offset
    w_colour = weight / error.abs().clamp_min(robust.colour)
    plane = weight & sure & (template.plane[:, 2] != 0) & (off.abs() < robust.same)
    w_depth = plane / off.abs().clamp_min(robust.depth)
    A = torch.cat([gain * template.slope, template.grey[:, None], torch.ones_like(error)[:, None]], 1)
    n_colour, n_depth = float(weight.sum().clamp_min(1)), float(plane.sum().clamp_min(1))
    share = robust.depth_weight / n_depth
    H, g = (A * w_colour[:, None]).T @ A / n_colour, A.T @ (w_colour * error) / n_colour
    lean = template.lean
    H[:6, :6] += share * (lean * w_depth[:, None]).T @ lean
    g[:6] -= share * lean.T @ (w_depth * off)
    loss = float(_huber(error, robust.colour)[weight].sum()) / n_colour
    loss += share * float(_huber(off, robust.depth)[plane].sum())
    agree = weight & (error.abs() < 2 * robust.colour)
    looked_up = float((weight | other).sum())
    fits = float(agree.sum()) / max(looked_up, 1.0)
    return Fit(H.double().cpu(), g.double().cpu(), loss, fits, looked_up / max(len(error), 1))


def _huber(error: Tensor, knee: float) -> Tensor:
    size = error.abs()
    return torch.where(size < knee, size * size / (2 * knee), size - knee / 2)


def _look_up(level: Level, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Give grey value, inverse depth (0 where unknown) and whether the picture was hit, at points of its camera."""
    height, width = level.grey.shape
    fx, fy, cx, cy = level.lens
    z = points[:, 2].clamp_min(1e-6)
    u, v = fx * points[:, 0] / z + cx, fy * points[:, 1] / z + cy
    grid = torch.stack([2 * u / width - 1, 2 * v / height - 1], -1)[None, None]
    known = (level.q > 0).to(level.grey)
    planes = torch.stack([level.grey, level.q, known, level.known.to(level.grey)])[None]
    grey, q, sure, usable = grid_sample(planes, grid, align_corners=False, padding_mode="zeros")[0, :, 0]
    inside = (points[:, 2] > 1e-4) & (u > 0.5) & (u < width - 0.5) & (v > 0.5) & (v < height - 0.5)
    return grey, torch.where(sure > 0.999, q, 0.0), inside & (usable > 0.999)


def descend(
    templates: list[Template],
    levels: list[Level],
    start: tuple[Tensor, tuple[float, float]],
    steps: tuple[int, ...],
    robust: Robust,
) -> tuple[Tensor, tuple[float, float], Fit]:
    """Align coarse to fine.

    Args:
        templates: of the drawn view, finest first.
        levels: of the picture, same sizes.
        start: motion from drawn to picture's camera space, and exposure.
        steps: Gauss-Newton steps per level, coarsest first; 0 leaves a level out.
        robust: the loss.

    Returns:
        Motion, exposure, and the fit at the last state that was weighed up.
    """
    motion, exposure = start
    fit = None
    for place, many in zip(reversed(range(len(templates))), steps, strict=False):
        for _ in range(many):
            fit = equations(templates[place], levels[place], motion, exposure, robust)
            step = solve(fit, exposure)
            motion = motion @ exp_se3(-step[:6])
            exposure = exposure[0] + float(step[6]), exposure[1] + float(step[7])
            if float(step[:6].abs().max()) < 1e-5:
                break
    fit = fit or equations(templates[0], levels[0], motion, exposure, robust)
    return motion, exposure, fit


def solve(fit: Fit, exposure: tuple[float, float], damping: float = 1e-4, keep: float = 0.05) -> Tensor:
    """Give the damped Gauss-Newton step; exposure is drawn weakly to the plain one, so that it is always determined.

    Args:
        fit: the normal equations.
        exposure: gain and offset at them.
        damping: share of each curvature that is added to it.
        keep: curvature of the pull towards gain 1 and offset 0.
    """
    H, g = fit.H.clone(), fit.g.clone()
    H += torch.diag(damping * H.diagonal() + 1e-9)
    H[6, 6] += keep
    H[7, 7] += keep
    g[6] += keep * (1 - exposure[0])
    g[7] -= keep * exposure[1]
    return torch.linalg.solve(H, g)
