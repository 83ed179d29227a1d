"""Asking the Gaussians themselves: relevancy of every one, and which of them make up the thing that was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor

from langfield.field.language import unit_codes
from langfield.field.types import Field
from langfield.query.image import language_of, relevancy_of_latents
from langfield.query.relevancy import Phrases
from langfield.query.similarity import Similarity
from langfield.raster.types import Gaussians

RANGE_SHARE = 0.7
"""Selected is what lies in the upper three tenths of the range, as in LangSplat's rule for pixels."""
MIN_OPACITY = 0.1
VOXELS = 64
"""Selected Gaussians are one thing while they touch on a grid of this many cells along the scene (fewer where they lie
further apart)."""


@dataclass(frozen=True)
class Selection:
    """Gaussians that make up one thing."""

    rows: Int64[np.ndarray, " S"]
    """Row numbers into the field's Gaussians, ascending."""
    box: Float[np.ndarray, "2 3"] | None
    """Lower and upper corner around nearly all of them (2 to 98 %), world units; None where there is none."""
    centroid: Float[np.ndarray, " 3"] | None = None
    """Mean of their centres, world units; None where there is none."""

    def data(self) -> dict[str, Any]:
        """Give it as JSON data: how many, where."""
        place = {"box_world": self.box, "centroid_world": self.centroid}
        return {"gaussians": len(self.rows)} | {k: None if v is None else v.tolist() for k, v in place.items()}


def gaussian_relevancy(
    field: Field, phrases: Phrases, rows: Int64[np.ndarray, " N"] | None = None
) -> Float[Tensor, "Q L N"]:
    """Give the relevancy of every Gaussian, per phrase and level; 0.5 where no view has shown it.

    Args:
        field: one with a language part.
        phrases: the question.
        rows: only of these, in this order; None for all.

    Raises:
        QueryError: the field has no language part.
    """
    codes, codec = language_of(field)
    chosen = None if rows is None else torch.from_numpy(rows)
    if codec.linear:
        return Similarity(field, rows=chosen).relevancy(phrases)
    codes = codes if chosen is None else codes[:, chosen.to(codes.device)]
    return relevancy_of_latents(unit_codes(codes.float()), codec, phrases)


def select_gaussians(
    gaussians: Gaussians, scores: Float[Tensor, " N"], anchor: Float[np.ndarray, " 3"], peak: float
) -> Selection:
    """Collect the relevant Gaussians that hang together around a point.

    Args:
        gaussians: the field's.
        scores: relevancy of each at the answer's level.
        anchor: a point on the thing, world units.
        peak: relevancy at that point; the range runs from what 1 % stay below up to it.
    """
    solid = torch.sigmoid(gaussians.logit_opacities).cpu().numpy() >= MIN_OPACITY
    values = scores.cpu().double().numpy()
    low = float(np.quantile(values[solid], 0.01)) if solid.any() else 0.0
    rows = np.flatnonzero(solid & (values >= low + RANGE_SHARE * (peak - low)))
    if peak <= low or len(rows) == 0:
        return Selection(np.zeros(0, np.int64), None)
    means = gaussians.means.detach().cpu().double().numpy()
    extent = np.quantile(means[solid], 0.95, axis=0) - np.quantile(means[solid], 0.05, axis=0)
    cell = max(float(extent.max()) / VOXELS, 1.5 * _spacing(means[rows]), 1e-12)
    rows = rows[_touching(means[rows], anchor, cell)]
    return make_selection(gaussians, rows.astype(np.int64))


def make_selection(gaussians: Gaussians, rows: Int64[np.ndarray, " S"]) -> Selection:
    """Give rows with their box and centroid."""
    if len(rows) == 0:
        return Selection(rows, None)
    means = gaussians.means.detach()[torch.from_numpy(rows)].cpu().double().numpy()
    return Selection(rows, np.quantile(means, [0.02, 0.98], axis=0), means.mean(axis=0))


def _spacing(points: Float[np.ndarray, "S 3"]) -> float:
    """Give the median distance to the fourth neighbour."""
    distances, _ = KDTree(points).query(points, k=min(5, len(points)))
    return float(np.median(distances.reshape(len(points), -1)[:, -1]))


def _touching(points: Float[np.ndarray, "S 3"], anchor: Float[np.ndarray, " 3"], cell: float) -> np.ndarray:
    """Tell which points are joined, over neighbouring cells of a grid, with the point nearest to the anchor."""
    nearest = points[np.argmin(((points - anchor) ** 2).sum(axis=1))]
    near = np.abs(points - nearest).max(axis=1) <= VOXELS * cell
    index = np.zeros(points.shape, np.int64)
    index[near] = np.floor((points[near] - nearest) / cell).astype(np.int64) + VOXELS + 1
    grid = np.zeros((2 * VOXELS + 3,) * 3, bool)
    grid[tuple(index[near].T)] = True
    labels = np.zeros(grid.shape, np.int32)
    ndimage.label(grid, structure=np.ones((3, 3, 3)), output=labels)
    home = labels[VOXELS + 1, VOXELS + 1, VOXELS + 1]
    return near & (labels[tuple(index.T)] == home)
