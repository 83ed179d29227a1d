"""What is recorded is read back: pictures bit for bit, depth to a tenth of a millimetre, poses, times, camera."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.capture.record import record
from langfield.capture.rgbd import Recorded, RgbdFrame
from langfield.capture.stream import open_source
from langfield.errors import FormatError
from tests.capture.streams import write_tum


class Frames:
    """Frames in memory as a stream."""

    name, unit, count = "frames", "metre", None

    def __init__(self, frames: Iterable[RgbdFrame]) -> None:
        self.frames = list(frames)

    def __iter__(self) -> Iterator[RgbdFrame]:
        return iter(self.frames)


def test_there_and_back(tmp_path: Path):
    source = open_source(write_tum(tmp_path / "a"))
    frames = list(source)
    frames[1] = replace(frames[1], depth_m=None, has_pose=False)
    frames[2] = replace(
        frames[2], depth_m=np.where(np.arange(32) < 9, np.nan, 20.0).astype(np.float32) * np.ones((24, 1))
    )
    back = open_source(record(Frames(frames), tmp_path / "b"))
    assert isinstance(back, Recorded)
    for a, b in zip(frames, back, strict=True):
        assert (a.image == b.image).all()
        assert (a.name, a.has_pose) == (b.name, b.has_pose)
        assert a.time_s == pytest.approx(b.time_s, abs=1e-6)
        assert torch.equal(a.camera.K, b.camera.K)
        if a.has_pose:
            assert torch.allclose(a.camera.T_world_camera, b.camera.T_world_camera, atol=1e-7)
    assert back[1].depth_m is None
    assert not back[2].depth_m.any()  # type: ignore[union-attr]  # no number, or beyond what 16 bits hold
    np.testing.assert_allclose(back[0].depth_m, frames[0].depth_m, atol=1.01e-4)  # type: ignore[arg-type]


def test_no_frames_two_of_a_name_and_two_cameras_are_said(tmp_path: Path):
    source = open_source(write_tum(tmp_path / "a"))
    other = replace(source[1], camera=replace(source[1].camera, K=source[1].camera.K * 2))
    for frames in ([], [source[0], source[0]], [source[0], other]):
        with pytest.raises(FormatError):
            record(Frames(frames), tmp_path / "b")
