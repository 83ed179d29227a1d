"""Depth of the surface that flat Gaussians lie on, instead of that of their centres (PGSR, Chen et al. 2024, 3.2).

On a slanted surface the nearer of overlapping Gaussians take more light than the farther ones, so that blended
centres lie before the surface: by some thousandths of the depth, which a tracked camera would follow step by step.
The planes m . X = 1 that they lie in are all the same, in whatever order they are blended.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster import Gaussians, View

STEEPEST = 8.0
"""|m| z of surfaces seen at a slant of more than about 83 degrees; they count as facing the camera."""
NEAREST = 1e-3


def plane_channels(gaussians: Gaussians, T_world_camera: Float[Tensor, "4 4"]) -> Float[Tensor, "N 3"]:
    """Give each Gaussian's plane m in camera space, square to its third axis: three channels to be drawn.

    Args:
        gaussians: the map.
        T_world_camera: of the view; gradients flow to both.
    """
    T = torch.linalg.inv(T_world_camera).to(gaussians.means)
    w, x, y, z = torch.nn.functional.normalize(gaussians.quats, dim=1).unbind(1)
    axis = torch.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], 1)
    normal, centre = axis @ T[:3, :3].T, gaussians.means @ T[:3, :3].T + T[:3, 3]
    distance, depth = (normal * centre).sum(1, keepdim=True), centre[:, 2:]
    steep = distance.abs() * STEEPEST < depth
    front = depth > NEAREST
    plane = normal / torch.where(steep, 1.0, distance)
    facing = torch.tensor([0.0, 0.0, 1.0], device=T.device) / torch.where(front, depth, 1.0)
    return torch.where(front, torch.where(steep, facing, plane), 0.0)


def rays_of(camera: Camera, like: Tensor) -> Float[Tensor, "H W 3"]:
    """Give the ray (z = 1) through each pixel's centre."""
    K = camera.K
    x = (torch.arange(camera.width).to(like) + (0.5 - float(K[0, 2]))) / float(K[0, 0])
    y = (torch.arange(camera.height).to(like) + (0.5 - float(K[1, 2]))) / float(K[1, 1])
    rows = y[:, None].expand(camera.height, camera.width)
    return torch.stack([x.expand_as(rows), rows, torch.ones_like(rows)], -1)


def inverse_depth(view: View, camera: Camera) -> Float[Tensor, "H W"]:
    """Give blended inverse depth, alpha times 1 / depth, of a view whose channels are `plane_channels`."""
    assert view.channels is not None  # noqa: S101 - drawn with them; said for the type checker
    return (view.channels[..., :3] * rays_of(camera, view.alpha)).sum(-1)


def depth_of(view: View, camera: Camera, opaque: float) -> tuple[Float[Tensor, "H W"], Bool[Tensor, "H W"]]:
    """Give the depth of the surface, 0 where the map covers less than `opaque`, and where it does."""
    covered = view.alpha > opaque
    q = inverse_depth(view, camera) / view.alpha.clamp_min(1e-6)
    known = covered & (q > 1e-9)
    return torch.where(known, 1 / q.clamp_min(1e-9), 0.0), covered
