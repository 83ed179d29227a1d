"""Ways of language beside each other on a made room: what language may change in the map, and what it may not."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image

from langfield.capture.stream import RgbdFrame
from langfield.codec.two_stage import StageOne
from langfield.codec.two_stage_fit import StageTwoSettings
from langfield.errors import EnvironmentProblem
from langfield.online.keyframes import KeyframeSettings
from langfield.online.mapping_settings import MappingSettings
from langfield.online.paper.compare import Material, Row, compare
from langfield.online.paper.language import OnlineLangSplat
from langfield.online.paper.settings import PaperSettings
from langfield.online.paper.teacher import DenseTeacher, open_language
from langfield.online.report import Clock
from langfield.online.types import OnlineSettings
from tests.blobs import DIM
from tests.online.room import loop

SETTINGS = OnlineSettings(
    poses="given", keyframe_every=2, keyframes=KeyframeSettings(window=3),
    mapping=MappingSettings(first_steps=12, steps=6, stride=3),
)  # fmt: skip
QUICK = PaperSettings(steps=4, stage_two=StageTwoSettings(first_steps=10, samples=200), joint_weight=5.0)


def sides(frame: RgbdFrame) -> torch.Tensor:
    """A vector for what lies left of the room's middle and one for what lies right of it, [h, w, DIM]."""
    assert frame.depth_m is not None
    K, pose = frame.camera.K.numpy(), frame.camera.T_world_camera.numpy()
    v, u = np.mgrid[: frame.depth_m.shape[0], : frame.depth_m.shape[1]] + 0.5
    rays = np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)], -1)
    x = (rays * frame.depth_m[..., None]) @ pose[0, :3] + pose[0, 3]
    return torch.eye(DIM)[(x > 0).astype(int)]


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    frames = loop(5, 48, 36, turn=0.2)
    torch.manual_seed(0)
    material = Material(frames, dense={f.index: sides(f) for f in frames})
    modes = ("none", "disentangled", "joint")
    found = compare(material, SETTINGS, StageOne(DIM), lambda: pytest.fail("not asked"), modes, QUICK)
    return {row.mode: row for row in found}


def test_language_apart_leaves_the_map_as_it_is_without_language(rows):
    assert rows["disentangled"].psnr_db == rows["none"].psnr_db
    assert rows["disentangled"].gaussians == rows["none"].gaussians
    assert rows["disentangled"].keyframes == rows["none"].keyframes > 1


def test_joint_language_changes_the_map(rows):
    assert rows["joint"].psnr_db != rows["none"].psnr_db


def test_given_poses_have_no_error_and_unlabelled_frames_no_score(rows):
    assert all(row.ate_m < 1e-9 for row in rows.values())
    assert all(math.isnan(row.miou) for row in rows.values())
    assert rows["none"].language_ms == 0 < min(rows["disentangled"].language_ms, rows["joint"].language_ms)


class Grey:
    """A dense encoder for which every pixel of a picture is alike."""

    provenance = {"weights": "none"}  # noqa: RUF012

    def encode(self, image: np.ndarray) -> torch.Tensor:
        return torch.eye(DIM)[:1].expand(image.shape[0] // 4, image.shape[1] // 4, DIM)


def test_a_teacher_reads_the_picture_and_tells_the_map(tmp_path: Path):
    Image.new("RGB", (48, 36)).save(tmp_path / "a.png")
    told = []
    language = cast(OnlineLangSplat, SimpleNamespace(add_dense=lambda *given: told.append(given)))
    clock = Clock()
    tell = DenseTeacher(cast(Any, Grey()), language).look(loop(1, 48, 36)[0], tmp_path / "a.png", clock)
    assert not told
    tell(cast(Any, "keyframe"), cast(Any, "gaussians"))
    assert told[0][:2] == ("keyframe", "gaussians")
    assert told[0][2].shape == (9, 12, DIM)
    assert clock.seconds["features"] > 0


def test_a_missing_first_stage_is_named(tmp_path: Path):
    with pytest.raises(EnvironmentProblem, match="langfield weights dense"):
        open_language(folder=tmp_path)
