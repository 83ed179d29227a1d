"""The committed walk agrees with itself: poses, depth, masks, labels, size; it is smooth and ends where it began."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

ROOT = Path(__file__).parents[2] / "scenes" / "loop"
CAMERA = json.loads((ROOT / "camera.json").read_text())
NAMES = {int(k): v for k, v in json.loads((ROOT / "names.json").read_text()).items()}
W, H = CAMERA["width"], CAMERA["height"]
LABELS = sorted((ROOT / "label").glob("*.json"))


@cache
def walk() -> tuple[np.ndarray, np.ndarray]:
    """Times [F] and camera to world [F, 4, 4], OpenCV axes."""
    table = np.loadtxt(ROOT / "groundtruth.txt")
    T = np.tile(np.eye(4), (len(table), 1, 1))
    T[:, :3, :3], T[:, :3, 3] = Rotation.from_quat(table[:, 4:]).as_matrix(), table[:, 1:4]
    return table[:, 0], T


def depth(i: int) -> np.ndarray:
    return np.asarray(Image.open(ROOT / f"depth/{i:04d}.png")).astype(float) / CAMERA["depth_scale"]


def instance(i: int) -> np.ndarray:
    return np.asarray(Image.open(ROOT / f"masks/{i:04d}.png"))


def picture(i: int) -> np.ndarray:
    return np.asarray(Image.open(ROOT / f"rgb/{i:04d}.jpg")).astype(float)


def carried(i: int, j: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels [H W, 2] of frame j where frame i's pixels are seen, their depth there, and which lie inside."""
    T = np.linalg.inv(walk()[1][j]) @ walk()[1][i]
    rows, columns = np.mgrid[:H, :W] + 0.5
    f, cx, cy = CAMERA["fx"], CAMERA["cx"], CAMERA["cy"]
    local = np.stack([(columns - cx) / f, (rows - cy) / f, np.ones_like(rows)], -1) * depth(i)[..., None]
    local = local.reshape(-1, 3) @ T[:3, :3].T + T[:3, 3]
    at = f * local[:, :2] / local[:, 2:] + [cx, cy]
    inside = (local[:, 2] > 0) & (at >= 1).all(1) & (at[:, 0] < W - 1) & (at[:, 1] < H - 1)
    return at, local[:, 2], inside


def test_size_in_git_and_number_of_frames():
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) <= 22 * 2**20
    assert len(walk()[0]) >= 300
    for folder in ("rgb", "depth", "masks"):
        assert len(list((ROOT / folder).iterdir())) == len(walk()[0])
    assert CAMERA["depth_scale"] >= 2500  # rounding is at most 0.2 mm


def test_the_walk_is_smooth_long_and_closed():
    times, T = walk()
    steps = np.linalg.norm(np.diff(T[:, :3, 3], axis=0, append=T[:1, :3, 3]), axis=1)
    turns = Rotation.from_matrix(np.linalg.inv(T[:, :3, :3]) @ np.roll(T[:, :3, :3], -1, 0)).magnitude()
    assert np.allclose(np.diff(times), 1 / 30, atol=2e-6)
    assert steps.sum() > 4
    assert steps.max() * 30 < 0.6
    assert np.degrees(turns.max()) * 30 < 60
    assert np.linalg.norm(np.diff(T[:, :3, 3], 2, axis=0), axis=1).max() * 900 < 1.5  # m / s^2
    np.testing.assert_allclose(np.linalg.det(T[:, :3, :3]), 1, atol=1e-8)


def test_nothing_is_in_view_all_the_time_and_everything_is_often():
    seen: Counter[int] = Counter()
    for i in range(0, len(walk()[0]), 5):
        ids, counts = np.unique(instance(i), return_counts=True)
        assert set(ids.tolist()) <= {0, *NAMES}
        seen.update(int(k) for k, n in zip(ids, counts, strict=True) if n >= 150)
    frames = len(range(0, len(walk()[0]), 5))
    assert len(NAMES) >= 12
    assert len(set(NAMES.values())) == len(NAMES)
    assert all(4 <= seen[k] <= frames / 2 for k in NAMES), {NAMES[k]: seen[k] for k in NAMES}


@pytest.mark.parametrize(("i", "j"), [(0, 1), (0, 359), (100, 110), (203, 190)])
def test_depth_masks_and_colours_agree_between_frames(i: int, j: int):
    at, z, inside = carried(i, j)
    pixel = np.floor(at[inside]).astype(int)
    there = depth(j)[pixel[:, 1], pixel[:, 0]]
    same = np.abs(z[inside] - there) < 0.01
    assert (z[inside] < there - 0.03).mean() < 0.02  # in front of what the other frame shows: seen through
    assert same.mean() > 0.85
    ids = instance(i).ravel()[inside][same]
    assert (instance(j)[pixel[:, 1], pixel[:, 0]][same] == ids).mean() > 0.98
    where = at.astype(np.float32).reshape(H, W, 2) - 0.5
    carried_over = cv2.remap(picture(j), where[..., 0], where[..., 1], cv2.INTER_LINEAR)
    off = np.abs(carried_over - picture(i)).mean(2).ravel()[inside][same]
    assert np.median(off) < 4  # matt surfaces: the same colour from everywhere
    assert (off < 20).mean() > 0.95


def test_depth_is_known_everywhere_and_exact_on_the_floor():
    for i in range(0, len(walk()[0]), 45):
        z, T = depth(i), walk()[1][i]
        assert z.min() > 0.3
        rows, columns = np.mgrid[:H, :W] + 0.5
        f = CAMERA["fx"]
        rays = np.stack([(columns - CAMERA["cx"]) / f, (rows - CAMERA["cy"]) / f, np.ones_like(rows)], -1)
        up = (rays @ T[:3, :3].T)[..., 2]
        height = up * z + T[2, 3]
        floor = np.abs(height + 0.74) < 0.004
        if floor.sum() > 1000:
            assert np.quantile(np.abs(height[floor] + 0.74), 0.9) < 1.1e-4  # rounding; the rest are feet and boards


def test_pictures_are_lit_and_sharp():
    for i in range(0, len(walk()[0]), 30):
        grey = picture(i).mean(2)
        assert picture(i).shape == (H, W, 3)
        assert 40 < grey.mean() < 200
        assert grey.std() > 15


@pytest.mark.parametrize("path", LABELS, ids=lambda p: p.stem)
def test_labels_agree_with_masks(path: Path):
    data = json.loads(path.read_text())
    ids = instance(int(path.stem))
    assert data["info"]["name"] == f"{path.stem}.jpg"
    drawn: dict[int, np.ndarray] = {}
    for thing in data["objects"]:
        assert thing["category"] == NAMES[thing["group"]]
        canvas = drawn.setdefault(thing["group"], np.zeros(ids.shape, np.uint8))
        cv2.fillPoly(canvas, [np.asarray(thing["segmentation"]).astype(np.int32)], 1)
    for k, canvas in drawn.items():
        assert ((ids == k) & (canvas > 0)).sum() / ((ids == k) | (canvas > 0)).sum() >= 0.88, NAMES[k]


def test_most_things_are_labelled():
    labelled = {o["category"] for p in LABELS for o in json.loads(p.read_text())["objects"]}
    assert len(LABELS) >= 10
    assert len(labelled) >= 0.8 * len(NAMES)
