"""Scenes made to hurt, and whether a backend survives them: finite pixels and gradients, or an error with a name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import LangfieldError
from langfield.raster.measure.agreement import Case, Draw
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians

BROKEN = (math.nan, math.inf, -math.inf, 0.0, -0.0, 1e-42, -1e-45)
EXTREME = (3.4e38, -3.4e38, 1e30, -1e30, 1e19, 9e9, -9e9, 1e-19, 1e-38, 88.8, -88.8, 44.0, 1 / 255, 16.0)
CROWD = 6000
"""Gaussians of a crowd, at least."""
Parts = dict[str, Tensor]
Edit = Callable[[Parts, Camera, torch.Generator], None]


def poisoned(seed: int) -> Case:
    """Give the poisoned case of a seed: 0 to 80 ordinary Gaussians with one kind of poison, every ninth with all."""
    g = torch.Generator().manual_seed(seed)
    n = (0, 1, 2, 33, 60, 80)[_below(g, 6)]
    width, height = ((40, 24), (33, 17), (16, 16), (1, 1), (64, 5))[_below(g, 5)]
    camera = _camera(width, height, (0.5, 1.0, 3.0)[_below(g, 3)])
    parts = {
        "means": torch.randn(n, 3, generator=g) * torch.tensor([1.5, 1, 1]) + torch.tensor([0, 0, 4.0]),
        "quats": torch.randn(n, 4, generator=g),
        "log_scales": torch.randn(n, 3, generator=g) * 0.7 - 1.5,
        "logit_opacities": torch.randn(n, generator=g) * 2,
        "sh": torch.randn(n, (1, 4, 9, 16)[_below(g, 4)], 3, generator=g) * 0.3,
        "channels": torch.randn(n, 3, generator=g),
    }
    kind = seed % (len(EDITS) + 1)
    if n:
        for edit in list(EDITS.values()) if kind == len(EDITS) else [list(EDITS.values())[kind]]:
            edit(parts, camera, g)
    shapes = {"alpha": (), "depth": (), "colour": (3,), "channels": (3,)}
    weights = {name: torch.randn(height, width, *shape, generator=g) for name, shape in shapes.items()}
    channels = parts.pop("channels")
    free = torch.zeros(height, width, dtype=torch.bool)
    return Case(f"poison {seed}", Gaussians(**parts), camera, channels, weights, free)


def poisoned_crowd(seed: int) -> Case:
    """Give one kind of poison among so many Gaussians and pixels that the kernels do use several threads."""
    kinds = len(EDITS) + 1
    parts = [poisoned(kinds * i + seed % kinds).gaussians for i in range(400)]
    parts = [part for part in parts if part.sh.shape[1] == 16]
    tensors = [torch.cat(t) for t in zip(*(part.tensors() for part in parts), strict=True)]
    repeat = 1 + CROWD // len(tensors[0])
    scene = Gaussians(*(t.repeat(repeat, *[1] * (t.dim() - 1)) for t in tensors))
    g = torch.Generator().manual_seed(seed)
    height, width = 110, 150
    shapes = {"alpha": (), "depth": (), "colour": (3,), "channels": (5,)}
    weights = {name: torch.randn(height, width, *shape, generator=g) for name, shape in shapes.items()}
    channels, nowhere = torch.randn(len(scene), 5, generator=g), torch.zeros(height, width, dtype=torch.bool)
    return Case(f"crowd {seed}", scene, _camera(width, height, 1.0), channels, weights, nowhere)


def survive(draw: Draw, seeds: Iterable[int]) -> dict[str, Any]:
    """Draw poisoned cases and send gradients back.

    Returns:
        cases; finite (all pixels and gradients are); named (refused with an error a person can act on); drawn_on (cases
        with light in the picture); complaints, one per case that did neither, empty when all is well.
    """
    found: dict[str, Any] = {"cases": 0, "finite": 0, "named": 0, "drawn_on": 0, "complaints": []}
    for seed in seeds:
        case = poisoned(seed)
        found["cases"] += 1
        try:
            with kernels_only():
                drawn = draw(case)
        except LangfieldError:
            found["named"] += 1
            continue
        both = {**drawn.outputs, **{f"gradient of {name}": t for name, t in drawn.gradients.items()}}
        bad = [name for name, t in both.items() if not t.isfinite().all()]
        found["finite"] += not bad
        found["drawn_on"] += bool(drawn.outputs["alpha"].any())
        found["complaints"] += [f"{case.name}: {', '.join(bad)} not finite"] if bad else []
    return found


def _below(g: torch.Generator, many: int) -> int:
    return int(torch.randint(0, many, (1,), generator=g))


def _some(g: torch.Generator, n: int) -> Tensor:
    """Give a random third of n rows, at least one."""
    return torch.randperm(n, generator=g)[: max(1, n // 3)]


def _camera(width: int, height: int, wide: float) -> Camera:
    focal = width / wide
    K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    return Camera(K, width, height, torch.eye(4, dtype=torch.float64))


def _numbers(values: tuple[float, ...], names: tuple[str, ...]) -> Edit:
    def edit(parts: Parts, camera: Camera, g: torch.Generator) -> None:  # noqa: ARG001
        for _ in range(1 + _below(g, 20)):
            victim = parts[names[_below(g, len(names))]]
            flat = victim.view(-1)
            flat[_below(g, len(flat))] = values[_below(g, len(values))]

    return edit


def _places(parts: Parts, camera: Camera, g: torch.Generator) -> None:  # noqa: ARG001
    """Put Gaussians behind the camera, into it, onto its near plane and very far away."""
    places = torch.tensor([[0, 0, -3.0], [0, 0, 0], [0, 0, 0.01], [0, 0, 0.0100001], [0.5, 0, 0.01], [0, 0, 1e-30],
                           [1e6, 0, 1], [0, 1e18, 1], [0, 0, 1e18], [1e30, -1e30, 1e30], [0, 0, 3e38]])  # fmt: skip
    rows = _some(g, len(parts["means"]))
    parts["means"][rows] = places[torch.randint(0, len(places), (len(rows),), generator=g)]


def _borders(parts: Parts, camera: Camera, g: torch.Generator) -> None:
    """Put centres exactly onto tile corners and picture edges, all at one depth, and some on top of each other."""
    rows = _some(g, len(parts["means"]))
    pixel = 16.0 * torch.randint(-1, 4, (len(rows), 2), generator=g)
    pixel[::3] = torch.tensor([camera.width, camera.height], dtype=torch.float32)
    K = camera.K.float()
    parts["means"][rows, 2] = 2.0
    parts["means"][rows, :2] = 2 * (pixel - K[:2, 2]) / K[[0, 1], [0, 1]]
    parts["log_scales"][rows[::2]] = (-6.0, 0.0, 3.0)[_below(g, 3)]


def _shapes(parts: Parts, camera: Camera, g: torch.Generator) -> None:  # noqa: ARG001
    """Make needles, discs, specks and clouds larger than the world, under quaternions of any length."""
    rows = _some(g, len(parts["means"]))
    parts["log_scales"][rows] = torch.rand(len(rows), 3, generator=g) * 140 - 90
    few = rows[: max(1, len(rows) // 2)]
    parts["log_scales"][few] = torch.rand(len(few), 3, generator=g) * 24 - 14
    lengths = torch.tensor([0, 1e-42, 1e-30, 1e-16, 1e-3, 1e3, 1e18, 1e25, 3e38])
    parts["quats"][rows] *= lengths[torch.randint(0, len(lengths), (len(rows), 1), generator=g)]


def _opacities(parts: Parts, camera: Camera, g: torch.Generator) -> None:  # noqa: ARG001
    values = torch.tensor([1e4, -1e4, 88.8, -88.8, 17.0, 6.9, -5.5373, -5.5374, 0.0, 3e38, -3e38])
    rows = _some(g, len(parts["means"]))
    parts["logit_opacities"][rows] = values[torch.randint(0, len(values), (len(rows),), generator=g)]


EDITS: dict[str, Edit] = {
    "broken": _numbers(BROKEN, ("means", "quats", "log_scales", "logit_opacities", "sh")),
    "extreme": _numbers(EXTREME, ("means", "quats", "log_scales", "logit_opacities", "sh")),
    "places": _places,
    "borders": _borders,
    "shapes": _shapes,
    "opacities": _opacities,
    "channels": _numbers((1e10, -1e10, -0.0, 1e-42), ("channels",)),
    "refused": _numbers((*BROKEN, *EXTREME), ("channels",)),
}
