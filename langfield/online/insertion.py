"""New Gaussians where a keyframe sees what the map does not hold yet."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.field.photometric import SH_C0
from langfield.online.align import STEEPEST, Level, grey_of, level_of, planes, smooth_of
from langfield.online.mapping_settings import MappingSettings
from langfield.online.surface import depth_of
from langfield.online.tracking import Seen
from langfield.raster import Gaussians, View


def lacking(view: View | None, seen: Seen, settings: MappingSettings) -> Bool[Tensor, "H W"]:
    """Say at which pixels the map lacks something: it is thin there, or what is seen lies before it.

    Args:
        view: the map drawn at the keyframe; None for an empty map.
        seen: the keyframe.
        settings: the thresholds.
    """
    if view is None:
        return torch.ones_like(seen.depth, dtype=torch.bool)
    thin = view.alpha < settings.thin
    depth, _ = depth_of(view, seen.camera, settings.thin)
    before = (seen.depth > 0) & (seen.depth < (1 - settings.before) * depth)
    return thin | before


def depth_to_use(view: View | None, seen: Seen, seed: int, settings: MappingSettings) -> Float[Tensor, "H W"]:
    """Give the depth new Gaussians get: the sensor's, and for a frame without depth a guess (MonoGS, section 3.4).

    The guess is what is drawn where the map is, its median elsewhere, spread by seeded noise.

    Args:
        view: the map drawn at the keyframe; None for an empty map.
        seen: the keyframe.
        seed: of the noise.
        settings: of mapping.
    """
    if seen.has_depth:
        return seen.depth
    g = torch.Generator().manual_seed(seed)
    noise = torch.randn(seen.depth.shape, generator=g).to(seen.depth)
    if view is None or not bool((view.alpha > settings.thin).any()):
        return settings.first_depth * (1 + settings.guess_spread * noise).clamp_min(0.1)
    depth, _ = depth_of(view, seen.camera, settings.thin)
    there = view.alpha > settings.thin
    return torch.where(there, depth * (1 + 0.25 * settings.guess_spread * noise), depth[there].median() * (
        1 + settings.guess_spread * noise
    )).clamp_min(0.01 * float(depth[there].median()))  # fmt: skip


def new_gaussians(
    where: Bool[Tensor, "H W"], depth: Float[Tensor, "H W"], seen: Seen, key: int, settings: MappingSettings
) -> Gaussians:
    """Give a disc on the surface for every so many pixels each way where something is lacking.

    A disc shows the same place of a surface from wherever it is looked at; of balls, the nearer half hides what lies
    behind, and the picture slides with the view. Where the surface's slant is not known it is a ball.

    Args:
        where: pixels to fill.
        depth: along z, world units; where it is unknown nothing is added.
        seen: the keyframe.
        key: its id; the grid starts elsewhere for each.
        settings: of mapping.
    """
    stride = settings.stride_for(where.shape[1], where.shape[0])
    grid = torch.zeros_like(where)
    grid[key % stride :: stride, key // stride % stride :: stride] = True
    at = (where & grid & (depth > 0)).nonzero(as_tuple=True)
    z, level = depth[at], level_of(grey_of(seen.image), depth, torch.ones_like(where), seen.camera.K)
    T = seen.camera.T_world_camera.to(depth)
    means = (level.rays()[at] * z[:, None]) @ T[:3, :3].T + T[:3, 3]
    size = (settings.width * stride * z / level.lens[0]).log()[:, None].repeat(1, 3)
    normal, flat = normals(level)
    size[:, 2] += math.log(settings.thickness) * flat[at]
    sh = torch.zeros((len(z), (settings.sh_degree + 1) ** 2, 3), device=depth.device)
    sh[:, 0] = (seen.image[at] - 0.5) / SH_C0
    opacity = math.log(settings.first_opacity / (1 - settings.first_opacity))
    return Gaussians(means, facing(normal[at] @ T[:3, :3].T), size, torch.full_like(z, opacity), sh)


def normals(level: Level) -> tuple[Float[Tensor, "H W 3"], Bool[Tensor, "H W"]]:
    """Give the unit normal of the surface at each pixel, away from the camera, and where it is known."""
    plane, smooth = planes(level), smooth_of(level)
    towards = torch.tensor([0.0, 0.0, 1.0], device=plane.device)
    length = plane.norm(dim=-1, keepdim=True)
    flat = smooth & (length[..., 0] < STEEPEST * level.q)
    return torch.where(flat[..., None], plane / length.clamp_min(1e-9), towards), flat


def facing(normal: Float[Tensor, "P 3"]) -> Float[Tensor, "P 4"]:
    """Give quaternions, w x y z, that turn the z axis to unit normals of either sign the short way."""
    n = torch.where(normal[:, 2:] < 0, -normal, normal)
    x, y, z = n.unbind(1)
    return torch.nn.functional.normalize(torch.stack([1 + z, -y, x, torch.zeros_like(x)], 1), dim=1)
