"""Points of the room (`tests.online.room`) as structure from motion might leave them: on surfaces, a little off."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from langfield.capture.stream import RgbdFrame
from tests.online.room import frame, loop_pose


def points_of(frame: RgbdFrame, pick: np.ndarray) -> np.ndarray:
    """Give the places [P, 3] that picked pixels (row * width + column) of a frame show."""
    assert frame.depth_m is not None
    row, column = np.divmod(pick, frame.depth_m.shape[1])
    K, T = frame.camera.K.numpy(), frame.camera.T_world_camera.double().numpy()
    rays = np.stack([(column + 0.5 - K[0, 2]) / K[0, 0], (row + 0.5 - K[1, 2]) / K[1, 1], np.ones(len(pick))], 1)
    return (rays * frame.depth_m[row, column, None]) @ T[:3, :3].T + T[:3, 3]


def cloud(each: int = 400, views: int = 9, noise_m: float = 0.003, seed: int = 0) -> np.ndarray:
    """Give points that views all round the room see."""
    rng = np.random.default_rng(seed)
    seen = [frame(i, loop_pose(i / views), 64, 48, 1) for i in range(views)]
    points = [points_of(one, rng.choice(64 * 48, each, replace=False)) for one in seen]
    out = np.concatenate(points)
    return out + rng.normal(0, noise_m, out.shape)


def write_ply(path: Path, points: np.ndarray) -> Path:
    """Write points as an ascii PLY."""
    head = ["ply", "format ascii 1.0", f"element vertex {len(points)}", *(f"property double {c}" for c in "xyz")]
    rows = [" ".join(f"{v:.9g}" for v in p) for p in points]
    path.write_text("\n".join([*head, "end_header", *rows, ""]))
    return path
