"""New Gaussians where a keyframe sees what the map does not hold yet."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.field.photometric import SH_C0
from langfield.online.mapping_settings import MappingSettings
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
    depth = view.depth / view.alpha.clamp_min(1e-6)
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
    depth = view.depth / view.alpha.clamp_min(1e-6)
    there = view.alpha > settings.thin
    return torch.where(there, depth * (1 + 0.25 * settings.guess_spread * noise), depth[there].median() * (
        1 + settings.guess_spread * noise
    )).clamp_min(0.01 * float(depth[there].median()))  # fmt: skip


def new_gaussians(
    where: Bool[Tensor, "H W"], depth: Float[Tensor, "H W"], seen: Seen, key: int, settings: MappingSettings
) -> Gaussians:
    """Give one round Gaussian for every `stride`-th pixel each way where something is lacking.

    Args:
        where: pixels to fill.
        depth: along z, world units; where it is unknown nothing is added.
        seen: the keyframe.
        key: its id; the grid starts elsewhere for each.
        settings: of mapping.
    """
    stride = settings.stride
    grid = torch.zeros_like(where)
    grid[key % stride :: stride, key // stride % stride :: stride] = True
    v, u = (where & grid & (depth > 0)).nonzero(as_tuple=True)
    z = depth[v, u]
    K, T = seen.camera.K, seen.camera.T_world_camera.to(depth)
    rays = torch.stack([(u + 0.5 - float(K[0, 2])) / float(K[0, 0]), (v + 0.5 - float(K[1, 2])) / float(K[1, 1]),
                        torch.ones_like(z)], 1)  # fmt: skip
    means = (rays * z[:, None]) @ T[:3, :3].T + T[:3, 3]
    n = len(means)
    size = (settings.width * stride * z / float(K[0, 0])).log()
    sh = torch.zeros((n, (settings.sh_degree + 1) ** 2, 3), device=depth.device)
    sh[:, 0] = (seen.image[v, u] - 0.5) / SH_C0
    quats = torch.tensor([1.0, 0, 0, 0], device=depth.device).repeat(n, 1)
    opacity = torch.logit(torch.tensor(settings.first_opacity)).item()
    return Gaussians(means, quats, size[:, None].repeat(1, 3), torch.full_like(z, opacity), sh)
