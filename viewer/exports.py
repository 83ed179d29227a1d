"""What a selection leaves for other programs: PLY, JSON with boxes, masks; and an edited scene as a run of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image

from langfield.artefacts import atomic_path, write_json
from langfield.capture.types import Capture, Frame, Points
from langfield.errors import LangfieldError
from langfield.field.at_time import at_time
from langfield.field.kept import kept_part
from langfield.field.ply import write_ply
from langfield.field.store import save_field
from langfield.progress import step
from langfield.raster import RasterOptions, rasterize
from langfield.raster.types import Gaussians
from langfield.run import MANIFEST, Run, frames_to_json
from langfield.viewer.boxes import axis_box, upright_box
from langfield.viewer.cameras import in_camera, world_up
from langfield.viewer.keep import inside
from langfield.viewer.rows import Rows, as_mask
from langfield.viewer.session import Edits
from langfield.viewer.splats import SH_C0

EXPORTS, SCENES = "exports", "scenes"
MASK_SHARE = 0.5
"""A pixel belongs to the selection where this much of it does."""
MASK_SIDE = 1080
MOST_COPIES = 999


@dataclass(frozen=True)
class Wanted:
    """What an export holds besides the PLY and the JSON."""

    name: str
    masks: bool = True
    query: str | None = None
    """The question it came from."""
    score: float | None = None
    time_s: float | None = None
    """Time of places and PLY where the scene moves; None for its first. Masks are of each view's own time."""


def plain_name(name: str) -> str:
    """Check the name of an export, which becomes a folder's.

    Raises:
        LangfieldError: it has other characters than letters, digits, spaces, dots, dashes and underscores, begins with
            a dot or dash, or is empty or long.
    """
    name = name.strip()
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9 ._-]{0,63}", name) or ".." in name or name.endswith("."):
        raise LangfieldError(
            "an export's name may have letters, digits, spaces, dots, dashes and underscores, at most 64",
            repr(name[:80]), "choose another one",
        )  # fmt: skip
    return name.replace(" ", "_")


def new_folder(run: Path, kind: str, name: str) -> Path:
    """Make an empty folder below the run; an older one of the same name is kept and a number is added.

    Raises:
        LangfieldError: the name is not plain, or a link leads out of the run.
    """
    name = plain_name(name)
    for i in range(1, MOST_COPIES):
        folder = inside(run, kind, name if i == 1 else f"{name}_{i}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise LangfieldError(f"there are {MOST_COPIES} exports of this name", name, "choose another one")


@contextmanager
def filling(folder: Path) -> Iterator[Path]:
    """Fill a new folder; where that fails or is given up it goes again: half an export is none."""
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def edited(gaussians: Gaussians, edits: Edits) -> Gaussians:
    """Give the Gaussians with tints and moves, all of them still there."""
    means, sh = gaussians.means.detach().clone(), gaussians.sh.detach().clone()
    means += torch.from_numpy(edits.offsets(len(means))).to(means)
    for rows, colour in edits.tints:
        at = torch.from_numpy(rows.copy())
        sh[at] = 0
        sh[at, 0] = ((torch.tensor(colour) / 255 - 0.5) / SH_C0).to(sh)
    return replace(gaussians.detach(), means=means, sh=sh)


def take(gaussians: Gaussians, rows: Rows) -> Gaussians:
    """Give some of the Gaussians."""
    at = torch.from_numpy(rows.copy())
    return Gaussians(*(t[at] for t in gaussians.detach().tensors()))


def export_selection(run: Run, rows: Rows, edits: Edits, wanted: Wanted) -> Path:
    """Write RUN/exports/NAME: selection.ply, selection.json and, per view that shows any of it, masks/VIEW.png.

    Raises:
        LangfieldError: nothing is selected, or the name is not plain.
        StorageError: the disk is full or read-only.
    """
    if not len(rows):
        raise LangfieldError("nothing is selected", remedy="click a thing or select what a question lit")
    gaussians = edited(at_time(run.field, wanted.time_s).gaussians, edits)
    chosen = take(gaussians, rows)

    @torch.no_grad()
    def draw(frame: Frame) -> np.ndarray | None:
        moved = at_time(run.field, frame.camera.time_s)
        there = gaussians if moved is run.field else edited(moved.gaussians, edits)
        return mask_of(there, torch.from_numpy(as_mask(rows, len(there))).to(there.means)[:, None], frame)

    with filling(new_folder(run.path, EXPORTS, wanted.name)) as folder:
        write_ply(folder / "selection.ply", chosen)
        masks = write_masks(folder / "masks", list(enumerate(run.frames)), draw) if wanted.masks else []
        about = describe(chosen, rows, (run.frames, run.field.provenance), wanted)
        write_json(folder / "selection.json", about | {"masks": masks})
    return folder


def describe(
    chosen: Gaussians, rows: Rows, scene: tuple[Sequence[Frame], Mapping[str, Any]], wanted: Wanted
) -> dict[str, Any]:
    """Give what is known of a selection as JSON data; lengths in world units.

    Args:
        chosen: the Gaussians.
        rows: theirs in the field.
        scene: its views, and where its field came from.
        wanted: what else is told of it.
    """
    frames, provenance = scene
    points = chosen.means.detach().double().cpu().numpy()
    return {
        "format": "langfield selection export", "version": 1, "name": wanted.name, "query": wanted.query,
        "score": wanted.score, "time_s": wanted.time_s, "gaussians": len(rows), "rows": rows.tolist(),
        "centroid": np.median(points, axis=0).tolist(), "box_axis_aligned": axis_box(points).tolist(),
        "box_upright": upright_box(points, world_up(frames)).data(), "up": world_up(frames).tolist(),
        "image_encoder": provenance.get("image_encoder"),
    }  # fmt: skip


def write_masks(
    folder: Path, frames: Sequence[tuple[int, Frame]], draw: Callable[[Frame], Bool[np.ndarray, "H W"] | None]
) -> list[dict[str, Any]]:
    """Write the mask of a selection in every view that shows it, as the Gaussians before it leave it in sight.

    Args:
        folder: where; made when the first mask is written.
        frames: the views and their numbers among all of the run.
        draw: gives the mask of a view, None where nothing of it is in sight.

    Returns:
        Per written mask: view, file, pixels, box x0 y0 x1 y1 (x1 and y1 exclusive).
    """
    found = []
    for done, (number, frame) in enumerate(frames):
        step(done, len(frames))
        mask = draw(frame)
        if mask is not None:
            name = f"{number:04d}_{re.sub(r'[^A-Za-z0-9._-]+', '_', frame.name).lstrip('.')[-60:]}.png"
            with atomic_path(folder / name) as temporary:
                Image.fromarray(mask.astype(np.uint8) * 255).save(temporary, format="PNG")
            ys, xs = np.nonzero(mask)
            box = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
            found.append({"view": frame.name, "file": f"masks/{name}", "pixels": int(mask.sum()), "box": box})
    return found


def mask_of(gaussians: Gaussians, chosen: torch.Tensor, frame: Frame) -> np.ndarray | None:
    """Draw the chosen ([N, 1], how much of each, 0 to 1) through a frame's camera; None where none is in sight."""
    camera = frame.camera
    rows = torch.nonzero(chosen[:, 0])[:, 0]
    x, y, z = in_camera(camera, gaussians.means[rows].detach().float().cpu().numpy())
    if not (
        (z > 0) & (x > -camera.width) & (x < 2 * camera.width) & (y > -camera.height) & (y < 2 * camera.height)
    ).any():
        return None
    view = rasterize(gaussians, camera, channels=chosen, options=RasterOptions(colour=False))
    mask = (cast(torch.Tensor, view.channels)[..., 0] > MASK_SHARE).cpu().numpy()
    return mask if mask.any() else None


def save_scene(run: Run, edits: Edits, name: str) -> Path:
    """Write the edited scene as a finished run of its own, RUN/scenes/NAME; what is hidden or deleted is left out.

    Raises:
        LangfieldError: nothing would be left, or the name is not plain.
        StorageError: the disk is full or read-only.
    """
    field, count = run.field, len(run.field.gaussians)
    gone = as_mask(edits.hidden, count) | as_mask(edits.deleted, count)
    if gone.all():
        raise LangfieldError("nothing would be left of the scene", remedy="show hidden Gaussians first")
    if edits.moves and field.deformation is not None:
        raise LangfieldError(
            "how a scene moves belongs to places, so things that were moved cannot be saved with it",
            remedy="take the moves back first, or export the selection",
        )
    about = {**field.provenance, "edited_from": run.path.name}
    changed = replace(field, gaussians=edited(field.gaussians, edits), provenance=about)
    kept = kept_part(changed, torch.from_numpy(~gone))
    empty = Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
    with filling(new_folder(run.path, SCENES, name)) as folder:
        save_field(folder, kept)
        write_ply(folder / "point_cloud.ply", at_time(kept, None).gaussians)
        write_json(folder / "capture.json", frames_to_json(Capture(run.path, run.frames, empty)))
        write_json(folder / MANIFEST, {**run.manifest, "edited_from": run.path.name})
    return folder
