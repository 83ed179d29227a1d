"""One photo of the town and all that is exactly known of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tabletop_render.cameras import View

from town import flight
from town.paint import paint
from town.plan import CELL_M, Cell, Town
from town.shapes import cast, joined, rays


@dataclass(frozen=True)
class Photo:
    """A photo."""

    view: View
    picture: np.ndarray
    """uint8 [H, W, 3], sRGB."""
    ids: np.ndarray
    """uint16 [H, W], id of the thing at each pixel's centre; 0 is the ground."""
    pieces: np.ndarray
    """int32 [H, W], piece of the thing, a number that is the same for no two pieces in this photo; -1 on the ground."""
    depth: np.ndarray
    """float64 [H, W], metres along the optical axis; infinite where there is nothing."""
    names: dict[int, str]
    """Of all things around, by id."""
    piece_names: tuple[str, ...]
    """What each piece is."""


@dataclass(frozen=True)
class Survey:
    """A town and a flight over it.

    Args: see the fields.
    """

    photos: int
    """How many in all."""
    size: tuple[int, int]
    """Width and height, pixels."""
    seed: int

    def town(self) -> Town:
        """Give the town that is flown over."""
        return Town(flight.cells_across(self.photos), self.seed)

    def view(self, index: int) -> View:
        """Give the camera of a photo."""
        return flight.view(index, self.photos, self.size, self.seed)


def take(town: Town, view: View) -> Photo:
    """Take a photo."""
    cells = town.around(*footprint(view))
    shapes = joined([cell.shapes for cell in cells])
    hits = cast(shapes, view.pose, view.focal, (view.width, view.height))
    on = hits.shape >= 0
    ids = np.where(on, shapes.thing[hits.shape], 0).astype(np.uint16)
    names = {k: name for cell in cells for k, name in cell.names.items()}
    picture = paint(shapes, hits, CELL_M)
    return Photo(view, picture, ids, hits.shape.astype(np.int32), hits.depth, names, _piece_names(cells))


def _piece_names(cells: list[Cell]) -> tuple[str, ...]:
    return tuple(name for cell in cells for name in cell.pieces)


def footprint(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Give the corners [2] of the rectangle of ground that a camera above everything may see anything of."""
    directions, eye = rays(view.pose, view.focal, (view.width, view.height)), view.pose[:3, 3]
    corners = directions[[0, 0, -1, -1], [0, -1, 0, -1]]
    reach = -eye[2] / np.minimum(corners[:, 2], -0.05)
    points = np.concatenate([eye[None, :2], eye[:2] + reach[:, None] * corners[:, :2]])
    return points.min(0), points.max(0)
