"""Time the questions to a view on the CPU, beside the drawing they stand in for."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor

from langfield.raster.contributions import (
    gaussian_scores,
    scatter_segments,
    splat_codes,
    splat_scores,
    top_contributors,
)
from langfield.raster.measure.bench import random_scene
from langfield.raster.screen import Screen, draw, to_screen

LEVELS, PAIRS, ATOMS, PHRASES = 3, 4, 64, 5
"""A field as it is queried: three levels, four of 64 atoms a Gaussian; a question and four canonical phrases."""


def bench_contributions(n: int = 100_000, width: int = 640, height: int = 480, repeats: int = 3) -> dict[str, float]:
    """Time each question to one view, interleaved, medians.

    Returns:
        Milliseconds of each; of drawing 512 channels forward and of the backward pass that lifting through it needs;
        and ratios.

    Raises:
        EnvironmentProblem: there is no C++ compiler.
    """
    gaussians, camera = random_scene(n, width, height)
    screen = to_screen(gaussians.detach(), camera, backend="cpu")
    work = {"screen": lambda: to_screen(gaussians, camera, backend="cpu"), **_questions(screen)}
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(repeats):
        for name, ask in work.items():
            start = time.perf_counter()
            ask()
            times[name].append((time.perf_counter() - start) * 1e3)
    found = {f"{name}_ms": round(median(values), 2) for name, values in times.items()}
    lifted = found["draw_512_and_back_ms"] - found["draw_512_ms"]
    found["backward_512_to_scatter"] = round(lifted / found["scatter_3_levels_ms"], 1)
    found["draw_512_to_scores"] = round(found["draw_512_ms"] / found["scores_3_levels_5_phrases_ms"], 1)
    return found


def _questions(screen: Screen) -> dict[str, Callable[[], object]]:
    g, n = torch.Generator().manual_seed(0), len(screen)
    index = torch.randint(0, ATOMS, (n, LEVELS, PAIRS), generator=g, dtype=torch.int32)
    weight, table = torch.rand(n, LEVELS, PAIRS, generator=g), torch.randn(LEVELS, ATOMS, PHRASES, generator=g)
    segments, features = _segments(screen, g), torch.randn(n, 512, generator=g)

    def lift() -> None:
        leaf = features.requires_grad_()
        drawn = draw(screen, leaf, colour=False).channels
        drawn.backward(torch.ones_like(drawn)) if drawn is not None else None

    return {
        "draw_colour": lambda: draw(screen),
        "scatter": lambda: scatter_segments(screen, segments[0]),
        "scatter_3_levels": lambda: scatter_segments(screen, segments),
        "top_4": lambda: top_contributors(screen, 4),
        "codes_64_atoms": lambda: splat_codes(screen, index[:, 0], weight[:, 0], ATOMS),
        "draw_64": lambda: draw(screen, features.detach()[:, :ATOMS], colour=False),
        "scores_3_levels_5_phrases": lambda: splat_scores(screen, index, weight, table),
        "scores_1_phrase": lambda: splat_scores(screen, index[:, :1], weight[:, :1], table[:1, :, :1].contiguous()),
        "gaussian_scores": lambda: gaussian_scores(index, weight, table),
        "draw_512": lambda: draw(screen, features.detach(), colour=False),
        "draw_512_and_back": lift,
    }


def _segments(screen: Screen, g: torch.Generator) -> Tensor:
    """Give three maps of patches 24, 64 and 160 pixels wide, a tenth of them no segment."""
    maps = []
    for side in (24, 64, 160):
        rows, columns = -(-screen.height // side), -(-screen.width // side)
        ids = torch.arange(rows * columns).reshape(rows, columns)
        ids[torch.rand(rows, columns, generator=g) < 0.1] = -1
        whole = ids.repeat_interleave(side, 0).repeat_interleave(side, 1)
        maps.append(whole[: screen.height, : screen.width])
    return torch.stack(maps).to(torch.int32)
