"""How well a camera was followed and a scene mapped: ATE, drift, depth error (Sturm et al. 2012; KITTI's drift)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from langfield.errors import FormatError

Poses = Float[np.ndarray, "F 4 4"]


@dataclass(frozen=True)
class Similarity:
    """x -> scale * R x + t."""

    scale: float
    R: Float[np.ndarray, "3 3"]
    t: Float[np.ndarray, " 3"]

    def __call__(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P 3"]:
        """Carry points over."""
        return self.scale * points @ self.R.T + self.t


@dataclass(frozen=True)
class TrajectoryReport:
    """How far a followed camera lies from the true one."""

    frames: int
    path: float
    """Length of the true path, world units."""
    ate_rmse: float
    """Root mean square distance of the centres after alignment, world units."""
    ate_max: float
    drift_percent: float
    """Mean error of relative motion over stretches of a quarter of the path, in per cent of their length."""
    end_drift_percent: float
    """Error of the motion from the first frame to the last, in per cent of the path."""
    scale: float
    """The alignment's; 1 where it was not asked for."""


def umeyama(source: Float[np.ndarray, "P 3"], target: Float[np.ndarray, "P 3"], with_scale: bool) -> Similarity:
    """Give the motion, with or without a scale, that brings points closest to others (Umeyama 1991).

    Args:
        source: at least one point.
        target: as many.
        with_scale: whether the scale is free.

    Raises:
        FormatError: shapes differ, or something is not finite.
    """
    if source.shape != target.shape or source.ndim != 2 or source.shape[1] != 3 or len(source) == 0:
        raise FormatError("two paths to be aligned need as many points", f"{source.shape} and {target.shape}")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise FormatError("a path holds values that are not finite", "points")
    a, b = source.mean(0), target.mean(0)
    U, size, Vt = np.linalg.svd((target - b).T @ (source - a))
    sign = np.array([1.0, 1.0, np.sign(np.linalg.det(U @ Vt)) or 1.0])
    R = (U * sign) @ Vt
    spread = float(((source - a) ** 2).sum())
    scale = float(size @ sign) / spread if with_scale and spread > 0 else 1.0
    return Similarity(scale, R, b - scale * R @ a)


def trajectory_report(estimated: Poses, true: Poses, with_scale: bool = False) -> TrajectoryReport:
    """Compare a followed camera with the true one.

    Args:
        estimated: camera to world, in any world frame.
        true: of the same frames.
        with_scale: whether the estimate's unit is free, as it is from pictures without depth (Sim(3) instead of SE(3)).

    Raises:
        FormatError: there are no poses, their numbers differ, or some are not finite.
    """
    if estimated.shape != true.shape or estimated.shape[1:] != (4, 4) or len(true) == 0:
        raise FormatError("two trajectories need as many 4x4 poses", f"{estimated.shape} and {true.shape}")
    fit = umeyama(estimated[:, :3, 3], true[:, :3, 3], with_scale)
    off = np.linalg.norm(fit(estimated[:, :3, 3]) - true[:, :3, 3], axis=1)
    along = path_along(true)
    scaled = estimated.copy()
    scaled[:, :3, 3] *= fit.scale
    return TrajectoryReport(
        len(true),
        float(along[-1]),
        float(np.sqrt((off**2).mean())),
        float(off.max()),
        drift_percent(scaled, true, float(along[-1]) / 4),
        drift_percent(scaled[[0, -1]], true[[0, -1]], 0.0, float(along[-1])),
        fit.scale,
    )


def path_along(poses: Poses) -> Float[np.ndarray, " F"]:
    """Give how far the camera has come at each pose, world units."""
    steps = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def drift_percent(estimated: Poses, true: Poses, stretch: float, length: float | None = None) -> float:
    """Give the mean translation error of relative motion over stretches of the path, in per cent of their length.

    Args:
        estimated: camera to world.
        true: of the same frames.
        stretch: from each pose to the first one at least so much further along the true path, world units.
        length: divide by it instead of by the stretch's own length.

    Returns:
        0 where the path is shorter than a stretch, or the camera stands still.
    """
    along, errors = path_along(true), []
    for i in range(len(true) - 1):
        j = int(np.searchsorted(along, along[i] + max(stretch, 0.0) - 1e-12 * along[-1]))
        j = max(j, i + 1)
        if j >= len(true) or (length is None and along[j] <= along[i]):
            continue
        error = np.linalg.inv(_motion(true, i, j)) @ _motion(estimated, i, j)
        errors.append(np.linalg.norm(error[:3, 3]) / max(length or along[j] - along[i], 1e-12))
    return 100 * float(np.mean(errors)) if errors else 0.0


def _motion(poses: Poses, i: int, j: int) -> Float[np.ndarray, "4 4"]:
    return np.linalg.inv(poses[i]) @ poses[j]


def depth_l1(
    drawn: Float[np.ndarray, "H W"], true: Float[np.ndarray, "H W"], drawn_known: Bool[np.ndarray, "H W"]
) -> float:
    """Give the mean absolute difference of depths where both are known, world units; NaN where nowhere.

    Args:
        drawn: the map's depth along z.
        true: 0 where unknown.
        drawn_known: where the map has a surface.
    """
    both = drawn_known & (true > 0)
    return float(np.abs(drawn - true)[both].mean()) if both.any() else float("nan")
