"""Where in a scene scores are high and which view shows it; what every question needs of the scene is made once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage

from langfield.capture.types import Camera, Frame
from langfield.query.gaussians import MIN_OPACITY, RANGE_SHARE, VOXELS
from langfield.query.relevancy import NEUTRAL
from langfield.raster.types import Gaussians
from langfield.viewer.cameras import in_camera

PRIOR = 2.0
"""A place is averaged with this much of relevancy 0.5, so that a single stray Gaussian is no find."""
LEAST_ABOVE = 0.005
"""A suggested threshold is at least this far above 0.5."""
TIE = 0.005
"""Places this close in relevancy are equally good; the one in the midst of most of its like is taken."""
AROUND = 9
"""Cells along the cube in which a place's like are counted."""
MOST_VIEWS = 48
DEPTH_CELLS = 48
"""Cells along the longer side of the coarse depth map that tells which Gaussians a view has in sight."""
MOST_IN_DEPTH = 60_000
MOST_WANTED = 3000
"""Of more Gaussians to be seen a sample stands for all."""
MOST_RANKED = 20_000


@dataclass(frozen=True)
class Place:
    """Where a level is most relevant."""

    score: float
    """Relevancy averaged over neighbouring Gaussians, 0 to 1."""
    anchor: Float[np.ndarray, " 3"]
    """World units."""


class Ground:
    """A scene as far as places in it are concerned.

    Args:
        gaussians: the field's.
        frames: its views; at most 48 of them, evenly spaced, are tried for the best one.
    """

    def __init__(self, gaussians: Gaussians, frames: Sequence[Frame]) -> None:
        self.means: Float[np.ndarray, "N 3"] = gaussians.means.detach().float().cpu().numpy()
        self._opacity = torch.sigmoid(gaussians.logit_opacities.detach()).float().cpu().numpy()
        self.solid: Bool[np.ndarray, " N"] = self._opacity >= MIN_OPACITY
        picked = np.unique(np.linspace(0, len(frames) - 1, min(MOST_VIEWS, len(frames))).round().astype(int))
        self._frames = [frames[i] for i in picked]
        self._depths: list[Float[np.ndarray, "h w"]] | None = None
        self._rows = np.flatnonzero(np.isfinite(self.means).all(axis=1) & self.solid)
        if len(self._rows):
            self._cells = self._grid()
            self._weight = self._opacity[self._rows]
            self._count = self._sum(self._weight)
            self._near = _box_sum(self._count) + PRIOR

    def at(self, gaussians: Gaussians) -> Ground:
        """Give the ground of the same Gaussians elsewhere, before the same views."""
        return Ground(gaussians, self._frames)

    def _grid(self) -> np.ndarray:
        means = self.means[self._rows]
        low, high = np.quantile(means[:: len(means) // MOST_RANKED + 1], (0.02, 0.98), axis=0)
        cell = max(float((high - low).max()) / VOXELS, 1e-9)
        index = np.clip(np.floor((means - low) / cell), -1, VOXELS).astype(np.int64) + 1
        return (index[:, 0] * (VOXELS + 2) + index[:, 1]) * (VOXELS + 2) + index[:, 2]

    def _sum(self, weights: Float[np.ndarray, " R"]) -> Float[np.ndarray, "V V V"]:
        side = VOXELS + 2
        return np.bincount(self._cells, weights=weights, minlength=side**3).reshape(side, side, side)

    def place(self, scores: Float[np.ndarray, " N"]) -> Place:
        """Find where relevancy, averaged over the cells of a grid and their neighbours, is highest.

        This is to Gaussians what LangSplat's mean filter is to pixels: one stray Gaussian must not decide.
        """
        rows = self._rows
        if len(rows) == 0:
            return Place(NEUTRAL, np.zeros(3))
        total = _box_sum(self._sum(self._weight * scores[rows])) + PRIOR * NEUTRAL
        average = np.where(self._count > 0, total / self._near, -1.0)
        tied = average >= average.max() - TIE
        best = int(np.argmax(np.where(tied, ndimage.uniform_filter(self._count * tied, AROUND, mode="constant"), -1.0)))
        here = self._cells == best
        return Place(float(average.flat[best]), np.average(self.means[rows[here]], axis=0, weights=self._weight[here]))

    def threshold(self, scores: Float[np.ndarray, " N"], peak: float) -> float:
        """Give the threshold that shows the upper three tenths of the scores' range (LangSplat's rule for pixels).

        It is above 0.5, so that nothing lights up where nothing fits better than general words do.
        """
        solid = scores[self.solid]
        low = float(np.quantile(solid[:: len(solid) // MOST_RANKED + 1], 0.01)) if len(solid) else 0.0
        return float(np.clip(low + RANGE_SHARE * (peak - low), NEUTRAL + LEAST_ABOVE, 1.0))

    def middle(self, rows: np.ndarray) -> tuple[float, float, float] | None:
        """Give the median place of some Gaussians, world units; None where there are none."""
        if len(rows) == 0:
            return None
        x, y, z = np.median(self.means[rows], axis=0)
        return float(x), float(y), float(z)

    def best_view(self, rows: np.ndarray) -> Frame | None:
        """Give the frame in which most of these Gaussians are in sight and large, or None where none has any.

        A coarse depth map of the Gaussians' centres stands for what hides what.
        """
        if len(rows) == 0 or not self._frames:
            return None
        if self._depths is None:
            solid = np.flatnonzero(self._opacity >= 0.5)
            hiding = self.means[solid[:: len(solid) // MOST_IN_DEPTH + 1]]
            self._depths = [_depth_cells(f.camera, hiding) for f in self._frames]
        wanted = self.means[rows[:: len(rows) // MOST_WANTED + 1]]
        seen = [_seen(f.camera, d, wanted) for f, d in zip(self._frames, self._depths, strict=True)]
        return self._frames[int(np.argmax(seen))] if max(seen) > 0 else None


def _box_sum(grid: Float[np.ndarray, "V V V"]) -> Float[np.ndarray, "V V V"]:
    """Add to each cell its 26 neighbours."""
    return ndimage.uniform_filter(grid, 3, mode="constant") * 27


def _depth_cells(camera: Camera, points: Float[np.ndarray, "H 3"]) -> Float[np.ndarray, "h w"]:
    """Give the least depth of the points in each coarse cell of a view, infinite where there are none."""
    nearest = np.full((DEPTH_CELLS + 1, DEPTH_CELLS + 1), np.inf)
    x, y, z = _inside(camera, points)
    side = max(camera.width, camera.height) / DEPTH_CELLS
    np.minimum.at(nearest, ((y / side).astype(int), (x / side).astype(int)), z)
    return nearest


def _seen(camera: Camera, nearest: Float[np.ndarray, "h w"], points: Float[np.ndarray, "W 3"]) -> float:
    """Sum the apparent size of the points in sight: each counts as its inverse squared depth in pixels."""
    x, y, z = _inside(camera, points)
    side = max(camera.width, camera.height) / DEPTH_CELLS
    in_sight = z <= 1.1 * nearest[(y / side).astype(int), (x / side).astype(int)]
    share_of_picture = float(camera.K[0, 0] * camera.K[1, 1]) / (camera.width * camera.height)
    return float((share_of_picture / z[in_sight] ** 2).sum())


def _inside(camera: Camera, points: Float[np.ndarray, "P 3"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, y, z = in_camera(camera, points)
    inside = (z > 0) & (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    return x[inside], y[inside], z[inside]
