"""`langfield bench raster`: the CPU rasterizer, its peers and its curves, measured in one run."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from langfield.capture.types import Camera
from langfield.commands.bench_options import RasterBench
from langfield.errors import FormatError
from langfield.field.sog import read_splats
from langfield.progress import track
from langfield.raster import Gaussians
from langfield.raster.measure import bench
from langfield.raster.measure.bench_contributions import bench_contributions
from langfield.raster.measure.bench_picture import draw_curves
from langfield.raster.measure.cameras import kept_camera

LODS = (("playbot 31 k", "3_0"), ("playbot 125 k", "2_0"), ("playbot 250 k", "1_0"), ("playbot 500 k", "0_0"))


def bench_raster(what: RasterBench, sizes: bench.Sizes | None = None) -> dict[str, Any]:
    """Measure the CPU rasterizer beside its peers, on scenes, along Gaussians and along channels.

    Args:
        what: scenes to take and how thoroughly.
        sizes: of everything; None for the command's.

    Raises:
        EnvironmentProblem: there is no C++ compiler.
        FormatError: a scene cannot be read.
    """
    sizes = sizes or (bench.QUICK if what.quick else bench.Sizes())
    small = sizes.gaussians < bench.QUICK.gaussians
    parts = {
        "peers": lambda: bench.peers(sizes),
        "scenes": lambda: [bench.time_scene(*scene, sizes.repeats) for scene in scenes(what)],
        "along_gaussians": lambda: bench.along_gaussians(sizes),
        "along_channels": lambda: bench.along_channels(sizes),
        "questions": lambda: bench_contributions(2_000 if small else 100_000, sizes.width, sizes.height, 1),
    }
    found = {name: part() for name, part in track(list(parts.items()), "bench raster")}
    if what.picture is not None:
        draw_curves(found, what.picture)
    return {**found, "table": table(found)}


def scenes(what: RasterBench) -> Iterator[tuple[str, Gaussians, Camera]]:
    """Give the scenes that were asked for, each with its name and camera."""
    if what.splats is not None:
        for name, folder in LODS:
            if (path := what.splats / "playbot" / "sog" / folder).is_dir():
                yield name, read_splats(path), kept_camera("playbot")
        if (path := what.splats / "garden_points" / "test_garden.npz").is_file():
            yield ("garden points", *garden(path))
    for path in what.ply:
        gaussians = read_splats(path)
        yield path.stem, gaussians, looking_at(gaussians)


def garden(path: Path, seed: int = 0) -> tuple[Gaussians, Camera]:
    """Give gsplat's test points with its first camera; sizes, turns and opacities are drawn with a seed.

    Raises:
        FormatError: the file is not that archive.
    """
    try:
        with np.load(path, allow_pickle=False) as data:
            means, colours = torch.from_numpy(data["means3d"]).float(), torch.from_numpy(data["colors"]).float() / 255
            viewmat, K = torch.from_numpy(data["viewmats"][0]).double(), torch.from_numpy(data["Ks"][0]).double()
            size = int(data["width"]), int(data["height"])
    except (KeyError, ValueError, OSError, EOFError) as error:
        raise FormatError(f"not gsplat's garden points: {error}", path) from error
    g, n = torch.Generator().manual_seed(seed), len(means)
    sh = ((colours - 0.5) / 0.28209479177387814)[:, None]
    scales = 0.4 * torch.randn(n, 3, generator=g) - 4.6
    gaussians = Gaussians(means, torch.randn(n, 4, generator=g), scales, torch.randn(n, generator=g), sh)
    return gaussians, Camera(K, *size, torch.linalg.inv(viewmat))


def looking_at(gaussians: Gaussians) -> Camera:
    """Give a 640x480 camera in front of the middle nine tenths of a scene, y down."""
    means = gaussians.means[gaussians.means.isfinite().all(1)].sort(dim=0).values.double()
    low, high = (means[int(part * (len(means) - 1))] for part in (0.05, 0.95))
    T = torch.eye(4, dtype=torch.float64)
    T[:3, 3] = (low + high) / 2
    T[2, 3] -= float((high - low).max()) * 1.2
    K = torch.tensor([[640, 0, 320], [0, 640, 240], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, 640, 480, T)


def table(found: dict[str, Any]) -> str:
    """Give everything that was measured as tables for people."""
    out = Console(file=io.StringIO(), width=100, highlight=False)
    peers, scene = found["peers"], found["peers"]["scene"]
    title = (
        f"{scene['gaussians']:,} Gaussians, {scene['width']}x{scene['height']}, colour, depth, alpha and "
        f"{scene['channels']} channels: {scene['pairs']:,} (Gaussian, tile) pairs; medians, ms"
    )
    rows = [*peers["rows"], *({"who": name, "forward_ms": why} for name, why in peers["missing"].items())]
    out.print(_table(title, rows))
    out.print(
        f"plain torch takes {peers['plain_torch_ratio']} times as long, the pixel loop "
        f"{peers['pixel_loop_ratio']} times; two threads are {peers['two_threads_ratio']} times as fast as one.\n"
    )
    if found["scenes"]:
        out.print(_table("Scenes, colour and depth, two threads", found["scenes"]))
    for key, unit, title in (
        ("along_gaussians", "million_pairs", "Gaussians of one size, colour and depth, two threads"),
        ("along_channels", "channel", "Channels, a quarter of the pixels, two threads"),
    ):
        out.print(_table(title, found[key]["rows"]))
        line = found[key]
        out.print(
            f"a line of {line['start_ms']} ms + {line[f'ms_per_{unit}']} ms a {unit.replace('_', ' ')}; "
            f"farthest from it: {100 * line['worst_off_the_line']:.0f} %\n"
        )
    out.print(_table("Questions to a view", [{"what": k, "value": v} for k, v in found["questions"].items()]))
    return out.file.getvalue().rstrip()  # type: ignore[attr-defined]


def _table(title: str, rows: list[dict[str, Any]]) -> Table:
    drawn = Table(title=title, title_justify="left")
    names = list(dict.fromkeys(key for row in rows for key in row))
    for name in names:
        drawn.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0].get(name), str) else "right")
    for row in rows:
        cells = (row.get(name, "") for name in names)
        drawn.add_row(*(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in cells))
    return drawn
