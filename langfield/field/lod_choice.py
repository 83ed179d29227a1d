"""Which shards a camera sees, and at which level of detail each, within a budget of Gaussians."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from langfield.capture.types import Camera
from langfield.field.shard_index import Shard, ShardIndex

NEAR_SHARE = 1e-3
"""A camera inside a shard's box is taken to be this share of the box away from it."""
FINE_PX = 1.0
"""Gaussians that lie closer than this on the screen need not be finer."""


@dataclass(frozen=True)
class Eye:
    """A camera as far as choosing goes."""

    position: Float[np.ndarray, " 3"]
    """World units."""
    T_camera_world: Float[np.ndarray, "3 3"]
    """Rotation from world axes to the camera's (x right, y down, z forward)."""
    slopes: tuple[float, float, float, float]
    """How far its picture reaches to the left, right, top and bottom, at a depth of one."""
    focal_px: float


def eye_of(camera: Camera) -> Eye:
    """Give a capture's camera as an eye."""
    T, K = camera.T_world_camera.detach().double().cpu().numpy(), camera.K.detach().double().cpu().numpy()
    left, top = -K[0, 2] / K[0, 0], -K[1, 2] / K[1, 1]
    right, bottom = (camera.width - K[0, 2]) / K[0, 0], (camera.height - K[1, 2]) / K[1, 1]
    return Eye(T[:3, 3], T[:3, :3].T, (left, right, top, bottom), float(K[0, 0]))


def boxes_of(index: ShardIndex) -> Float[np.ndarray, "S 2 3"]:
    """Give the boxes of all shards."""
    return np.array([(shard.low, shard.high) for shard in index.shards])


def in_sight(boxes: Float[np.ndarray, "S 2 3"], eye: Eye) -> Bool[np.ndarray, " S"]:
    """Tell which boxes may be in the picture; a box that is not lies wholly beyond one side of it."""
    picks = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    corners = boxes[:, picks, [0, 1, 2]]  # S 8 3
    x, y, z = np.moveaxis((corners - eye.position) @ eye.T_camera_world.T, -1, 0)
    left, right, top, bottom = eye.slopes
    beyond = [z <= 0, x < left * z, x > right * z, y < top * z, y > bottom * z]
    return ~np.any([side.all(axis=1) for side in beyond], axis=0)


def distances(boxes: Float[np.ndarray, "S 2 3"], point: Float[np.ndarray, " 3"]) -> Float[np.ndarray, " S"]:
    """Give how far boxes are from a point, and a little where it lies inside."""
    away = np.maximum(np.maximum(boxes[:, 0] - point, point - boxes[:, 1]), 0)
    sides = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    return np.maximum(np.linalg.norm(away, axis=1), NEAR_SHARE * sides)


def choose_levels(
    index: ShardIndex, eyes: Sequence[Eye], budget: int, fixed: frozenset[int] = frozenset()
) -> dict[int, int]:
    """Give the level of each shard that any of the eyes sees.

    All begin with their coarsest level; then the one whose Gaussians lie furthest apart on the screen becomes one
    level finer, again and again, until the budget is used up or all are fine enough.

    Args:
        index: of the shards.
        eyes: cameras.
        budget: Gaussians in all; the coarsest levels, and what is fixed, are there even beyond it.
        fixed: shards that are wanted as they are, seen or not.
    """
    boxes = boxes_of(index)
    seen = np.any([in_sight(boxes, eye) for eye in eyes], axis=0) if eyes else np.zeros(len(boxes), bool)
    near = (
        np.min([distances(boxes, eye.position) / eye.focal_px for eye in eyes], axis=0) if eyes else np.ones(len(boxes))
    )
    sides = np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    levels = {
        i: 0 if i in fixed else len(index.shards[i].levels) - 1 for i in range(len(boxes)) if seen[i] or i in fixed
    }
    used = sum(index.shards[i].levels[level].count for i, level in levels.items())
    heap = [(-apart_px(index.shards[i], level, sides[i] / near[i]), i) for i, level in levels.items() if level > 0]
    heapq.heapify(heap)
    while heap:
        apart, i = heapq.heappop(heap)
        own, level = index.shards[i].levels, levels[i]
        more = own[level - 1].count - own[level].count
        if -apart < FINE_PX:
            break
        if used + more > budget:
            continue
        used, levels[i] = used + more, level - 1
        if level > 1:
            heapq.heappush(heap, (-apart_px(index.shards[i], level - 1, sides[i] / near[i]), i))
    return levels


def apart_px(shard: Shard, level: int, across_px: float) -> float:
    """Give about how far a level's Gaussians lie apart on the screen: they mostly fill surfaces.

    Args:
        shard: which.
        level: of detail.
        across_px: the shard's size on the screen.
    """
    return across_px / max(1.0, shard.levels[level].count) ** 0.5
