"""Which views are looked at for an answer: some of all, or those in which a thing would be largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera
from langfield.errors import QueryError
from langfield.field.types import Field
from langfield.query.gaussians import Selection
from langfield.query.things import see

MOST_POINTS = 256
"""Gaussians of a thing, evenly over its rows, that say where in a view it lies."""
SPREADS = 2.0
"""A thing reaches so many standard deviations from the middle of its points to either side; evenly filled: 1.7."""


def spread_views(views: Mapping[str, Camera], most: int) -> list[str]:
    """Choose at most so many views, evenly over all.

    Raises:
        QueryError: there is none.
    """
    names = named(views)
    rows = np.unique(np.linspace(0, len(names) - 1, min(most, len(names))).round().astype(int))
    return [names[i] for i in rows]


def named(views: Mapping[str, Camera]) -> list[str]:
    """Give the names of views.

    Raises:
        QueryError: there is none.
    """
    if not views:
        raise QueryError("there is no view to look from", remedy="give the cameras of the capture")
    return list(views)


def fit_side(camera: Camera, side_px: int) -> Camera:
    """Make a camera's picture no longer than `side_px`; never larger than it was."""
    scale = min(1.0, side_px / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * scale)), max(1, round(camera.height * scale)))


@dataclass(frozen=True)
class Search:
    """How much is drawn in search of a view."""

    most: int
    """Views drawn at most."""
    side_px: int
    """Longer side at which they are."""
    enough: float = 1.0
    """The search ends at a view that shows at least this share of what any other promises."""


def most_of(field: Field, views: Mapping[str, Camera], selection: Selection, search: Search) -> str:
    """Give the view in which a selection fills most of the picture; the first of equals.

    Views are drawn in the order of what they promise (`reach`), until none that is left promises more than was seen.

    Args:
        field: the field that the rows belong to.
        views: camera per view name.
        selection: of its Gaussians.
        search: how much is drawn.

    Raises:
        QueryError: there is no view.
    """
    names = named(views)
    rows = torch.from_numpy(selection.rows[:: max(1, len(selection.rows) // MOST_POINTS)])
    promised = reach(field.gaussians.means.detach()[rows.to(field.gaussians.means.device)], list(views.values()))
    order = np.argsort(-promised, kind="stable")[: search.most]
    best, largest = names[order[0]], -1.0
    for place in order:
        if largest >= search.enough * promised[place]:
            break
        share = float(see(field, [selection], fit_side(views[names[place]], search.side_px))[0].mask.mean())
        if share > largest:
            best, largest = names[place], share
    return best


def reach(points: Float[Tensor, "S 3"], cameras: Sequence[Camera]) -> Float[np.ndarray, " V"]:
    """Give the share of each picture that the box around a thing's points in it takes, were nothing before them.

    The box lies around those points that fall into the picture, two standard deviations to either side.

    Args:
        points: of the thing, world units.
        cameras: of the views.
    """
    poses = torch.stack([c.T_world_camera.double().cpu() for c in cameras])
    lenses = torch.stack([c.K.double().cpu() for c in cameras])
    sizes = torch.tensor([[c.width, c.height] for c in cameras], dtype=torch.float64)[:, None]
    apart = points.double().cpu()[None] - poses[:, None, :3, 3]
    seen = apart @ poses[:, :3, :3] @ lenses.mT  # V S 3
    at = seen[..., :2] / seen[..., 2:].clamp_min(1e-9)
    inside = ((seen[..., 2:] > 0) & (at >= 0) & (at < sizes)).all(dim=-1, keepdim=True)
    many = inside.sum(dim=1, keepdim=True).clamp_min(1)
    middle = torch.where(inside, at, 0).sum(dim=1, keepdim=True) / many
    wide = SPREADS * (torch.where(inside, at - middle, 0).square().sum(dim=1, keepdim=True) / many).sqrt()
    low, high = (middle - wide).clamp_min(0), torch.minimum(middle + wide, sizes)
    return ((high - low).clamp_min(0) / sizes).prod(dim=-1)[:, 0].numpy()
