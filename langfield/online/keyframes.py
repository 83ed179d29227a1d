"""Which frames stay: covisibility and baseline decide, a window is worked on, and a cap holds (MonoGS, section 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import SettingsError
from langfield.online.pose import inverse

GRID = (40, 30)
"""Points of a view that are carried over into another, across and down."""
SAME = 0.1
"""Depths that differ by a larger share are not of one surface."""


@dataclass(frozen=True)
class KeyframeSettings:
    """When a frame becomes a keyframe, and how many are worked on."""

    window: int = 8
    """Keyframes whose poses are refined and that mapping mostly works on."""
    overlap: float = 0.7
    """A frame whose covisibility with the last keyframe is less becomes one."""
    baseline: float = 0.25
    """So does one that has moved further than this share of its median depth."""
    most_apart: int = 20
    """So does one this many frames after the last keyframe."""
    leave_window: float = 0.3
    """Keyframes of the window whose covisibility with the newest is less leave it."""


@dataclass(frozen=True)
class Cloud:
    """A coarse grid of what a view sees, for asking what another sees of it."""

    points: Float[Tensor, "P 3"]
    """World units, camera space, float64 on the CPU."""
    depth: Float[Tensor, "h w"]
    """The same grid's depths; 0 where unknown."""
    camera: Camera

    @property
    def median(self) -> float:
        """Median depth, world units; 0 where none is known."""
        return float(self.points[:, 2].median()) if len(self.points) else 0.0


def check(s: KeyframeSettings) -> None:
    """Check the ranges of the settings.

    Raises:
        SettingsError: one lies outside its range.
    """
    if s.window < 1 or s.most_apart < 1 or not (0 <= s.leave_window <= s.overlap <= 1) or s.baseline <= 0:
        raise SettingsError("a keyframe setting lies outside its range", s)


def cloud_of(depth: Float[Tensor, "H W"], camera: Camera) -> Cloud:
    """Give a view's grid from its depth along z, world units, 0 where unknown."""
    height, width = depth.shape
    w, h = min(GRID[0], width), min(GRID[1], height)
    u, v = _centres(width, w).long(), _centres(height, h).long()
    return cloud_of_grid(depth.detach()[v.to(depth.device)][:, u.to(depth.device)].double().cpu(), camera)


def cloud_of_grid(coarse: Float[Tensor, "h w"], camera: Camera) -> Cloud:
    """Give the same from the grid of depths itself, float64."""
    h, w = coarse.shape
    K = camera.K.double()
    x = (_centres(camera.width, w) + 0.5 - K[0, 2]) / K[0, 0]
    y = (_centres(camera.height, h) + 0.5 - K[1, 2]) / K[1, 1]
    rays = torch.stack([x.expand(h, w), y[:, None].expand(h, w), torch.ones(h, w, dtype=torch.float64)], -1)
    return Cloud((rays * coarse[..., None])[coarse > 0], coarse, camera)


def _centres(pixels: int, cells: int) -> Float[Tensor, " C"]:
    return ((torch.arange(cells, dtype=torch.float64) + 0.5) * pixels / cells).floor()


def covisibility(a: Cloud, b: Cloud) -> float:
    """Give how much two views see of the same surfaces: intersection over union of their grids, 0 to 1."""
    common = (shared(a, b) + shared(b, a)) / 2
    return common / max(2 - common, 1e-9)


def shared(a: Cloud, b: Cloud) -> float:
    """Give the share of a view's points that another view sees too: inside its picture and not hidden."""
    if len(a.points) == 0:
        return 0.0
    T = inverse(b.camera.T_world_camera.double()) @ a.camera.T_world_camera.double()
    there = a.points @ T[:3, :3].T + T[:3, 3]
    K, (h, w) = b.camera.K.double(), b.depth.shape
    z = there[:, 2].clamp_min(1e-9)
    column = ((K[0, 0] * there[:, 0] / z + K[0, 2]) * w / b.camera.width).floor()
    row = ((K[1, 1] * there[:, 1] / z + K[1, 2]) * h / b.camera.height).floor()
    inside = (there[:, 2] > 0) & (column >= 0) & (column < w) & (row >= 0) & (row < h)
    seen = b.depth[row[inside].long(), column[inside].long()]
    return float(((seen <= 0) | (z[inside] < (1 + SAME) * seen)).sum()) / len(a.points)


def wanted(last: Cloud, new: Cloud, apart: int, settings: KeyframeSettings) -> bool:
    """Say whether a frame should become a keyframe.

    Args:
        last: of the last keyframe.
        new: of the frame.
        apart: how many frames lie between them.
        settings: the thresholds.
    """
    moved = float((last.camera.T_world_camera[:3, 3].double() - new.camera.T_world_camera[:3, 3].double()).norm())
    far = moved > settings.baseline * max(new.median, 1e-9)
    return apart >= settings.most_apart or far or covisibility(last, new) < settings.overlap


def next_window(window: Sequence[int], new: int, clouds: dict[int, Cloud], settings: KeyframeSettings) -> list[int]:
    """Give the window, newest first, after a keyframe has come.

    Those that share too little with it leave; of too many, the one goes that adds least: the nearest to the others,
    weighed by how far the newest is (MonoGS, equation 8; DSO, Engel et al. 2018).
    """
    stay = [k for k in window if covisibility(clouds[k], clouds[new]) >= settings.leave_window]
    if not stay and window:
        stay = [window[0]]
    while len(stay) >= settings.window and len(stay) > 1:
        centre = {k: clouds[k].camera.T_world_camera[:3, 3].double() for k in (*stay, new)}
        movable = stay[1:] if len(stay) > 2 else stay[-1:]  # the two newest stay
        stay.remove(max(movable, key=lambda k: _crowded(k, stay, centre, new)))
    return [new, *stay][: settings.window]


def _crowded(k: int, others: Sequence[int], centre: dict[int, Tensor], new: int) -> float:
    near = sum(1 / (float((centre[k] - centre[j]).norm()) + 1e-3) for j in others if j != k)
    return float((centre[k] - centre[new]).norm()) ** 0.5 * near


def least_novel(candidates: Sequence[int], clouds: dict[int, Cloud]) -> int:
    """Give the keyframe whose view is best covered by one other: what the map would miss least.

    Args:
        candidates: keyframes that may go, at least one.
        clouds: of all kept keyframes.
    """

    def covered(k: int) -> float:
        return max((covisibility(clouds[k], clouds[j]) for j in clouds if j != k), default=0.0)

    return max(candidates, key=lambda k: (covered(k), -k))
