"""What a selection of a field in shards leaves for other programs; views are drawn from the shards that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from langfield.artefacts import write_json
from langfield.capture.types import Frame
from langfield.errors import LangfieldError
from langfield.field.ply import write_ply
from langfield.sharded import ShardedRun
from langfield.viewer.exports import EXPORTS, Wanted, describe, filling, mask_of, new_folder, write_masks
from langfield.viewer.rows import Rows
from langfield.viewer.shard_picking import Picked

MOST_MASKS = 24
"""Views that get a mask at most: those in which the selection would be largest were nothing before it."""
DRAWN = 1_000_000
"""Gaussians that a mask is drawn from, about: far ones as stand-ins."""


def export_picked(run: ShardedRun, rows: Rows, wanted: Wanted) -> Path:
    """Write RUN/exports/NAME: selection.ply, selection.json and, of up to 24 views that show it best, masks/VIEW.png.

    Raises:
        LangfieldError: nothing is selected, or the name is not plain.
        StorageError: the disk is full or read-only.
    """
    if not len(rows):
        raise LangfieldError("nothing is selected", remedy="click a thing or select what a question found")
    chosen = run.shards.gaussians(rows)
    about = describe(chosen, rows, (run.frames, run.shards.index.provenance), wanted)
    with filling(new_folder(run.path, EXPORTS, wanted.name)) as folder:
        write_ply(folder / "selection.ply", chosen)
        masks = _masks(run, rows, folder) if wanted.masks and run.frames else {"masks": []}
        write_json(folder / "selection.json", about | masks)
    return folder


def _masks(run: ShardedRun, rows: Rows, folder: Path) -> dict[str, Any]:
    names = set(run.asker.promising(rows, MOST_MASKS))
    picked = Picked(run.shards, rows)
    frames = [(i, frame) for i, frame in enumerate(run.frames) if frame.name in names]
    masks = write_masks(folder / "masks", frames, lambda frame: mask_in(run, picked, frame))
    return {"masks": masks, "views_drawn": [frame.name for _, frame in frames], "views_of_run": len(run.frames)}


@torch.no_grad()
def mask_in(run: ShardedRun, picked: Picked, frame: Frame) -> np.ndarray | None:
    """Give the mask of a selection in a view; None where nothing of it is in sight."""
    cameras = [frame.camera]
    local = run.asker.local(cameras, DRAWN, run.asker.whole(picked.shards, cameras, DRAWN))
    share = np.concatenate([picked.share(number, level) for number, level in local.levels.items()])
    gaussians = local.field.gaussians
    return mask_of(gaussians, torch.from_numpy(share).to(gaussians.means)[:, None], frame)
