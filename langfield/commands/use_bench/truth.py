"""What labels say of a field's things: how far each thing covers each label in each view, and what that makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64

from langfield.capture.types import Camera
from langfield.evaluate.labels import Query, draw_mask, read_labels
from langfield.field.types import Field
from langfield.progress import track
from langfield.query.image import innermost
from langfield.query.things import LEAST_PX, things_of
from langfield.query.views import fit_side
from langfield.raster import RasterOptions, splat_channels, to_screen
from langfield.scene import Scene

SIDE_PX = 320
AT_ONCE = 48
IS, INSIDE, TOUCHES = 0.5, 0.8, 0.1
NO_NAME, UNCLEAR = -1, -2


@dataclass(frozen=True)
class Look:
    """One labelled view: what its things look like, and its labels."""

    frame: str
    masks: Bool[np.ndarray, "I H W"]
    """Pixels that each thing makes, at a longer side of 320."""
    names: tuple[int, ...]
    """Number of each label's name."""
    truth: Bool[np.ndarray, "Q H W"]

    @property
    def seen(self) -> Bool[np.ndarray, " I"]:
        """Which things the view shows."""
        return self.masks.sum(axis=(1, 2)) >= LEAST_PX / 4

    def ious(self) -> Float[np.ndarray, "Q I"]:
        """Give the overlap of every label with every thing."""
        things, labels = (part.reshape(len(part), -1).astype(np.float32) for part in (self.masks, self.truth))
        both = labels @ things.T
        return both / np.maximum(labels.sum(1)[:, None] + things.sum(1)[None] - both, 1.0)

    def inside(self) -> Float[np.ndarray, "Q I"]:
        """Give the share of every thing that lies inside every label."""
        things, labels = (part.reshape(len(part), -1).astype(np.float32) for part in (self.masks, self.truth))
        return labels @ things.T / np.maximum(things.sum(1)[None], 1.0)

    def hits(self, query: int, thing: int) -> bool:
        """Tell whether the inner point of a thing lies in a label's box."""
        y, x = innermost(self.masks[thing])
        rows, columns = np.nonzero(self.truth[query])
        return bool(len(rows)) and rows.min() <= y <= rows.max() and columns.min() <= x <= columns.max()


@dataclass(frozen=True)
class Truth:
    """What is known of a run's things."""

    names: tuple[str, ...]
    looks: tuple[Look, ...]
    owner: Int64[np.ndarray, " I"]
    """Name of each thing: the label it covers (IoU above 0.5 over the views that show both); NO_NAME for things that
    touch no label; UNCLEAR for the others."""
    parts: Int64[np.ndarray, " I"]
    """The same with parts: what lies inside a label for more than 0.8 has its name."""
    reach: float
    """Mean over labels of the best IoU that any thing reaches."""


def truth_of(scene: Scene, labels: Path) -> Truth:
    """Draw every thing in every labelled view and compare it with the labels.

    Raises:
        FormatError: labels that cannot be read.
    """
    queries = read_labels(labels, scene.run.frames).queries
    names = tuple(sorted({q.text for q in queries}))
    frames = sorted({q.frame for q in queries})
    looks = [_look(scene, name, [q for q in queries if q.frame == name], names) for name in track(frames, "labels")]
    count = len(things_of(scene.run.field))
    owner, parts = owners(looks, len(names), count)
    reach = float(np.mean([iou for look in looks for iou in look.ious().max(axis=1)]))
    return Truth(names, tuple(looks), owner, parts, reach)


def _look(scene: Scene, frame: str, queries: list[Query], names: tuple[str, ...]) -> Look:
    full = scene.views[frame]
    camera = fit_side(full, SIDE_PX)
    scale = camera.width / full.width
    truth = [draw_mask([p * scale for p in q.polygons], camera.height, camera.width) for q in queries]
    masks = footprints(scene.run.field, camera)
    return Look(frame, masks, tuple(names.index(q.text) for q in queries), np.stack(truth))


@torch.no_grad()
def footprints(field: Field, camera: Camera) -> Bool[np.ndarray, "I H W"]:
    """Give the pixels that each thing's Gaussians make more than half of, what hides them taken into account."""
    things, screen = things_of(field), to_screen(field.gaussians, camera, RasterOptions(colour=False))
    parts = []
    for start in range(0, len(things), AT_ONCE):
        many = min(AT_ONCE, len(things) - start)
        chosen = torch.zeros(len(field.gaussians), many + 1)
        chosen[:, -1] = 1.0
        for column in range(many):
            chosen[things.gaussians(start + column).long(), column] = 1.0
        drawn = splat_channels(screen, chosen.to(field.gaussians.means)).cpu()
        parts.append((drawn[..., :-1] > 0.5 * drawn[..., -1:].clamp_min(0.5)).movedim(-1, 0).numpy())
    return np.concatenate(parts)


def owners(looks: list[Look], names: int, things: int) -> tuple[Int64[np.ndarray, " I"], Int64[np.ndarray, " I"]]:
    """Say what each thing is by the labels, and with parts."""
    total, within, count = (np.zeros((names, things)) for _ in range(3))
    near = np.zeros(things)
    for look in looks:
        ious, inside = look.ious(), look.inside()
        for row, name in enumerate(look.names):
            total[name, look.seen] += ious[row, look.seen]
            within[name, look.seen] += inside[row, look.seen]
            count[name, look.seen] += 1
        near = np.maximum(near, np.where(look.seen, np.maximum(ious, inside).max(axis=0, initial=0.0), 0.0))
    seen, many = count.sum(axis=0) > 0, np.maximum(count, 1)
    whole, part = total / many, within / many
    found = np.full(things, UNCLEAR)
    found[seen & (near < TOUCHES)] = NO_NAME
    found = np.where(whole.max(axis=0) >= IS, whole.argmax(axis=0), found)
    inside = seen & (found < 0) & (part.max(axis=0) > INSIDE)
    return found, np.where(inside, part.argmax(axis=0), found)
