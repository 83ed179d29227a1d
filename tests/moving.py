"""A scene that moves, made here: a red ball that runs across, a blue one that turns yellow halfway, and truth."""

from __future__ import annotations

import torch

from langfield.capture.types import Camera, Points
from langfield.raster import Gaussians, rasterize

EACH = 60
SH_C0 = 0.28209479177387814
RED, BLUE, YELLOW = (torch.tensor(c) for c in ((0.9, 0.15, 0.1), (0.1, 0.2, 0.9), (0.9, 0.85, 0.1)))
FIRST_S, LAST_S, TURNS_S = 2.0, 5.0, 3.4
"""The scene's time in seconds, and when the blue ball turns yellow."""


def balls() -> Gaussians:
    """Give both balls as they are at the first time; the red one's rows first."""
    g = torch.Generator().manual_seed(0)
    shell = torch.nn.functional.normalize(torch.randn(2, EACH, 3, generator=g), dim=-1) * 0.28
    means = (shell + torch.tensor([[-0.7, -0.35, 0], [0.5, 0.4, 0.1]])[:, None]).flatten(0, 1)
    colours = torch.stack([RED, BLUE]).repeat_interleave(EACH, 0)
    n = len(means)
    sh = ((colours - 0.5) / SH_C0)[:, None]
    return Gaussians(
        means, torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1), torch.full((n, 3), -2.4), torch.full((n,), 2.5), sh
    )


def truth(time_s: float) -> Gaussians:
    """Give the scene at a time."""
    start = balls()
    share = (time_s - FIRST_S) / (LAST_S - FIRST_S)
    means, sh = start.means.clone(), start.sh.clone()
    means[:EACH, 0] += 1.3 * share
    if time_s >= TURNS_S:
        sh[EACH:] = ((YELLOW - 0.5) / SH_C0)[None]
    return Gaussians(means, start.quats, start.log_scales, start.logit_opacities, sh)


def camera_at(time_s: float, width: int = 64, height: int = 48) -> Camera:
    """Give a camera that swings a little around the scene while it watches."""
    angle = torch.tensor(0.5 * torch.sin(torch.tensor(2.3 * time_s)).item())
    c, s = torch.cos(angle), torch.sin(angle)
    T = torch.eye(4, dtype=torch.float64)
    T[0, 0], T[0, 2], T[2, 0], T[2, 2] = c, s, -s, c
    T[:3, 3] = torch.tensor([-3 * s, 0, -3 * c])
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, T, time_s=time_s)


def times(count: int) -> list[float]:
    """Give evenly spaced times, the first and the last among them."""
    return torch.linspace(FIRST_S, LAST_S, count).tolist()


def picture(time_s: float) -> torch.Tensor:
    """Give what the camera of a time sees."""
    colour = rasterize(truth(time_s), camera_at(time_s)).colour
    assert colour is not None
    return colour.clamp(0, 1)


def points() -> Points:
    """Give start points: both balls as they were at the first time, a little off."""
    g = torch.Generator().manual_seed(1)
    start = balls()
    rgb = ((start.sh[:, 0] * SH_C0 + 0.5).clamp(0, 1) * 255).to(torch.uint8)
    return Points(start.means + 0.02 * torch.randn(start.means.shape, generator=g), rgb)
