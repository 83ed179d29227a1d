"""Features of a place and a time from six planes: xy, xz, yz and, for every axis, axis by time.

As in HexPlane (Cao & Johnson 2301.09632) and 4D Gaussian Splatting (Wu et al. 2310.08528, Section 4.2): planes are
sampled bilinearly, the six samples are multiplied, and what several resolutions give is put side by side. All places
are asked at one time, so a time plane is first cut along its time into a line, which is then sampled as a plane is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int32
from torch import Tensor
from torch.nn.functional import grid_sample

from langfield.errors import FormatError, SettingsError

PAIRS = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
"""Axes of the planes, x y z t as 0 to 3; the first runs along a plane's columns, the second along its rows."""
SPACE, TIME = PAIRS[:3], PAIRS[3:]
SIDES = range(2, 4097)


@dataclass(frozen=True)
class PlaneSettings:
    """How finely space and time are cut; the defaults suit some tens of photos and 20,000 Gaussians on two cores."""

    grid: tuple[int, int, int] = (32, 32, 32)
    """Samples along x, y and z at the coarsest resolution (4D LangSplat: 64 each)."""
    times: int = 48
    """Samples along time, at every resolution; half as many as times of pictures (4D LangSplat: 80 to 150)."""
    resolutions: tuple[int, ...] = (1, 2)
    """Factors of `grid`; their features are put side by side."""
    width: int = 8
    """Features per resolution."""
    box_share: float = 0.98
    """Share of the start points, along each axis, that the planes' box is made to hold."""


@dataclass(frozen=True)
class HexPlane:
    """Six planes at each of M resolutions, over a box of space and a span of time."""

    cells: Float[Tensor, "C E"]
    """All samples of all planes in a row: resolution by resolution, in the order of `PAIRS`, row by row."""
    sides: Int32[Tensor, "M 4"]
    """Samples along x, y, z and time at each resolution."""
    box: Float[Tensor, "2 3"]
    """Lowest and highest corner, world units; places outside have the features of the border."""
    span_s: Float64[Tensor, " 2"]
    """First and last time, seconds; times outside have the features of the first or last."""

    @property
    def width(self) -> int:
        """Number of features of a place."""
        return len(self.sides) * len(self.cells)

    def planes(self) -> list[list[Float[Tensor, "C rows columns"]]]:
        """Give the six planes of every resolution, as views."""
        shapes = plane_shapes(self.sides)
        flat = iter(self.cells.split([rows * columns for level in shapes for rows, columns in level], dim=1))
        return [[next(flat).unflatten(1, shape) for shape in level] for level in shapes]


def plane_shapes(sides: Int32[Tensor, "M 4"]) -> list[list[tuple[int, int]]]:
    """Give rows and columns of the six planes of every resolution."""
    return [[(level[b], level[a]) for a, b in PAIRS] for level in sides.tolist()]


def start_planes(
    settings: PlaneSettings, xyz: Float[Tensor, "P 3"], span_s: tuple[float, float], generator: torch.Generator
) -> HexPlane:
    """Give planes that do not depend on time: space planes random in 0.1 to 0.5, time planes one, as in 4DGS.

    Args:
        settings: how finely.
        xyz: places the box is made to hold, world units; at least one.
        span_s: first and last time, seconds.
        generator: of the random numbers.

    Raises:
        SettingsError: a side, width or share lies outside its range, or time does not run forward.
    """
    sides = _checked_sides(settings, span_s)
    parts = []
    for level in plane_shapes(sides):
        for (_, other), (rows, columns) in zip(PAIRS, level, strict=True):
            made = torch.rand(settings.width, rows * columns, generator=generator) * 0.4 + 0.1
            parts.append(torch.ones_like(made) if other == 3 else made)
    return HexPlane(torch.cat(parts, 1), sides, box_of(xyz, settings.box_share), torch.tensor(span_s).double())


def _checked_sides(s: PlaneSettings, span_s: tuple[float, float]) -> Int32[Tensor, "M 4"]:
    sides = [[side * factor for side in s.grid] + [s.times] for factor in s.resolutions]
    right = all(n in SIDES for level in sides for n in level) and s.width > 0 and 0 < s.box_share <= 1
    if not (right and sides and len(s.grid) == 3 and span_s[0] < span_s[1]):
        raise SettingsError(
            "planes need sides of 2 to 4096 samples, at least one resolution and feature, a box_share up to 1 and a "
            "time that runs forward",
            f"{s}, time {span_s[0]} to {span_s[1]} s",
        )
    return torch.tensor(sides, dtype=torch.int32)


def box_of(xyz: Float[Tensor, "P 3"], share: float) -> Float[Tensor, "2 3"]:
    """Give the box that holds a share of places along each axis, a tenth larger; never flat."""
    out = (1 - share) / 2
    ends = torch.stack([_quantile(xyz, out), _quantile(xyz, 1 - out)])
    middle, half = ends.mean(0), ends.diff(dim=0)[0] / 2
    half = torch.maximum(half * 1.1, half.max().clamp_min(1e-3) * 0.05)
    return torch.stack([middle - half, middle + half])


def _quantile(xyz: Float[Tensor, "P 3"], share: float) -> Float[Tensor, " 3"]:
    return xyz.sort(dim=0).values[round(share * (len(xyz) - 1))]


def features(planes: HexPlane, xyz: Float[Tensor, "N 3"], time_s: float) -> Float[Tensor, "N F"]:
    """Give the features of places at a time; differentiable by cells and places.

    Args:
        planes: M resolutions of C features, F = M C.
        xyz: places, world units.
        time_s: seconds.
    """
    low, high = planes.box
    places = (2 * (xyz - low) / (high - low) - 1).clamp(-1, 1)
    along = share_of_span(planes.span_s, time_s)
    return torch.cat([_level(level, places, along) for level in planes.planes()], dim=1)


def share_of_span(span_s: Float64[Tensor, " 2"], time_s: float) -> float:
    """Give how much of a span of time has passed, 0 to 1."""
    first, last = span_s.tolist()
    return min(max((time_s - first) / (last - first), 0.0), 1.0)


def _level(level: list[Tensor], places: Float[Tensor, "N 3"], along: float) -> Float[Tensor, "N C"]:
    product = places.new_ones(())
    for (a, b), plane in zip(PAIRS, level, strict=True):
        samples = cut(plane, along) if b == 3 else plane
        at = torch.stack([places[:, a], torch.zeros_like(places[:, a]) if b == 3 else places[:, b]], dim=1)
        sampled = grid_sample(samples[None], at[None, None], align_corners=True, padding_mode="border")
        product = product * sampled[0, :, 0]
    return product.T


def cut(plane: Float[Tensor, "C T R"], along: float) -> Float[Tensor, "C 1 R"]:
    """Give the line of a time plane at a share of its span, 0 to 1."""
    at = along * (plane.shape[1] - 1)
    before = min(int(at), plane.shape[1] - 2)
    return torch.lerp(plane[:, before : before + 1], plane[:, before + 1 : before + 2], at - before)


@dataclass(frozen=True)
class Roughness:
    """What makes planes rough, each a mean over planes (4DGS, equation 9; K-Planes 2301.10241, Section 3.3)."""

    space: Float[Tensor, ""]
    """Squared differences of neighbours in space planes (total variation)."""
    time: Float[Tensor, ""]
    """Squared second differences along time in time planes (acceleration)."""
    motion: Float[Tensor, ""]
    """How far time planes are from one, where nothing moves."""


def roughness(planes: HexPlane) -> Roughness:
    """Measure planes; differentiable by the cells."""
    levels = planes.planes()
    space = [_variation(p) for level in levels for p in level[:3]]
    timed = [p for level in levels for p in level[3:]]
    time = [p.diff(n=2, dim=1).square().mean() if p.shape[1] > 2 else p.new_zeros(()) for p in timed]
    return Roughness(
        torch.stack(space).mean(), torch.stack(time).mean(), torch.stack([(p - 1).abs().mean() for p in timed]).mean()
    )


def _variation(plane: Float[Tensor, "C rows columns"]) -> Float[Tensor, ""]:
    return plane.diff(dim=1).square().mean() + plane.diff(dim=2).square().mean()


def check_planes(planes: HexPlane) -> None:
    """Refuse planes whose numbers do not belong together.

    Raises:
        FormatError: sides are out of range or do not add up to the cells, or box or span have no size.
    """
    sides = planes.sides.tolist()
    fits = all(n in SIDES for level in sides for n in level)
    if not fits or sum(level[a] * level[b] for level in sides for a, b in PAIRS) != planes.cells.shape[1]:
        raise FormatError("sides of planes do not add up to their cells", f"{sides[:4]}, {planes.cells.shape[1]} cells")
    if not bool((planes.box[0] < planes.box[1]).all()) or not float(planes.span_s[0]) < float(planes.span_s[1]):
        raise FormatError("box or span of planes has no size", f"{planes.box.tolist()}, {planes.span_s.tolist()} s")
