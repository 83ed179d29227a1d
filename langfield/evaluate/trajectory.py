"""How far a camera's path and what was mapped from it lie from the truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from langfield.errors import FormatError


@dataclass(frozen=True)
class PathError:
    """A path against the true one."""

    ate_rmse: float
    """Root mean square distance of camera centres after the best rigid motion (no scale), world units (TUM RGB-D's
    absolute trajectory error, Sturm et al. 2012)."""
    ate_max: float
    drift: float
    """Distance of the last camera centre from its true one where the first poses are laid on each other, as a share of
    the true path's length."""
    turn_deg: float
    """Angle between the last orientation and the true one then, degrees."""
    length: float
    """Of the true path, world units."""
    frames: int


def path_error(found: Sequence[Float[np.ndarray, "4 4"]], truth: Sequence[Float[np.ndarray, "4 4"]]) -> PathError:
    """Compare two paths frame by frame.

    Args:
        found: camera to world, at least 2.
        truth: of the same frames.

    Raises:
        FormatError: they differ in length, are too short, or hold numbers that are not finite.
    """
    if len(found) != len(truth) or len(found) < 2:
        raise FormatError(f"paths of {len(found)} and {len(truth)} poses cannot be compared", None, "give 2 or more")
    F, T = np.stack([np.asarray(p, np.float64) for p in found]), np.stack([np.asarray(p, np.float64) for p in truth])
    if not (np.isfinite(F).all() and np.isfinite(T).all()):
        raise FormatError("a path holds numbers that are not finite", None)
    turn, move = rigid_fit(F[:, :3, 3], T[:, :3, 3])
    apart = np.linalg.norm(F[:, :3, 3] @ turn.T + move - T[:, :3, 3], axis=1)
    length = float(np.linalg.norm(np.diff(T[:, :3, 3], axis=0), axis=1).sum())
    last = np.linalg.inv(T[-1]) @ T[0] @ np.linalg.inv(F[0]) @ F[-1]
    cosine = float(np.clip((np.trace(last[:3, :3]) - 1) / 2, -1, 1))
    return PathError(
        float(np.sqrt((apart**2).mean())), float(apart.max()), float(np.linalg.norm(last[:3, 3])) / max(length, 1e-12),
        float(np.degrees(np.arccos(cosine))), length, len(F),
    )  # fmt: skip


def rigid_fit(
    found: Float[np.ndarray, "P 3"], truth: Float[np.ndarray, "P 3"]
) -> tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, " 3"]]:
    """Give rotation and translation that bring points nearest to others (Kabsch 1976; Horn 1987, without scale)."""
    a, b = found.mean(axis=0), truth.mean(axis=0)
    u, _, vt = np.linalg.svd((truth - b).T @ (found - a))
    mirror = np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt)) or 1.0])
    turn = u @ mirror @ vt
    return turn, b - turn @ a


def scale_fit(found: Float[np.ndarray, "P 3"], truth: Float[np.ndarray, "P 3"]) -> float:
    """Give the factor by which points grow under the similarity that brings them nearest to others (Umeyama 1991)."""
    a, b = found - found.mean(axis=0), truth - truth.mean(axis=0)
    u, size, vt = np.linalg.svd(b.T @ a)
    size[-1] *= np.sign(np.linalg.det(u @ vt)) or 1.0
    return float(size.sum() / max((a**2).sum(), 1e-12))


def depth_l1(
    drawn: Float[np.ndarray, "H W"], truth: Float[np.ndarray, "H W"], covered: Bool[np.ndarray, "H W"]
) -> float | None:
    """Give the mean absolute difference of depth, world units, where the truth is known and the map covers the pixel.

    Args:
        drawn: expected depth of the map.
        truth: 0 where unknown.
        covered: where the map is to be judged.

    Returns:
        None where no pixel can be judged.
    """
    judged = covered & (truth > 0) & np.isfinite(truth)
    return float(np.abs(drawn[judged] - truth[judged]).mean()) if judged.any() else None
