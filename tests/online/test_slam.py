"""Tracking and mapping of a small room whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from langfield.capture.stream import RgbdFrame
from langfield.errors import FormatError
from langfield.online.keyframes import KeyframeSettings
from langfield.online.mapping_settings import MappingSettings
from langfield.online.slam import KeyframeStep, Slam
from langfield.online.tracking import Tracked
from langfield.online.types import Caps, OnlineSettings
from tests.online.room import loop

SETTINGS = OnlineSettings(
    mapping=MappingSettings(first_steps=60, steps=15, stride=2),
    keyframes=KeyframeSettings(window=4),
    caps=Caps(6, 5000),
)
GIVEN = replace(SETTINGS, poses="given")


@pytest.fixture(scope="module")
def frames() -> list[RgbdFrame]:
    return loop(16, turn=0.12)


def run(slam: Slam, frames: list[RgbdFrame]) -> list[tuple[Tracked, KeyframeStep | None]]:
    out = []
    for frame in frames:
        tracked = slam.track(frame)
        step = slam.add_keyframe(frame, tracked) if slam.wants_keyframe(tracked, frame) else None
        out.append((tracked, step))
    return out


@pytest.fixture(scope="module")
def tracked(frames: list[RgbdFrame]) -> tuple[Slam, list[tuple[Tracked, KeyframeStep | None]]]:
    slam = Slam(SETTINGS)
    return slam, run(slam, frames)


def test_others_are_let_by_before_every_step_of_mapping(frames):
    few = replace(GIVEN.mapping, first_steps=2, steps=3)
    slam, before = Slam(replace(GIVEN, mapping=few)), list[int]()
    slam.mapper.between = lambda: before.append(len(slam.gaussians))
    run(slam, frames[:1])
    run(slam, frames[8:9])
    assert len(slam.keyframes) == 2
    assert len(before) == 5


def test_the_camera_is_followed(frames, tracked):
    pairs = zip(frames, (t for t, _ in tracked[1]), strict=True)
    off = [float((t.T_world_camera - f.camera.T_world_camera)[:3, 3].norm()) for f, t in pairs]
    assert not any(t.lost for t, _ in tracked[1])
    assert max(off) < 0.03  # the camera travels 0.98 m, and a pixel of 96 is 27 mm wide at the things


def test_changes_tell_which_row_is_which(frames):
    slam, rows = Slam(GIVEN), torch.zeros(0, 3)
    for frame in frames:
        found = slam.track(frame)
        if not slam.wants_keyframe(found, frame):
            continue
        n = len(rows)
        for change in slam.add_keyframe(frame, found).changes:
            assert torch.equal(change.kept.unique(), change.kept)
            n = len(change.kept) + change.added
        assert n == len(slam.gaussians)
        rows = slam.gaussians.means


def test_given_poses_stay_as_they_are(frames):
    slam = Slam(GIVEN)
    steps = [step for _, step in run(slam, frames) if step]
    assert len(steps) > 3
    assert all(step.moved == () for step in steps)
    for keyframe in slam.keyframes:
        assert torch.equal(keyframe.camera.T_world_camera, keyframe.frame.camera.T_world_camera)
    lost = slam.track(replace(frames[-1], has_pose=False))
    assert lost.lost
    assert not slam.wants_keyframe(lost, frames[-1])
    with pytest.raises(FormatError, match="lost"):
        slam.add_keyframe(frames[-1], lost)


def test_the_same_frames_give_the_same_map_also_after_a_kill(frames, tracked):
    slam, results = tracked
    cut = next(i for i, (_, step) in enumerate(results) if i > 5 and step)
    first = Slam(SETTINGS)
    run(first, frames[: cut + 1])
    tensors, facts = first.state()
    saved = {name: t.clone() for name, t in tensors.items()}
    second = Slam(SETTINGS)
    second.load_state(saved, facts, {k.id: k.frame for k in first.keyframes})
    again = run(second, frames[cut + 1 :])
    for (a, _), (b, _) in zip(again, results[cut + 1 :], strict=True):
        assert torch.equal(a.T_world_camera, b.T_world_camera)
    for a, b in zip(second.gaussians.tensors(), slam.gaussians.tensors(), strict=True):
        assert torch.equal(a, b)
    assert [k.id for k in second.keyframes] == [k.id for k in slam.keyframes]


def test_a_damaged_state_is_told(frames, tracked):
    tensors, facts = tracked[0].state()
    kept = {k.id: k.frame for k in tracked[0].keyframes}
    for spoilt in ({k: v for k, v in tensors.items() if not k.startswith("pose.")}, {}):
        with pytest.raises(FormatError):
            Slam(SETTINGS).load_state(spoilt, facts, kept)
    with pytest.raises(FormatError, match="version"):
        Slam(SETTINGS).load_state(tensors, {**facts, "version": 99}, kept)


def test_caps_hold(frames):
    slam = Slam(replace(GIVEN, caps=Caps(3, 1500)))
    dropped = [k for _, step in run(slam, frames) if step for k in step.dropped]
    assert len(slam.keyframes) == 3
    assert len(slam.gaussians) == 1500
    assert dropped
    assert 0 in {k.id for k in slam.keyframes}


def test_a_kidnapped_camera_is_lost_and_found(frames, tracked):
    slam = Slam(SETTINGS)
    run(slam, frames)
    before = slam.gaussians.means.clone()
    rng = np.random.default_rng(0)
    noise = replace(frames[0], image=rng.integers(0, 256, frames[0].image.shape, dtype=np.uint8), depth_m=None)
    assert slam.track(noise).lost
    back = slam.track(frames[1])  # where it was long ago
    assert not back.lost
    assert back.relocalised
    assert float((back.T_world_camera - frames[1].camera.T_world_camera)[:3, 3].norm()) < 0.03
    assert torch.equal(slam.gaussians.means, before)
