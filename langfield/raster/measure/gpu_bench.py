"""Time the CUDA rasterizer on a GPU, beside gsplat in the same run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from statistics import median
from typing import Any

import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster.contributions import scatter_segments, splat_codes, splat_scores
from langfield.raster.measure.bench import random_scene
from langfield.raster.screen import rasterize, to_screen
from langfield.raster.types import Gaussians

WIDTH, HEIGHT, MANY, CHANNELS = 1920, 1080, 500_000, 16
LEVELS, PAIRS, ATOMS = 3, 4, 64
"""A sparse-code field: three levels, four of 64 atoms a Gaussian (LangSplatV2, 2507.07136)."""
WARM, REPEATS = 5, 30
SEGMENT_PX = 64


@dataclass(frozen=True)
class Target:
    """What a timing is measured against."""

    name: str
    bound: float
    unit: str
    """"x gsplat" (at least) or "ms" (at most)."""

    def met(self, found: float) -> bool:
        """Say whether a measured number reaches it."""
        return found >= self.bound if self.unit == "x gsplat" else found <= self.bound


TARGETS = (
    Target("forward", 1.3, "x gsplat"),
    Target("forward_backward", 1.3, "x gsplat"),
    Target("codes_query", 1.5, "ms"),
    Target("scatter", 3.0, "ms"),
)


def measure(device: torch.device) -> dict[str, Any]:
    """Time drawing against gsplat at 1080p and 500 k Gaussians, a query of three levels of sparse codes, and scatter.

    Returns:
        Milliseconds by name, medians of interleaved runs; ratios to gsplat where it runs, else why not; targets.
    """
    found = {**_drawing(device), **_questions(device)}
    found["targets"] = []
    for target in TARGETS:
        reached = found.get(f"{target.name}_ratio" if target.unit == "x gsplat" else f"{target.name}_ms")
        if reached is not None:
            row = {"name": target.name, "bound": f"{target.bound} {target.unit}"}
            found["targets"].append({**row, "found": reached, "met": target.met(reached)})
    return found


def interleaved(
    work: dict[str, Callable[[], object]], device: torch.device, repeats: int = REPEATS
) -> dict[str, float]:
    """Give the median milliseconds of several pieces of work that take turns."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(WARM + repeats):
        for name, do in work.items():
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record(torch.cuda.current_stream(device))
            do()
            end.record(torch.cuda.current_stream(device))
            end.synchronize()
            if turn >= WARM:
                times[name].append(begin.elapsed_time(end))
    return {f"{name}_ms": round(median(values), 3) for name, values in times.items()}


def scene_on(device: torch.device, n: int) -> tuple[Gaussians, Camera, Tensor]:
    """Give a seeded scene at 1080p with 16 channels, leaves of a graph."""
    scene, camera = random_scene(n, WIDTH, HEIGHT)
    leaves = Gaussians(*(t.to(device).requires_grad_() for t in scene.tensors()))
    channels = torch.randn(n, CHANNELS, generator=torch.Generator().manual_seed(1)).to(device).requires_grad_()
    return leaves, camera, channels


def _drawing(device: torch.device) -> dict[str, Any]:
    scene, camera, channels = scene_on(device, MANY)

    def ours() -> Tensor:
        view = rasterize(scene, camera, channels)
        assert view.colour is not None and view.channels is not None  # noqa: S101, PT018
        return view.colour.sum() + view.channels.sum() + view.alpha.sum()

    with torch.no_grad():
        entries = to_screen(scene, camera).tiles
    work = _both_ways("", ours)
    peer = gsplat_of(scene, camera, channels)
    try:
        if not isinstance(peer, str):
            peer().backward()
            work |= _both_ways("gsplat_", peer)
    except Exception as error:
        peer = f"{type(error).__name__}: {error}"[:300]
    found: dict[str, Any] = {"pairs": 0 if entries is None else len(entries.gaussian), **interleaved(work, device)}
    if isinstance(peer, str):
        return {**found, "gsplat": f"not measured: {peer}"}
    for name in ("forward", "forward_backward"):
        found[f"{name}_ratio"] = round(found[f"gsplat_{name}_ms"] / found[f"{name}_ms"], 2)
    return {**found, "gsplat": version("gsplat")}


def _both_ways(prefix: str, loss: Callable[[], Tensor]) -> dict[str, Callable[[], object]]:
    def forward() -> None:
        with torch.no_grad():
            loss()

    return {f"{prefix}forward": forward, f"{prefix}forward_backward": lambda: loss().backward()}


def gsplat_of(scene: Gaussians, camera: Camera, channels: Tensor) -> Callable[[], Tensor] | str:
    """Give gsplat's way to the same picture: harmonics evaluated, then colour and channels in one call; or why not."""
    try:
        version("gsplat")
        from gsplat import rasterization, spherical_harmonics  # pyright: ignore[reportAttributeAccessIssue]
    except (PackageNotFoundError, ImportError) as error:
        return f"gsplat does not import: {error}"
    device = channels.device
    viewmats = torch.linalg.inv(camera.T_world_camera).float().to(device)[None]
    eye, Ks = camera.T_world_camera[:3, 3].float().to(device), camera.K.float().to(device)[None]

    def loss() -> Tensor:
        colours = (spherical_harmonics(3, scene.means - eye, scene.sh) + 0.5).clamp_min(0)
        activated = scene.log_scales.exp(), torch.sigmoid(scene.logit_opacities)
        features = torch.cat([colours, channels], 1)
        size = (camera.width, camera.height)
        drawn, alpha, _ = rasterization(
            scene.means, scene.quats, *activated, features, viewmats, Ks, *size, packed=False, render_mode="RGB"
        )
        return drawn.sum() + alpha.sum()

    return loss


def _questions(device: torch.device) -> dict[str, Any]:
    scene, camera, _ = scene_on(device, 2 * MANY)
    scene, g = scene.detach(), torch.Generator().manual_seed(0)
    index = torch.randint(0, ATOMS, (len(scene), LEVELS, PAIRS), generator=g, dtype=torch.int32).to(device)
    weight = torch.rand(len(scene), LEVELS, PAIRS, generator=g).to(device)
    table = torch.randn(LEVELS, ATOMS, 1, generator=g).to(device)
    rows, columns = (torch.arange(n, device=device) // SEGMENT_PX for n in (HEIGHT, WIDTH))
    segments = (rows[:, None] * (WIDTH // SEGMENT_PX + 1) + columns).to(torch.int32)
    screen = to_screen(scene, camera)
    half = to_screen(Gaussians(*(t[:MANY] for t in scene.tensors())), camera)
    codes = [(index[:, i].contiguous(), weight[:, i].contiguous()) for i in range(LEVELS)]
    work: dict[str, Callable[[], object]] = {
        "screen_1m": lambda: to_screen(scene, camera),
        "codes_query": lambda: splat_scores(screen, index, weight, table),
        "codes_64_atoms_3_levels": lambda: [splat_codes(screen, *pairs, ATOMS) for pairs in codes],
        "scatter": lambda: scatter_segments(half, segments),
    }
    with torch.no_grad():
        return interleaved(work, device)
