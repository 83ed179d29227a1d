"""A map of pictures alone: points or a depth model make it the room; it resumes, and says what it lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from langfield.capture.stream import RgbdFrame
from langfield.online.judge import judge_map, judge_path, judge_shape
from langfield.online.mapping_settings import MappingSettings
from langfield.online.rgb.depths import Depths
from langfield.online.rgb.model import Kind
from langfield.online.session import Online
from langfield.online.start import resume, start
from langfield.online.types import OnlineSettings
from tests.online.rgb.cloud import cloud, write_ply
from tests.online.room import loop

COUNT, TURN = 11, 0.08
SETTINGS = OnlineSettings(
    language="none", side_px=96, mapping=MappingSettings(steps=6, first_steps=30, stride=2), snapshot_s=1e9
)


@pytest.fixture(scope="module")
def frames() -> list[RgbdFrame]:
    return loop(COUNT, turn=TURN)


@pytest.fixture(scope="module")
def points(tmp_path_factory) -> Path:
    return write_ply(tmp_path_factory.mktemp("points") / "points.ply", cloud())


class Seeing:
    """A depth model that knows the room: its depth, wrong by a scale and a shift of each picture's own, and noise."""

    kind: Kind = "relative"
    far = 1.0

    def __init__(self, frames: list[RgbdFrame], noise: float) -> None:
        self.provenance: dict[str, Any] = {"depth_model": "seeing"}
        self._depth = {f.image.tobytes(): (f.index, f.depth_m) for f in frames}
        self._noise = noise

    def __call__(self, image: np.ndarray) -> np.ndarray:
        index, depth = self._depth[image.tobytes()]
        assert depth is not None
        rng = np.random.default_rng(index)
        if self.kind == "metric":
            return self.far * depth
        noise = 1 + self._noise * np.kron(rng.normal(size=(9, 12)), np.ones((8, 8)))
        return rng.uniform(0.2, 5) * (1 / (depth * noise) + rng.uniform(0, 1))


def mapped(folder: Path, settings: OnlineSettings, frames: list[RgbdFrame], depths: Depths | None = None) -> Online:
    online = start(folder, settings)
    online.depths = depths or online.depths
    for one in frames:
        online.add_frame(one)
    online.folder.release()
    return online


def worth(online: Online, frames: list[RgbdFrame]) -> tuple[float, float, float]:
    """Give ATE and depth error, metres, and PSNR of all frames from where they were truly taken."""
    truth = {f.index: f.camera.T_world_camera for f in frames}
    path = judge_path(online.path.steps, online.path.poses(online.slam.keyframes), truth)
    seen = judge_map(online.slam.gaussians, [(f, f.camera, (1.0, 0.0)) for f in frames])
    assert path is not None
    assert seen.depth_l1 is not None
    assert seen.psnr_db is not None
    return path.ate_rmse, seen.depth_l1, seen.psnr_db


def test_points_give_the_map_its_depth_and_the_path_its_scale(tmp_path, frames, points):
    given = replace(SETTINGS, poses="given")
    with_points = worth(mapped(tmp_path / "a", replace(given, points=points), frames), frames)
    guessed = worth(mapped(tmp_path / "b", replace(given, rgb_only=True), frames), frames)
    assert with_points[1] < 0.4 * guessed[1]
    assert with_points[2] > guessed[2] + 2
    online = mapped(tmp_path / "c", replace(SETTINGS, points=points), frames)
    assert online.tally.outcomes.get("lost", 0) == 0
    assert worth(online, frames)[0] < 0.02  # of 0.65 m


def test_a_model_tells_the_depth_between_points(tmp_path, frames):
    settings, some, found = replace(SETTINGS, poses="given", rgb_only=True), cloud()[::4], {}
    for name, depths in {
        "points": Depths(some, None, 2.0, {}), "both": Depths(some, Seeing(frames, 0.02), 2.0, {})
    }.items():  # fmt: skip
        found[name] = worth(mapped(tmp_path / name, settings, frames, depths), frames)
    assert found["both"][1] < 0.8 * found["points"][1]


def test_a_model_alone_gives_a_path_of_the_right_shape(tmp_path, frames):
    model = Seeing(frames, 0.02)
    model.kind, model.far = "metric", 1.3  # metres that are 30 % too long
    online = mapped(tmp_path / "run", replace(SETTINGS, rgb_only=True), frames, Depths(None, model, 2.0, {}))
    assert online.tally.outcomes.get("lost", 0) == 0
    truth = {f.index: f.camera.T_world_camera for f in frames}
    shape = judge_shape(online.path.steps, online.path.poses(online.slam.keyframes), truth)
    assert shape is not None
    assert shape["scale"] == pytest.approx(1 / 1.3, rel=0.1)
    assert shape["ate_rmse"] < 0.02


def test_depth_of_the_stream_is_left_aside(tmp_path, frames, points):
    settings = replace(SETTINGS, points=points)
    wrong = [replace(f, depth_m=np.full_like(f.depth_m, 0.7)) for f in frames[:6]]
    a = mapped(tmp_path / "a", settings, wrong)
    b = mapped(tmp_path / "b", settings, [replace(f, depth_m=None) for f in frames[:6]])
    assert all(torch.equal(x, y) for x, y in zip(a.slam.gaussians.tensors(), b.slam.gaussians.tensors(), strict=True))
    assert a.tally.outcomes == b.tally.outcomes
    assert sum(a.tally.outcomes.values()) == 6
    assert not {"lost", "refused"} & a.tally.outcomes.keys()


def test_a_stopped_map_of_pictures_goes_on_as_if_nothing_had_been(tmp_path, frames, points):
    settings = replace(SETTINGS, points=points)
    whole = mapped(tmp_path / "a", settings, frames)
    mapped(tmp_path / "b", settings, frames[:7])
    again = resume(tmp_path / "b")
    for one in frames:
        again.add_frame(one)
    for x, y in zip(whole.slam.gaussians.tensors(), again.slam.gaussians.tensors(), strict=True):
        assert torch.equal(x, y)
    field = again.finish() / "field.safetensors"
    assert b"points.ply" in field.read_bytes()[:20000]  # where depth came from is kept, by name
    assert str(points.parent).encode() not in field.read_bytes()[:20000]


def test_points_need_a_world_to_lie_in(tmp_path, frames, points):
    online = start(tmp_path / "run", replace(SETTINGS, points=points))
    report = online.add_frame(replace(frames[0], has_pose=False))
    assert report.outcome == "refused"
    assert any("pose is given" in message for message in report.messages)
    assert online.add_frame(frames[1]).outcome == "keyframe"
    online.folder.release()


def test_a_model_that_sees_nonsense_is_not_believed():
    class Nonsense(Seeing):
        def __call__(self, image: np.ndarray) -> np.ndarray:
            return np.random.default_rng(0).random(image.shape[:2])

    one = loop(1)[0]
    assert one.depth_m is not None
    told = Depths(None, Nonsense([one], 0.0), 2.0, {})(one, one.camera, one.depth_m)
    assert told.depth_m is None
    told = Depths(None, Seeing([one], 0.0), 2.0, {})(one, one.camera, one.depth_m)
    assert told.depth_m is not None
    assert np.median(np.abs(told.depth_m / one.depth_m - 1)) < 1e-3
