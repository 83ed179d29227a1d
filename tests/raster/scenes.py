"""Small seeded scenes that the raster tests share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster import Gaussians, RasterOptions, View, rasterize


def camera(width: int = 40, height: int = 24, angle: float = 0.1) -> Camera:
    K = torch.tensor([[width, 0, width / 2 + 0.7], [0, width * 1.1, height / 2 - 0.4], [0, 0, 1]], dtype=torch.float64)
    c, s = math.cos(angle), math.sin(angle)
    T = torch.tensor([[c, 0, s, 0.1], [0, 1, 0, -0.2], [-s, 0, c, 0.3], [0, 0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, T)


def gaussians(n: int, seed: int, dtype: torch.dtype = torch.float32, size: float = -2.2) -> Gaussians:
    g = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

    means = draw(n, 3) * torch.tensor([1.5, 1.0, 1.0], dtype=dtype) + torch.tensor([0, 0, 4.0], dtype=dtype)
    return Gaussians(means, draw(n, 4), draw(n, 3) * 0.5 + size, draw(n) * 1.5, draw(n, 16, 3) * 0.3)


def channels(n: int, many: int, seed: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(n, many, generator=torch.Generator().manual_seed(seed + 99)).to(dtype)


@dataclass
class Drawn:
    view: View
    outputs: list[Tensor]
    grads: dict[str, Tensor]


def draw_with_gradients(
    scene: Gaussians,
    cam: Camera,
    chans: Tensor,
    options: RasterOptions | None = None,
    backend: str | None = None,
    draw: Callable[..., View] = rasterize,
) -> Drawn:
    """Draw, and send one seeded random gradient back into everything differentiable."""
    leaves = [t.detach().clone().requires_grad_() for t in (*scene.tensors(), chans, cam.T_world_camera)]
    posed = Camera(cam.K, cam.width, cam.height, leaves[6])
    view = draw(Gaussians(*leaves[:5]), posed, leaves[5], options, backend)
    view.means2d.retain_grad()
    assert view.colour is not None
    assert view.channels is not None
    outputs = [view.alpha, view.depth, view.colour, view.channels]
    g = torch.Generator().manual_seed(7)
    loss = sum((o * torch.randn(o.shape, generator=g, dtype=torch.float64).to(o.dtype)).sum() for o in outputs)
    loss.backward()  # type: ignore[union-attr]
    names = ("means", "quats", "log_scales", "logit_opacities", "sh", "channels", "T_world_camera", "means2d")
    grads = {name: leaf.grad for name, leaf in zip(names, [*leaves, view.means2d], strict=True)}
    return Drawn(view, [o.detach() for o in outputs], grads)  # type: ignore[arg-type]
