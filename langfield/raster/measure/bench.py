"""Time the compiled CPU rasterizer: beside its peers, along the number of Gaussians and along the channels."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import EnvironmentProblem
from langfield.raster.dispatch import Backend
from langfield.raster.measure import bench_peers
from langfield.raster.screen import rasterize, to_screen
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians, View

Draw = Callable[[Gaussians, Camera, Tensor | None], View]
TURN_S = 0.3
"""How long a contender draws before the next has its turn."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured; the defaults take about two minutes on two cores."""

    gaussians: int = 10_000
    width: int = 640
    height: int = 480
    channels: int = 16
    """Beside colour, depth and alpha."""
    repeats: int = 5
    slow_repeats: int = 2
    """Of plain torch, some seconds each."""
    slow_threads: tuple[int, ...] = (1, 2)
    """Of plain torch: with two it is slower still where its threads wait for a busy core."""
    curve_gaussians: tuple[int, ...] = (1_000, 3_000, 10_000, 30_000, 100_000, 200_000, 500_000)
    curve_channels: tuple[int, ...] = (1, 4, 16, 32, 64, 128, 256, 512)


QUICK = Sizes(
    repeats=3, slow_repeats=1, slow_threads=(1,), curve_gaussians=(1_000, 10_000, 100_000), curve_channels=(1, 16, 128)
)


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


def even_scene(n: int, width: int, height: int) -> tuple[Gaussians, Camera]:
    """Give n Gaussians of one size whatever n, so faint that no pixel fills up: cost per pair is what is left."""
    scene, camera = random_scene(n, width, height)
    same = scene.log_scales + math.log(math.sqrt(n) / math.sqrt(100_000))
    return replace(scene, log_scales=same, logit_opacities=0.3 * scene.logit_opacities - 3.5), camera


@contextmanager
def threads(many: int) -> Iterator[None]:
    """Let torch and the kernels use so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(many)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Contender:
    """One way to draw, with a number of threads, timed `repeats` times."""

    name: str
    draw: Draw
    threads: int
    repeats: int


def backend_draw(backend: Backend) -> Draw:
    """Give `rasterize` with a backend; torch's own threads spin while they wait, so the kernels get the cores alone."""

    def draw(gaussians: Gaussians, camera: Camera, channels: Tensor | None) -> View:
        with kernels_only() if backend == "cpu" else nullcontext():
            return rasterize(gaussians, camera, channels, backend=backend)

    return draw


def time_once(draw: Draw, scene: tuple[Gaussians, Camera, Tensor | None], backward: bool = True) -> tuple[float, float]:
    """Give the milliseconds of one forward and one backward pass of a sum over all that was drawn."""
    gaussians, camera, channels = scene
    leaves = Gaussians(*(t.detach().clone().requires_grad_(backward) for t in gaussians.tensors()))
    chans = None if channels is None else channels.detach().clone().requires_grad_(backward)
    start = time.perf_counter()
    view = draw(leaves, camera, chans)
    middle = time.perf_counter()
    if not backward:
        return 1e3 * (middle - start), 0.0
    drawn = [view.depth, view.alpha, view.colour, view.channels]
    ones = [torch.ones_like(t) for t in drawn if t is not None]
    before = time.perf_counter()
    torch.autograd.backward([t for t in drawn if t is not None], ones)
    return 1e3 * (middle - start), 1e3 * (time.perf_counter() - before)


def interleaved(contenders: list[Contender], scene: tuple[Gaussians, Camera, Tensor | None]) -> list[dict[str, Any]]:
    """Time contenders in turns, so that a busy machine is busy for all; medians and best times in milliseconds.

    The first drawing of a turn finds caches and memory as another contender left them, and is not counted.
    """
    times: list[list[tuple[float, float]]] = [[] for _ in contenders]
    for turn in range(max(c.repeats for c in contenders)):
        for contender, own in zip(contenders, times, strict=True):
            if turn >= contender.repeats:
                continue
            gc.collect()
            time.sleep(0.02)  # OpenMP's threads spin for a while after their work is done
            with threads(contender.threads):
                time_once(contender.draw, scene)
                own.extend(_turn(contender.draw, scene))
    rows = []
    for contender, own in zip(contenders, times, strict=True):
        forward, backward = (median(t[i] for t in own) for i in (0, 1))
        total, best = median(sum(t) for t in own), min(sum(t) for t in own)
        row = {"forward_ms": forward, "backward_ms": backward, "total_ms": total, "best_ms": best}
        rows.append({"who": contender.name, "threads": contender.threads, **{k: round(v, 2) for k, v in row.items()}})
    return rows


def _turn(draw: Draw, scene: tuple[Gaussians, Camera, Tensor | None]) -> list[tuple[float, float]]:
    """Draw until a turn is over: once at least, so that the slow are not waited for and the fast give more times."""
    end, times = time.perf_counter() + TURN_S, []
    while not times or time.perf_counter() < end:
        times.append(time_once(draw, scene))
    return times


def peers(sizes: Sizes) -> dict[str, Any]:
    """Time ours and every peer that is here on one generated scene, colour, depth, alpha and channels both ways.

    Raises:
        EnvironmentProblem: there is no C++ compiler.
    """
    gaussians, camera = random_scene(sizes.gaussians, sizes.width, sizes.height)
    channels = torch.randn(sizes.gaussians, sizes.channels, generator=torch.Generator().manual_seed(1))
    cpu, reference = backend_draw("cpu"), backend_draw("reference")
    field = [
        *(Contender("langfield", cpu, many, sizes.repeats) for many in (2, 1)),
        *(Contender("plain torch", reference, many, sizes.slow_repeats) for many in sizes.slow_threads),
    ]
    missing = {"gsplat": "measured by `langfield bench gpu`" if torch.cuda.is_available() else "needs CUDA"}
    try:
        bench_peers.library()
        field += [Contender("pixel loop", bench_peers.pixel_loop, many, sizes.repeats) for many in (2, 1)]
    except EnvironmentProblem as problem:
        missing["pixel loop"] = problem.what
    cpu(gaussians, camera, channels)  # compiled and loaded before anything is timed
    rows = interleaved(field, (gaussians, camera, channels))
    ours = {row["threads"]: row["total_ms"] for row in rows if row["who"] == "langfield"}
    found: dict[str, Any] = {"scene": _described(gaussians, camera, sizes.channels), "rows": rows, "missing": missing}
    for peer in ("plain torch", "pixel loop"):
        best = [row["total_ms"] for row in rows if row["who"] == peer]
        found[f"{peer.replace(' ', '_')}_ratio"] = round(min(best) / ours[2], 1) if best else None
    found["two_threads_ratio"] = round(ours[1] / ours[2], 2)
    return found


def pairs_of(gaussians: Gaussians, camera: Camera) -> int:
    """Give the number of (Gaussian, tile) pairs of a view."""
    tiles = to_screen(gaussians.detach(), camera, backend="cpu").tiles
    return 0 if tiles is None else len(tiles.gaussian)


def _described(gaussians: Gaussians, camera: Camera, channels: int) -> dict[str, int]:
    size = {"width": camera.width, "height": camera.height, "channels": channels}
    return {"gaussians": len(gaussians), "pairs": pairs_of(gaussians, camera), **size}


def _medians(scene: tuple[Gaussians, Camera, Tensor | None], repeats: int, backward: bool) -> tuple[float, float]:
    with threads(2):
        time_once(backend_draw("cpu"), scene, backward)
        times = [time_once(backend_draw("cpu"), scene, backward) for _ in range(repeats)]
    return round(median(t[0] for t in times), 2), round(median(t[1] for t in times), 2)


def time_scene(name: str, gaussians: Gaussians, camera: Camera, repeats: int) -> dict[str, Any]:
    """Time one scene: colour and depth, forward alone and both ways."""
    alone, _ = _medians((gaussians, camera, None), repeats, backward=False)
    forward, backward = _medians((gaussians, camera, None), max(2, repeats // 2), backward=True)
    drawn = _described(gaussians, camera, 0)
    return {"scene": name, **drawn, "forward_ms": alone, "both_ways_ms": round(forward + backward, 2)}


def along_gaussians(sizes: Sizes) -> dict[str, Any]:
    """Time more and more Gaussians of one size, and the straight line through cost against pairs."""
    rows = []
    for n in sizes.curve_gaussians:
        gaussians, camera = even_scene(n, sizes.width, sizes.height)
        forward, backward = _medians((gaussians, camera, None), max(2, sizes.repeats // 2), backward=True)
        rows.append(
            {"gaussians": n, "pairs": pairs_of(gaussians, camera), "forward_ms": forward, "backward_ms": backward}
        )
    for row in rows:
        row["ms_per_million_pairs"] = round(1e6 * (row["forward_ms"] + row["backward_ms"]) / row["pairs"], 1)
    return {"rows": rows, **_line([r["pairs"] / 1e6 for r in rows], rows, "million_pairs")}


def along_channels(sizes: Sizes) -> dict[str, Any]:
    """Time more and more channels on a picture of half the width and height, and the straight line through them."""
    gaussians, camera = random_scene(sizes.gaussians, sizes.width // 2, sizes.height // 2)
    rows = []
    for many in sizes.curve_channels:
        channels = torch.randn(len(gaussians), many, generator=torch.Generator().manual_seed(1))
        forward, backward = _medians((gaussians, camera, channels), max(2, sizes.repeats // 2), backward=True)
        each = round((forward + backward) / many, 3)
        rows.append({"channels": many, "forward_ms": forward, "backward_ms": backward, "ms_per_channel": each})
    return {"rows": rows, **_line([float(r["channels"]) for r in rows], rows, "channel")}


def _line(x: list[float], rows: list[dict[str, Any]], unit: str) -> dict[str, float]:
    """Fit total time = start + slope x with errors relative to the time, so that small sizes count as much."""
    total = torch.tensor([r["forward_ms"] + r["backward_ms"] for r in rows], dtype=torch.float64)
    basis = torch.stack([torch.ones(len(x), dtype=torch.float64), torch.tensor(x, dtype=torch.float64)], 1)
    start, slope = torch.linalg.lstsq(basis / total[:, None], torch.ones_like(total)[:, None]).solution[:, 0].tolist()
    worst = float(((basis @ torch.tensor([start, slope], dtype=torch.float64)) / total - 1).abs().max())
    return {"start_ms": round(start, 2), f"ms_per_{unit}": round(slope, 3), "worst_off_the_line": round(worst, 3)}
