"""The committed scene agrees with itself: cameras, depth, masks, labels, start points, size."""

from __future__ import annotations

import json
from collections import Counter, defaultdict

import cv2
import numpy as np
import pytest
from PIL import Image
from plyfile import PlyData
from tabletop import ROOT, lift, names, project, settings, shots

LABELS = sorted((ROOT / "label").glob("*.json"))


def test_size_in_git_stays_small():
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) <= 15 * 2**20


def test_frames_have_pictures_of_the_stated_size():
    assert len(settings()["frames"]) == 36
    for shot in shots():
        with Image.open(shot.picture) as picture:
            assert picture.size == (settings()["w"], settings()["h"])
            assert picture.mode == "RGB"
        assert shot.depth.shape == shot.instance.shape == (settings()["h"], settings()["w"])


def test_pictures_are_lit_and_differ():
    means = [np.asarray(Image.open(shot.picture)).mean((0, 1)) for shot in shots()]
    assert all(60 < mean.mean() < 200 for mean in means)
    assert len({tuple(m.round(3)) for m in means}) == len(means)


def test_poses_are_rigid_and_look_at_the_table():
    for shot in shots():
        R = shot.pose[:3, :3]
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-7)
        assert np.linalg.det(R) > 0
        np.testing.assert_allclose(shot.pose[3], [0, 0, 0, 1])
        at, depth = project(shot, np.array([[0.0, 0.0, 0.05]]))
        assert depth[0] > 0.5
        assert shot.pose[2, 3] > 0.2
        assert 0 < at[0, 0] < settings()["w"]
        assert 0 < at[0, 1] < settings()["h"]


@pytest.mark.parametrize("step", [3, 4, 6])
def test_every_kth_frame_covers_the_ring(step):
    places = np.array([shot.pose[:2, 3] for shot in shots()[::step]])
    angles = np.sort(np.arctan2(places[:, 1], places[:, 0]))
    gaps = np.diff(np.append(angles, angles[0] + 2 * np.pi))
    assert gaps.max() < 1.6 * 2 * np.pi / len(places)


@pytest.mark.parametrize("apart", [1, 4])
def test_depth_agrees_between_views(apart):
    """A point of one view lies where another view shows it, or hidden behind that."""
    for i in range(0, len(shots()), 5):
        a, b = shots()[i], shots()[(i + apart) % len(shots())]
        points, ids = lift(a)[::7, ::7].reshape(-1, 3), a.instance[::7, ::7].ravel()
        at, depth = project(b, points)
        pixel = np.floor(at).astype(int)
        inside = (depth > 0) & (pixel >= 0).all(1) & (pixel[:, 0] < settings()["w"]) & (pixel[:, 1] < settings()["h"])
        there = b.depth[pixel[inside, 1], pixel[inside, 0]]
        # In front of what the other view shows would mean seeing through it: allow a pixel's slant at edges.
        seen_through = depth[inside] < there - 0.03
        assert seen_through.mean() < 0.02
        agree = np.abs(depth[inside] - there) < 0.01
        assert agree.mean() > 0.55
        same = b.instance[pixel[inside, 1], pixel[inside, 0]] == ids[inside]
        assert same[agree].mean() > 0.97


def test_table_top_lies_at_height_zero():
    height = np.concatenate([lift(s)[s.instance == 0][::50, 2] for s in shots()[::6]])
    share = np.mean(np.abs(height) < 0.002)
    assert share > 0.2


def test_every_name_is_seen_often():
    seen: Counter[int] = Counter()
    for shot in shots():
        ids, counts = np.unique(shot.instance, return_counts=True)
        seen.update(int(i) for i, n in zip(ids, counts, strict=True) if n >= 150)
        assert set(ids.tolist()) <= {0, *names()}
    assert len(names()) >= 15
    assert {k: v for k, v in names().items() if seen[k] < 5} == {}


def test_attributes_can_be_asked_for():
    words = [name.split() for name in names().values()]
    kinds = defaultdict(set)
    for parts in words:
        kinds[parts[-1]].add(parts[0])
    assert sum(len(k) >= 2 for k in kinds.values()) >= 3


@pytest.mark.parametrize("path", LABELS, ids=lambda p: p.stem)
def test_labels_agree_with_masks(path):
    data = json.loads(path.read_text())
    frames = {shot.picture.name: shot for shot in shots()}
    instance = frames[data["info"]["name"]].instance
    drawn: dict[int, np.ndarray] = {}
    for thing in data["objects"]:
        outline = np.asarray(thing["segmentation"])
        assert thing["category"] == names()[thing["group"]]
        assert thing["bbox"] == [*outline.min(0), *outline.max(0)]
        canvas = drawn.setdefault(thing["group"], np.zeros(instance.shape, np.uint8))
        cv2.fillPoly(canvas, [outline.astype(np.int32)], 1)
    assert len(drawn) >= 12
    for k, canvas in drawn.items():
        mask = instance == k
        assert mask.sum() >= 150
        iou = (mask & (canvas > 0)).sum() / (mask | (canvas > 0)).sum()
        assert iou >= 0.9, (names()[k], iou)


def test_there_are_enough_labels_and_each_thing_has_one():
    assert len(LABELS) == 8
    labelled = {o["category"] for p in LABELS for o in json.loads(p.read_text())["objects"]}
    assert labelled == set(names().values())


def test_start_points_lie_on_what_is_seen():
    vertex = PlyData.read(ROOT / settings()["ply_file_path"])["vertex"]
    xyz = np.stack([vertex[c] for c in "xyz"], 1).astype(float)
    rgb = np.stack([vertex[c] for c in ("red", "green", "blue")], 1)
    assert 5000 <= len(xyz) <= 10000
    assert rgb.std() > 20
    near = np.full(len(xyz), np.inf)
    for shot in shots():
        at, depth = project(shot, xyz)
        pixel = np.floor(at).astype(int)
        ok = (depth > 0) & (pixel >= 0).all(1) & (pixel[:, 0] < settings()["w"]) & (pixel[:, 1] < settings()["h"])
        there = shot.depth[pixel[ok, 1], pixel[ok, 0]]
        near[ok] = np.minimum(near[ok], np.abs(depth[ok] - there))
    assert np.quantile(near, 0.98) < 0.01
