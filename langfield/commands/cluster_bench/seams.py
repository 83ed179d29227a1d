"""What borders between blocks cost: held-out photos near them and away from them, and answers, trained both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from langfield.adopt import adopt
from langfield.capture import read_capture
from langfield.capture.rgbd import read_depth
from langfield.capture.types import Camera, Frame
from langfield.cluster.session import ClusterSettings, Session
from langfield.commands.evaluate import evaluate_protocol, subject_of
from langfield.evaluate.protocols import PROTOCOLS
from langfield.field.blocks import BlockSettings, Cells, plan_blocks
from langfield.field.shard_write import ShardSettings, copy_beside, write_shards
from langfield.fit import training_view
from langfield.raster import rasterize
from langfield.raster.types import Gaussians
from langfield.run import Run, open_run
from langfield.settings import RunSettings
from langfield.stages import split_views

BLOCKS, STEPS, GAUSSIANS = 4, 600, 15_000
"""Of the scene; of each block."""
HOLD_OUT_EVERY = 5
NEAR_M = 1.0
"""Pixels whose surface is nearer to a border than this are near it."""
UNITS_PER_M = 1000.0
"""Of the town's depth maps."""
EACH = 4096
"""Gaussians in a shard."""
NAMED = ("lerf-ovs-2d", "lerf-ovs-3d")


def measure_seams(town: Path, root: Path) -> dict[str, Any]:
    """Train a town in blocks and whole, with as many steps and Gaussians in all, and score both.

    Args:
        town: as scenes/make_town.py writes it, with features of the text encoder and labels.
        root: folder of the runs and their cache.

    Returns:
        by way of training: quality, PSNR of held-out pixels near borders and away from them, metrics of the run and of
        its shards.
    """
    found = {}
    cells = plan_of(town)[0]
    for name, blocks in (("in blocks", BLOCKS), ("whole", 1)):
        run = open_run(trained(town, root, blocks))
        shards = root / f"shards{blocks}"
        write_shards(shards, run.field, run.path.name, ShardSettings(EACH))
        copy_beside(run.path, shards)
        found[name] = {
            "quality": run.manifest["quality"], "held out": near_and_away(run, cells, town),
            "run": scores(run, town, root / f"eval{blocks}"),
            "shards": scores(open_run(shards), town, root / f"eval{blocks}s"),
        }  # fmt: skip
    return found


def settings_of(town: Path, root: Path, blocks: int) -> RunSettings:
    """Give the settings of a run in so many blocks; all of them cost about the same."""
    base = RunSettings(hold_out_every=HOLD_OUT_EVERY, cache_dir=root / "cache")
    share = BLOCKS // blocks
    colour = replace(base.photometric, steps=share * STEPS, max_gaussians=share * GAUSSIANS)
    return replace(base, photometric=colour, language_features=town / "language_features")


def trained(town: Path, root: Path, blocks: int) -> Path:
    """Do what `langfield blocks` does, unless it is done; gives the run's folder."""
    out = root / f"out{blocks}"
    done = sorted(out.glob("*/*/*/manifest.json"))
    if done:
        return done[-1].parent
    settings = settings_of(town, root, blocks)
    session = Session(settings, ClusterSettings(workers=1))
    return adopt(session.colour(session.prepare(town), BlockSettings(blocks)), town, out, settings, session)


def plan_of(town: Path) -> tuple[Cells, Sequence[int]]:
    """Give the cells of the town and how many views each block has."""
    capture = read_capture(town)
    training = split_views(capture.frames, HOLD_OUT_EVERY)[0]
    cells, blocks = plan_blocks([f.camera for f in training], capture.points.xyz, BlockSettings(BLOCKS))
    return cells, [len(block.views) for block in blocks]


def near_border(cells: Cells, points: Float[Tensor, "P 3"], within: float) -> Bool[Tensor, " P"]:
    """Tell which points lie so near to another cell, along an axis.

    Args:
        cells: that share space out.
        points: world units.
        within: world units.
    """
    own, near = cells.owner(points), torch.zeros(len(points), dtype=torch.bool)
    for step in torch.eye(3, dtype=points.dtype) * within:
        near |= (cells.owner(points + step) != own) | (cells.owner(points - step) != own)
    return near


def surface(camera: Camera, depth: Float[np.ndarray, "H W"]) -> Float[Tensor, "P 3"]:
    """Give where each pixel's centre shows a surface, world units, row by row.

    Args:
        camera: of the picture.
        depth: along the optical axis, world units.
    """
    y, x = np.mgrid[: depth.shape[0], : depth.shape[1]] + 0.5
    pixel = torch.from_numpy(np.stack([x, y, np.ones_like(x)], -1)).reshape(-1, 3)
    pose = camera.T_world_camera.double()
    local = pixel @ camera.K.double().inverse().T * torch.from_numpy(depth.astype(np.float64)).reshape(-1, 1)
    return local @ pose[:3, :3].T + pose[:3, 3]


def near_and_away(run: Run, cells: Cells, town: Path) -> dict[str, Any]:
    """Give the PSNR of held-out photos' pixels that lie near a border, and of all others."""
    near, error = [], []
    for frame in run.frames:
        if frame.name in run.training_names:
            continue
        error.append(squared_error(run.field.gaussians, frame))
        size = (frame.camera.width, frame.camera.height)
        depth = read_depth(town / "depth" / f"{Path(frame.name).stem}.png", UNITS_PER_M, size)
        near.append(near_border(cells, surface(frame.camera, depth), NEAR_M))
    at, wrong = torch.cat(near), torch.cat(error)
    return {
        "views": len(near), "pixels_near": round(float(at.float().mean()), 4),
        "psnr_near_db": _db(wrong[at]), "psnr_away_db": _db(wrong[~at]), "psnr_db": _db(wrong),
    }  # fmt: skip


@torch.no_grad()
def squared_error(gaussians: Gaussians, frame: Frame) -> Float[Tensor, " P"]:
    """Give the mean squared error of each pixel of a photo, row by row."""
    view = training_view(frame, max(frame.camera.width, frame.camera.height))
    drawn = rasterize(gaussians, view.camera).colour
    if drawn is None:  # cannot be: colour is drawn by default
        raise RuntimeError("the rasterizer gave no colour")
    return (drawn.clamp(0, 1) - view.target()).square().mean(dim=-1).flatten()


def _db(error: Float[Tensor, " P"]) -> float:
    return round(float(-10 * error.mean().clamp_min(1e-10).log10()), 3)


def scores(run: Run, town: Path, out: Path) -> dict[str, dict[str, float]]:
    """Give the metrics of a run by protocol and what was scored."""
    subject, found = subject_of(run), {}
    for name in NAMED:
        for summary in evaluate_protocol(PROTOCOLS[name], subject, town / "label", out / name).summaries:
            metrics = {key: round(metric.value, 4) for key, metric in summary.metrics.items()}
            found[f"{name}, {summary.source}"] = {"queries": summary.queries, **metrics}
    return found
