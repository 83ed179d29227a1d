"""Do backends draw the same picture and send back the same gradients? Cases, comparison and limits in one place.

A rendered picture jumps where a contribution crosses 1/255, where a pixel closes, and where two Gaussians change
places in depth. Which side a pixel near a jump falls on is rounding, so pixels are told apart by their distance to the
nearest jump, computed in double: interior pixels must agree; others may flip, rarely and as often up as down, and
no gradient is sent back from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor

from langfield.capture.types import Camera
from langfield.raster import rasterize, reference
from langfield.raster.dispatch import Backend, pinhole_of
from langfield.raster.threads import kernels_only
from langfield.raster.types import Gaussians, RasterOptions, View

CHANNEL_COUNTS = (1, 3, 16, 67)
OUTPUTS = ("alpha", "depth", "colour", "channels")
INPUTS = ("means", "quats", "log_scales", "logit_opacities", "sh", "channels", "T_world_camera")
PIXEL_TOLERANCE = 1e-4
"""Relative to the pixel, or to the output's root mean square where that is more."""
NEAR_A_JUMP = 1e-4
"""Relative distance of an alpha to its cut or cap, or of the light to its threshold, below which a pixel may flip."""
MOST_FLIPS, LEAST_COSINE, MOST_L2 = 1e-4, 0.9999, 1e-3
WORTH, LEAST_RATIO = 1e-4, 0.1
"""A row's gradient counts from this share of the largest; it is silently lost below this ratio of the other's."""


@dataclass(frozen=True)
class Case:
    """A scene to draw and the gradient to send back."""

    name: str
    gaussians: Gaussians
    camera: Camera
    channels: Tensor
    weights: dict[str, Tensor]
    """By output: the gradient of the loss by that output; zero where near a jump."""
    near_jump: Bool[Tensor, "H W"]
    """Pixels where rounding may decide."""


@dataclass(frozen=True)
class Drawn:
    """What came of a case, on the CPU."""

    outputs: dict[str, Tensor]
    """By the names in OUTPUTS."""
    gradients: dict[str, Tensor]
    """By the names in INPUTS, and means2d."""


Draw = Callable[[Case], Drawn]


def cases(seeds: Iterable[int], channel_counts: Iterable[int] = CHANNEL_COUNTS) -> Iterator[Case]:
    """Give seeded cases: 20 to 200 Gaussians from pixel-sized to screen-filling, picture sides that end in mid-tile."""
    counts = tuple(channel_counts)
    for seed in seeds:
        for many in counts:
            yield _case(seed, many)


def _case(seed: int, many: int) -> Case:
    g = torch.Generator().manual_seed(1000 * seed + many)
    ranges = ((20, 200), (20, 70), (16, 50))
    n, width, height = (int(torch.randint(*between, (1,), generator=g)) for between in ranges)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    means = normal(n, 3) * torch.tensor([1.5, 1.0, 1.2]) + torch.tensor([0, 0, 4.0])
    log_scales = 0.5 * normal(n, 3) + 0.5 * normal(n, 1) - 1.1 - 0.2 * math.log(n / 20)
    logits = 1.5 * normal(n) + 2 * normal(1) + 1 + 8 * (normal(n) > 1.5)  # some are held at the highest alpha
    scene = Gaussians(means, normal(n, 4), log_scales, logits, 0.3 * normal(n, 16, 3))
    camera = _camera(width, height, 0.1 * normal(4).double())
    channels, risky = normal(n, many), near_jump(scene, camera)
    shapes = {"alpha": (), "depth": (), "colour": (3,), "channels": (many,)}
    weights = {name: normal(height, width, *shape) for name, shape in shapes.items()}
    for weight in weights.values():
        weight[risky] = 0
    return Case(f"seed {seed}, C {many}", scene, camera, channels, weights, risky)


def _camera(width: int, height: int, shake: Tensor) -> Camera:
    K = torch.tensor([[width, 0, width / 2 + 0.7], [0, 1.1 * width, height / 2 - 0.4], [0, 0, 1]], dtype=torch.float64)
    T = torch.eye(4, dtype=torch.float64)
    T[:3, :3] = reference.rotations(torch.cat([T[:1, 0], shake[:3]])[None])[0]
    T[:3, 3] = 2 * shake[1:]
    return Camera(K, width, height, T)


def draw_with(backend: Backend, device: str = "cpu") -> Draw:
    """Give a function that draws a case with one backend on one device."""
    return draw_by(partial(rasterize, backend=backend), device)


def draw_by(rasterizer: Callable[..., View], device: str = "cpu") -> Draw:
    """Give a function that draws a case with anything that takes what `rasterize` takes."""

    def draw(case: Case) -> Drawn:
        inputs = (*case.gaussians.tensors(), case.channels)
        leaves = [t.detach().to(device).requires_grad_() for t in inputs]
        pose = case.camera.T_world_camera.clone().requires_grad_()
        posed = replace(case.camera, T_world_camera=pose)
        view = rasterizer(Gaussians(*leaves[:5]), posed, leaves[5])
        view.means2d.retain_grad()
        found = {name: getattr(view, name) for name in OUTPUTS}
        torch.autograd.backward(list(found.values()), [case.weights[name].to(device) for name in found])
        gradients = {name: leaf.grad for name, leaf in zip(INPUTS, [*leaves, pose], strict=True)}
        gradients["means2d"] = view.means2d.grad
        return Drawn(
            {name: t.detach().cpu() for name, t in found.items()},
            {name: torch.zeros(0) if t is None else t.cpu() for name, t in gradients.items()},
        )

    return draw


def agree(draw_a: Draw, draw_b: Draw, scenes: Iterable[Case]) -> dict[str, Any]:
    """Compare two backends over cases; see `agree_all` for the result."""
    return agree_all({"a": draw_a, "b": draw_b}, scenes)["a, b"]


def agree_all(draws: Mapping[str, Draw], scenes: Iterable[Case]) -> dict[str, dict[str, Any]]:
    """Compare every pair of backends over cases, drawing each case once with each.

    Returns:
        By pair "a, b": cases; pixels; near_jump (pixels that may flip); interior_off (pixels that may not and did);
        flips_up and flips_down (by alpha, or by depth where alpha is equal); lowest_cosine, highest_l2 and their
        cases; lost (rows of a gradient that one backend has and the other has not); complaints, empty when all is well.
    """
    found = {f"{a}, {b}": _nothing() for a, b in combinations(draws, 2)}
    for case in scenes:
        with kernels_only():  # many small operators: torch's own threads would only slow them down
            drawn = {name: draw(case) for name, draw in draws.items()}
        for (a, one), (b, other) in combinations(drawn.items(), 2):
            _add_pixels(found[f"{a}, {b}"], one, other, case.near_jump)
            _add_gradients(found[f"{a}, {b}"], one, other, case.name)
    for report in found.values():
        report["complaints"] = complaints(report)
    return found


def _nothing() -> dict[str, Any]:
    counts = dict.fromkeys(("cases", "pixels", "near_jump", "interior_off", "flips_up", "flips_down", "lost"), 0)
    return {**counts, "lowest_cosine": 1.0, "lowest_cosine_at": "", "highest_l2": 0.0, "highest_l2_at": ""}


def complaints(report: dict[str, Any]) -> list[str]:
    """Say what in a report lies outside the limits; nothing when all is well."""
    up, down = report["flips_up"], report["flips_down"]
    said = {
        f"{report['interior_off']} interior pixels differ": report["interior_off"] > 0,
        f"{up + down} of {report['pixels']} pixels flipped": up + down > max(1, MOST_FLIPS * report["pixels"]),
        f"{up} flips up and {down} down are not balanced": abs(up - down) > 4 * math.sqrt(up + down) + 1,
        f"cosine {report['lowest_cosine']:.6f} at {report['lowest_cosine_at']}": report["lowest_cosine"] < LEAST_COSINE,
        f"relative L2 {report['highest_l2']:.2e} at {report['highest_l2_at']}": report["highest_l2"] > MOST_L2,
        f"{report['lost']} rows of gradients lost": report["lost"] > 0,
    }
    return [text for text, bad in said.items() if bad]


def near_jump(gaussians: Gaussians, camera: Camera) -> Bool[Tensor, "H W"]:
    """Say which pixels lie so near a jump that rounding may decide, from alphas and depths in double."""
    scene = Gaussians(*(t.detach().double().cpu() for t in gaussians.tensors()))
    pinhole = pinhole_of(camera, torch.float64)
    splats = reference.project(scene, pinhole, RasterOptions(colour=False))
    order = torch.argsort(splats.depths)
    order = order[splats.radii[order].gt(0).all(1)]
    ys, xs = torch.meshgrid(*(torch.arange(size) + 0.5 for size in (pinhole.height, pinhole.width)), indexing="ij")
    dx, dy = (p[..., None].double() - splats.means2d[order, i] for i, p in enumerate((xs, ys)))
    a, b, c = splats.conics[order].unbind(-1)
    raw = splats.opacities[order] * torch.exp(-(0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy))
    on = raw >= reference.ALPHA_CUT
    after = torch.cumprod(1 - raw.clamp_max(reference.ALPHA_MAX) * on, -1)
    ahead = torch.cat([torch.ones_like(after[..., :1]), after[..., :-1]], -1)
    jumps = ((raw, reference.ALPHA_CUT), (raw, reference.ALPHA_MAX), (after, reference.STOP_BELOW))
    margin = torch.stack([(value / at - 1).abs() for value, at in jumps]).amin(0)
    z = splats.depths[order]
    swap = (on & (torch.cat([z.diff() / z[1:], z.new_ones(1)])[: len(z)] < 1e-6)).any(-1)
    return ((margin < NEAR_A_JUMP) & (ahead > 0.9 * reference.STOP_BELOW)).any(-1) | swap


def _add_pixels(report: dict[str, Any], one: Drawn, other: Drawn, risky: Tensor) -> None:
    off = torch.zeros_like(risky)
    for name in OUTPUTS:
        a, b = (d.outputs[name].double().reshape(*risky.shape, -1) for d in (one, other))
        scale = a.abs().clamp_min(float(a.square().mean().sqrt()))
        off |= ~((a - b).abs() <= PIXEL_TOLERANCE * scale).all(-1)  # what is not a number is off, too
    change = (other.outputs["alpha"] - one.outputs["alpha"]).double()
    change = torch.where(change == 0, other.outputs["depth"] - one.outputs["depth"], change)
    flips = off & risky
    report["cases"] += 1
    report["pixels"] += risky.numel()
    report["near_jump"] += int(risky.sum())
    report["interior_off"] += int((off & ~risky).sum())
    report["flips_up"] += int((flips & (change > 0)).sum())
    report["flips_down"] += int((flips & ~(change > 0)).sum())


def _add_gradients(report: dict[str, Any], one: Drawn, other: Drawn, case: str) -> None:
    for name, gradient in one.gradients.items():
        a, b = (t.double().reshape(len(t), -1) for t in (gradient, other.gradients[name]))
        where = f"{name}, {case}"
        if a.shape != b.shape or not (a.isfinite().all() and b.isfinite().all()):
            report.update(lowest_cosine=-1.0, lowest_cosine_at=where)
            continue
        size = float(a.norm())
        cosine = float(torch.cosine_similarity(a.flatten(), b.flatten(), 0)) if size or b.any() else 1.0
        l2 = float((a - b).norm()) / size if size else float(b.norm())
        if cosine < report["lowest_cosine"]:
            report.update(lowest_cosine=cosine, lowest_cosine_at=where)
        if l2 > report["highest_l2"]:
            report.update(highest_l2=l2, highest_l2_at=where)
        rows = torch.stack([a.norm(dim=1), b.norm(dim=1)])
        worth = rows.amax(0) > WORTH * rows.max()
        report["lost"] += int((worth & (rows.amin(0) < LEAST_RATIO * rows.amax(0))).sum())
