"""Time the compiled rasterizer against the plain-torch reference."""

from __future__ import annotations

import math
import time

import torch

from langfield.capture.types import Camera
from langfield.raster.dispatch import Backend
from langfield.raster.screen import rasterize
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians


def random_scene(n: int, width: int, height: int, seed: int = 0) -> tuple[Gaussians, Camera]:
    """Give n small seeded Gaussians that fill the view of a camera with a 53 degree field of view."""
    g = torch.Generator().manual_seed(seed)
    depth = 2 + 4 * torch.rand(n, generator=g)
    uv = torch.rand(n, 2, generator=g) - 0.5
    means = torch.cat([uv * depth[:, None] * torch.tensor([1.0, height / width]), depth[:, None]], 1)
    gaussians = Gaussians(
        means=means,
        quats=torch.randn(n, 4, generator=g),
        log_scales=0.4 * torch.randn(n, 3, generator=g) + math.log(2.5 / math.sqrt(n)),
        logit_opacities=torch.randn(n, generator=g),
        sh=0.3 * torch.randn(n, 16, 3, generator=g),
    )
    K = torch.tensor([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], dtype=torch.float64)
    return gaussians, Camera(K, width, height, torch.eye(4, dtype=torch.float64))


def _times(backend: Backend, gaussians: Gaussians, camera: Camera, repeats: int) -> tuple[float, float]:
    """Give the best of `repeats` times for forward and for backward, seconds."""
    leaves = Gaussians(*(t.clone().requires_grad_() for t in gaussians.tensors()))
    forward, backward = math.inf, math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        view = rasterize(leaves, camera, backend=backend)
        middle = time.perf_counter()
        loss = view.depth.sum() + (view.colour.sum() if view.colour is not None else 0)
        loss.backward()
        forward, backward = min(forward, middle - start), min(backward, time.perf_counter() - middle)
    return forward, backward


def bench_raster(n: int = 10_000, size_px: int = 256) -> dict[str, float]:
    """Time forward and backward of both CPU backends on the same scene.

    Returns:
        seconds of each, the ratios reference / cpu, threads used and seconds in all.

    Raises:
        EnvironmentProblem: there is no C++ compiler.
    """
    start = time.perf_counter()
    gaussians, camera = random_scene(n, size_px, size_px)
    cpu_forward, cpu_backward = _times("cpu", gaussians, camera, 5)
    with kernels_only():  # many small operators: torch's own threads would only slow the reference down
        slow_forward, slow_backward = _times("reference", gaussians, camera, 1)
    return {
        "gaussians": float(n),
        "cpu_forward_s": cpu_forward,
        "cpu_backward_s": cpu_backward,
        "reference_forward_s": slow_forward,
        "reference_backward_s": slow_backward,
        "forward_ratio": slow_forward / cpu_forward,
        "backward_ratio": slow_backward / cpu_backward,
        "ratio": (slow_forward + slow_backward) / (cpu_forward + cpu_backward),
        "threads": float(torch.get_num_threads()),
        "total_s": time.perf_counter() - start,
    }
