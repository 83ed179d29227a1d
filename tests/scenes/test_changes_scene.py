"""The committed dynamic scene agrees with itself: times, depth, masks; and its states can be seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2] / "scenes" / "changes"
META = {name: json.loads((ROOT / f"{name}.json").read_text()) for name in ("transforms", "transforms_second")}
NAMES = {int(k): v for k, v in json.loads((ROOT / "names.json").read_text()).items()}
OBJECTS = json.loads((ROOT / "states.json").read_text())["objects"]


def read(frame: dict, key: str) -> np.ndarray:
    return np.asarray(Image.open(ROOT / frame[key]))


def test_size_in_git_stays_small():
    assert sum(p.stat().st_size for p in ROOT.rglob("*") if p.is_file()) <= 10 * 2**20


def test_one_frame_for_each_step_and_every_fourth_of_the_second_camera():
    moving, second = (META[name]["frames"] for name in META)
    assert [f["step"] for f in moving] == list(range(100))
    assert [f["step"] for f in second] == list(range(1, 100, 4))
    for frame in (*moving, *second):
        assert frame["time"] == pytest.approx(frame["step"] / 99, abs=1e-8)
    assert len({str(f["transform_matrix"]) for f in moving}) == 100
    assert len({str(f["transform_matrix"]) for f in second}) == 1


def test_files_have_the_stated_size_and_every_thing_is_seen_always():
    for frame in META["transforms"]["frames"]:
        picture, ids, depth = (read(frame, k) for k in ("file_path", "instance_file_path", "depth_file_path"))
        assert picture.shape == (240, 320, 3)
        assert ids.shape == depth.shape == (240, 320)
        assert set(np.unique(ids).tolist()) == {0, *NAMES}
        assert depth.min() > 300


def test_depth_agrees_between_the_cameras():
    """What stands still lies, seen by one camera, where the other one shows it, unless something hides it."""
    meta = META["transforms"]
    for one in META["transforms_second"]["frames"][::5]:
        other = meta["frames"][one["step"]]
        rows, columns = (a[::3, ::3] for a in np.mgrid[:240, :320] + 0.5)
        depth = read(one, "depth_file_path")[::3, ::3] * meta["depth_unit_scale_factor"]
        local = np.stack([(columns - 160) / meta["fl_x"], -(rows - 120) / meta["fl_y"], -np.ones_like(rows)], -1)
        pose, target = (np.array(f["transform_matrix"]) for f in (one, other))
        points = ((local * depth[..., None]) @ pose[:3, :3].T + pose[:3, 3]).reshape(-1, 3)
        seen = (points - target[:3, 3]) @ target[:3, :3]
        at = np.stack([160 - meta["fl_x"] * seen[:, 0] / seen[:, 2], 120 + meta["fl_y"] * seen[:, 1] / seen[:, 2]], 1)
        pixel = np.floor(at).astype(int)
        inside = (seen[:, 2] < 0) & (pixel >= 0).all(1) & (pixel < [320, 240]).all(1)
        there = read(other, "depth_file_path")[pixel[inside, 1], pixel[inside, 0]] * meta["depth_unit_scale_factor"]
        assert (-seen[inside, 2] < there - 0.03).mean() < 0.02  # nothing is seen through
        agree = np.abs(-seen[inside, 2] - there) < 0.01
        assert agree.mean() > 0.6
        ids = read(one, "instance_file_path")[::3, ::3].ravel()[inside]
        same = read(other, "instance_file_path")[pixel[inside, 1], pixel[inside, 0]] == ids
        assert same[agree].mean() > 0.95


def looks(name: str, frame: dict) -> float:
    """Measure in the picture what a person would go by; larger in the second of the thing's two states."""
    mask = read(frame, "instance_file_path") == next(k for k, v in NAMES.items() if v == name)
    picture = read(frame, "file_path").astype(float)
    rows, columns = np.nonzero(mask)
    match name:
        case "lamp":  # bright
            return picture[mask].mean()
        case "bottle":  # wider than high
            return (np.ptp(columns) + 1) / (np.ptp(rows) + 1)
        case "bowl":  # red
            return float((picture[mask][:, 0] > 1.6 * picture[mask][:, 2]).mean())
        case "box":  # tall: its flaps stand up
            return mask.sum() * read(frame, "depth_file_path")[mask].mean() ** 2
        case _:  # crumb
            return float((picture[mask].min(-1) > 130).mean())


@pytest.mark.parametrize("row", OBJECTS, ids=lambda r: r["name"])
def test_a_threshold_on_the_pictures_tells_the_states_apart(row):
    """Steps within 3 of a change are left out: there the thing is on its way."""
    second = np.zeros(100, bool)
    for first, last in list(row["states"].values())[1]:
        second[first : last + 1] = True
    near = {s + d for s in range(99) if second[s] != second[s + 1] for d in range(-3, 5)}
    steps = [s for s in range(100) if s not in near]
    value = np.array([looks(row["name"], META["transforms"]["frames"][s]) for s in steps])
    truth = second[steps]
    best = max(((value > v) == truth).mean() for v in value)
    assert best > 0.97, best
