"""What a keyframe costs the language map, part by part, its features given."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from langfield.capture.rgbd import RgbdFrame
from langfield.capture.types import Camera
from langfield.codec.growing import GrowingCodebook
from langfield.field.lift import look
from langfield.online.language_lift import LiftedLanguage
from langfield.online.types import Caps, Keyframe, MapChange
from langfield.raster import Gaussians
from langfield.raster.threads import kernels_only
from langfield.segment.types import Segments

WARM = 2
"""First keyframes that are not counted: kernels load, and the codebook is empty."""
GRIDS = ((10, 8), (6, 4), (3, 2))
"""Columns and rows of segments that made keyframes have, level by level."""


@dataclass(frozen=True)
class Shown:
    """A keyframe and its features."""

    keyframe: Keyframe
    segments: Segments
    vectors: Float[Tensor, "M D"]


@dataclass(frozen=True)
class Spent:
    """Milliseconds on the clock and of processor time, all threads together."""

    wall_ms: float
    cpu_ms: float


def measure_updates(gaussians: Gaussians, shows: Sequence[Shown], caps: Caps | None = None) -> dict[str, Any]:
    """Feed keyframes to a language map one by one, asking it after each, and give what that cost.

    Args:
        gaussians: the map, which stays as it is.
        shows: three at least.
        caps: of the language map.

    Returns:
        Medians over keyframes as JSON data: `update` is `add` and `solve` together (the map is up to date after it);
        `look` and `codebook` are the parts of `add` done once more alone, and `things` comes on top where things are
        asked for. Then `gaussians`, `keyframes`, `atoms`, `segments` and `bytes_per_keyframe`.
    """
    language = LiftedLanguage(caps=caps)
    twin = GrowingCodebook(language.book.most, language.book.terms, language.book.explained)
    language.reindex(MapChange(torch.zeros(0, dtype=torch.int64), len(gaussians)))
    rows = [_one(language, twin, gaussians, show) for show in shows][WARM:]
    spent = {
        name: Spent(*(median(getattr(r[name], f) for r in rows) for f in ("wall_ms", "cpu_ms"))) for name in rows[0]
    }
    return {
        **{name: {"wall_ms": one.wall_ms, "cpu_ms": one.cpu_ms} for name, one in spent.items()},
        "gaussians": len(gaussians), "keyframes": len(language.held), "atoms": language.book.count,
        "segments": median(len(s.vectors) for s in shows),
        "bytes_per_keyframe": language.bytes // max(1, len(language.held)),
    }  # fmt: skip


def _one(language: LiftedLanguage, twin: GrowingCodebook, gaussians: Gaussians, show: Shown) -> dict[str, Spent]:
    keyframe, ids = show.keyframe, torch.from_numpy(show.segments.ids)
    with kernels_only():
        looked = _timed(lambda: look(gaussians, keyframe.camera.resized(ids.shape[2], ids.shape[1]), ids, keyframe.id))
        learnt = _timed(lambda: twin.take_in(show.vectors))
    added = _timed(lambda: language.add(keyframe, gaussians, show.segments, show.vectors))
    solved, things = _timed(language.solve), _timed(lambda: language.parts(len(gaussians)))
    update = Spent(added.wall_ms + solved.wall_ms, added.cpu_ms + solved.cpu_ms)
    return {"update": update, "add": added, "look": looked, "codebook": learnt, "solve": solved, "things": things}


def _timed(work: Callable[[], object]) -> Spent:
    wall, cpu = time.perf_counter(), _cpu_s()
    work()
    return Spent(1e3 * (time.perf_counter() - wall), 1e3 * (_cpu_s() - cpu))


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def made_updates(n: int = 50_000, many: int = 10, size: tuple[int, int] = (320, 240)) -> tuple[Gaussians, list[Shown]]:
    """Make a wall of Gaussians around a turning camera, and keyframes with segments at three levels.

    Args:
        n: Gaussians.
        many: keyframes, 3 degrees apart.
        size: width and height of their pictures, pixels.
    """
    g = torch.Generator().manual_seed(0)
    angle, height = (torch.rand(n, generator=g) - 0.5) * 1.6, (torch.rand(n, generator=g) - 0.5) * 2.4
    radius = 2.5 + 0.3 * torch.sin(9 * angle) + 0.01 * torch.randn(n, generator=g)
    means = torch.stack([radius * angle.sin(), height, radius * angle.cos()], dim=1)
    spacing = math.sqrt(1.6 * 2.5 * 2.4 / n)
    scales = math.log(spacing) + 0.3 * torch.randn(n, 3, generator=g)
    quats = normalize(torch.randn(n, 4, generator=g), dim=1)
    wall = Gaussians(means, quats, scales, torch.randn(n, generator=g) + 1.0, torch.zeros(n, 1, 3))
    base = torch.randn(60, 512, generator=g)
    return wall, [_shown(number, size, base, g) for number in range(many)]


def _shown(number: int, size: tuple[int, int], base: Float[Tensor, "C 512"], g: torch.Generator) -> Shown:
    width, height = size
    turn = math.radians(3.0 * number) - 0.2
    T = torch.eye(4, dtype=torch.float64)
    T[0, 0] = T[2, 2] = math.cos(turn)
    T[0, 2], T[2, 0] = math.sin(turn), -math.sin(turn)
    K = torch.tensor([[0.82 * width, 0, width / 2], [0, 0.82 * width, height / 2], [0, 0, 1]], dtype=torch.float64)
    camera = Camera(K, width, height, T)
    x, y, first, maps = np.arange(width), np.arange(height), 0, []
    for columns, rows in GRIDS:
        maps.append(first + (y[:, None] * rows // height) * columns + x[None] * columns // width)
        first += columns * rows
    segments = Segments(
        np.stack(maps).astype(np.int16), np.zeros((first, 4), np.int32), np.zeros(first, np.int16), np.ones(first, "f4")
    )
    kinds = torch.randint(len(base), (first,), generator=g)
    vectors = normalize(base[kinds] + 0.4 * torch.randn(first, 512, generator=g) + 2.0, dim=1)
    frame = RgbdFrame(number, 0.1 * number, np.zeros((height, width, 3), np.uint8), None, camera, True, f"{number}.png")
    return Shown(Keyframe(number, frame, camera), segments, vectors)
