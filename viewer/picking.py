"""From the page's picture to Gaussians: what is under a click, in a rectangle, near a selection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import viser.transforms as vtf
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from langfield.capture.types import Camera
from langfield.field.instances import Instances
from langfield.query.gaussians import MIN_OPACITY
from langfield.raster import RasterOptions, rasterize, to_screen, top_contributors
from langfield.raster.types import Gaussians
from langfield.viewer.cameras import in_camera
from langfield.viewer.rows import EMPTY, Rows, frozen

CLICK_PX = 5
"""Side of the little picture drawn around a click."""
DEPTH_SIDE = 160
"""Longer side of the depth map that tells what a rectangle has in sight, pixels."""
LEAST_WEIGHT = 0.02
"""Where no Gaussian makes more of a pixel than this there is nothing to click on."""
SLACK = 0.03
"""What lies this much of its depth behind the surface still belongs to it."""


@dataclass(frozen=True)
class Look:
    """How a page looks at the scene."""

    position: tuple[float, float, float]
    wxyz: tuple[float, float, float, float]
    """World from camera, OpenCV axes."""
    fov_rad: float
    """Vertical."""
    width: int
    height: int

    def camera(self, longest: int | None = None) -> Camera:
        """Give it as a camera, made smaller so that its longer side has `longest` pixels."""
        scale = 1.0 if longest is None else longest / max(self.width, self.height)
        width, height = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        focal = height / (2 * np.tan(self.fov_rad / 2))
        K = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, :3] = torch.from_numpy(vtf.SO3(np.asarray(self.wxyz, dtype=np.float64)).as_matrix())
        pose[:3, 3] = torch.tensor(self.position, dtype=torch.float64)
        return Camera(K, width, height, pose)


def solid_rows(gaussians: Gaussians) -> Bool[np.ndarray, " N"]:
    """Tell which Gaussians are not nearly transparent."""
    return (torch.sigmoid(gaussians.logit_opacities.detach()) >= MIN_OPACITY).cpu().numpy()


@torch.no_grad()
def under_click(gaussians: Gaussians, look: Look, at: tuple[float, float]) -> int | None:
    """Give the Gaussian that makes most of the pixel under a click, or None where there is nothing.

    Args:
        gaussians: the field's.
        look: how the page looked.
        at: column and row of the click, 0 to 1 from the upper left.
    """
    row, weight = most_of(gaussians, around(look, at))
    return row if weight > LEAST_WEIGHT else None


def around(look: Look, at: tuple[float, float]) -> Camera:
    """Give a camera that sees only a few pixels around a click."""
    whole = look.camera()
    K = whole.K.clone()
    K[0, 2] += CLICK_PX / 2 - at[0] * whole.width
    K[1, 2] += CLICK_PX / 2 - at[1] * whole.height
    return Camera(K, CLICK_PX, CLICK_PX, whole.T_world_camera)


def most_of(gaussians: Gaussians, window: Camera) -> tuple[int, float]:
    """Give the Gaussian that makes most of the middle pixel (-1: none), and how much, 0 to 1."""
    ids, weights = top_contributors(to_screen(gaussians, window, RasterOptions(colour=False)), 1)
    middle = CLICK_PX // 2
    return int(ids[middle, middle, 0]), float(weights[middle, middle, 0])


@torch.no_grad()
def in_rectangle(gaussians: Gaussians, look: Look, corners: Float[np.ndarray, "2 2"], through: bool = False) -> Rows:
    """Give the Gaussians whose centre lies in a rectangle of the page.

    Args:
        gaussians: the field's.
        look: how the page looked.
        corners: two opposite corners, column and row each, 0 to 1.
        through: also those that something hides.
    """
    camera = look.camera(DEPTH_SIDE)
    x, y, z = in_camera(camera, gaussians.means.detach().float().cpu().numpy())
    (left, top), (right, bottom) = np.sort(corners, axis=0) * (camera.width, camera.height)
    inside = (z > 0) & (x >= left) & (x <= right) & (y >= top) & (y <= bottom) & solid_rows(gaussians)
    inside &= (x >= 0) & (x < camera.width) & (y >= 0) & (y < camera.height)
    if through or not inside.any():
        return frozen(np.flatnonzero(inside))
    view = rasterize(gaussians, camera, options=RasterOptions(colour=False))
    surface = (view.depth / view.alpha.clamp_min(1e-6)).cpu().numpy()
    rows = np.flatnonzero(inside)
    at = surface[y[rows].astype(int), x[rows].astype(int)]
    spread = gaussians.log_scales.detach().float().cpu().numpy()[rows].max(axis=1)
    return frozen(rows[z[rows] <= at * (1 + SLACK) + 2 * np.exp(np.minimum(spread, 10.0))])


def grow(means: Float[np.ndarray, "N 3"], rows: Rows, distance: float) -> Rows:
    """Add all points within a distance of the set, world units."""
    if not len(rows):
        return EMPTY
    near, _ = KDTree(means[rows]).query(means, distance_upper_bound=np.nextafter(distance, np.inf))
    return frozen(np.union1d(rows, np.flatnonzero(np.isfinite(near))))


def shrink(means: Float[np.ndarray, "N 3"], rows: Rows, distance: float) -> Rows:
    """Take away all points within a distance of the outside, world units: what growing the outside would take."""
    rest = np.setdiff1d(np.arange(len(means)), rows, assume_unique=True)
    return frozen(np.setdiff1d(rows, grow(means, frozen(rest), distance), assume_unique=True))


def usual_step(means: Float[np.ndarray, "N 3"], rows: Rows) -> float:
    """Give a distance that grows a selection by about a Gaussian: twice the usual one to the third neighbour."""
    sample = means[rows[:: max(1, len(rows) // 2000)]]
    if not len(sample) or len(means) < 4:
        return 1.0
    distances, _ = KDTree(means).query(sample, k=4)
    return float(2 * np.median(distances[:, 3]))


def instances_at(things: Instances | None, row: int) -> list[Rows]:
    """Give the things that hold a Gaussian, in the order in which clicks choose them; none where it knows no things."""
    return [] if things is None else [frozen(things.gaussians(i).numpy()) for i in things.of_gaussian(row)]


def next_of(things: list[Rows], selected: Rows) -> Rows | None:
    """Give the first thing under a click, or the next one where one of them is selected; None without any."""
    for i, rows in enumerate(things[:-1]):
        if np.array_equal(rows, selected):
            return things[i + 1]
    return things[0] if things else None
