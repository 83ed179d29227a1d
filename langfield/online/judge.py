"""What a map is worth where the stream itself tells the truth: the path, drawn pictures, drawn depth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.stream import Recorded, RgbdFrame, at_size
from langfield.capture.types import Camera
from langfield.evaluate.trajectory import PathError, depth_l1, path_error, scale_fit
from langfield.field.photometric import psnr
from langfield.online.path import Step
from langfield.online.session import Online
from langfield.online.surface import depth_of
from langfield.online.tracking import drawn
from langfield.raster import Gaussians

COVERED = 0.5


@dataclass(frozen=True)
class Drawn:
    """How frames look in a map."""

    psnr_db: float | None
    """Mean over frames, with exposure undone where tracking found one; None without a frame."""
    depth_l1: float | None
    """Of the drawn surface (`langfield.online.surface`), mean over frames, world units, over pixels the map covers by
    half; None without depth."""
    cover: float | None
    """Mean share of a frame that the map covers by half."""
    frames: int


def judge_path(
    steps: Sequence[Step], poses: Sequence[Float[Tensor, "4 4"]], truth: Mapping[int, Float[Tensor, "4 4"]]
) -> PathError | None:
    """Compare a path with true poses by frame number; None where fewer than two frames have one."""
    both = [(p, truth[s.index]) for s, p in zip(steps, poses, strict=True) if s.index in truth]
    if len(both) < 2:
        return None
    return path_error(*_arrays(both))


def judge_shape(
    steps: Sequence[Step], poses: Sequence[Float[Tensor, "4 4"]], truth: Mapping[int, Float[Tensor, "4 4"]]
) -> dict[str, float] | None:
    """Compare a path of unknown scale: the factor that brings it nearest, and what is wrong with it then."""
    both = [(p, truth[s.index]) for s, p in zip(steps, poses, strict=True) if s.index in truth]
    if len(both) < 3:
        return None
    found, true = _arrays(both)
    scale = scale_fit(np.stack(found)[:, :3, 3], np.stack(true)[:, :3, 3])
    grown = [np.vstack([np.column_stack([T[:3, :3], scale * T[:3, 3]]), T[3:]]) for T in found]
    return {"scale": scale, "ate_rmse": path_error(grown, true).ate_rmse}


def _arrays(both: Sequence[tuple[Tensor, Tensor]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    return [p.double().cpu().numpy() for p, _ in both], [t.double().cpu().numpy() for _, t in both]


@torch.no_grad()
def judge_map(gaussians: Gaussians, frames: Iterable[tuple[RgbdFrame, Camera, tuple[float, float]]]) -> Drawn:
    """Draw frames from where they were taken.

    Args:
        gaussians: the map.
        frames: frames at working size, their cameras in the map, and gain and offset of their exposure.
    """
    quality, depths, covers = list[float](), list[float](), list[float]()
    for frame, camera, (gain, offset) in frames:
        view = drawn(gaussians, camera)
        if view.colour is None:  # cannot be: colour is drawn by default
            raise RuntimeError("the rasterizer gave no colour")
        photo = torch.from_numpy(frame.image).float() / 255
        quality.append(psnr((gain * view.colour.cpu() + offset).clamp(0, 1), photo))
        alpha = view.alpha.cpu()
        covers.append(float((alpha > COVERED).float().mean()))
        if frame.depth_m is not None:
            surface, covered = (t.cpu().numpy() for t in depth_of(view, camera, COVERED))
            apart = depth_l1(surface, frame.depth_m, covered)
            depths += [apart] if apart is not None else []
    return Drawn(_mean(quality), _mean(depths), _mean(covers), len(quality))


def judge(online: Online, source: Recorded, most: int = 24) -> dict[str, Any]:
    """Judge a session by its stream: the path by given poses, and how some frames look that are not keyframes.

    Args:
        online: with at least one keyframe.
        source: the stream, whose frames are loaded again.
        most: frames that are drawn, evenly spread.

    Returns:
        path (None without given poses), frames, keyframes: as JSON data; of pictures alone also path_scaled.
    """
    keyframes = online.slam.keyframes
    poses, steps = online.path.poses(keyframes), online.path.steps
    given = {i: shot.T_world_camera for i, shot in enumerate(source.shots)}
    truth = {i: torch.from_numpy(T) for i, T in given.items() if T is not None}
    path, alone = judge_path(steps, poses, truth), online.settings.pictures_alone
    own = {k.frame.index for k in keyframes}
    rows = [i for i, s in enumerate(steps) if s.index not in own]
    rows = [rows[i] for i in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype(int))]
    others = (_seen(online, source[steps[i].index], poses[i], steps[i].exposure) for i in rows)
    gaussians, side = online.slam.gaussians, online.settings.side_px
    whole = ((at_size(source[k.frame.index], side) if alone else k.frame, k.camera, k.exposure) for k in keyframes)
    found = {
        "path": None if path is None else vars(path),
        "frames": vars(judge_map(gaussians, others)),
        "keyframes": vars(judge_map(gaussians, whole)),
    }
    return found | {"path_scaled": judge_shape(steps, poses, truth)} if alone else found


def _seen(
    online: Online, frame: RgbdFrame, pose: Float[Tensor, "4 4"], exposure: tuple[float, float]
) -> tuple[RgbdFrame, Camera, tuple[float, float]]:
    small = at_size(frame, online.settings.side_px)
    return small, replace(small.camera, T_world_camera=pose), exposure


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
