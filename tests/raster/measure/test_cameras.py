"""The cameras kept with the code are cameras, and see what they were chosen for."""

from pathlib import Path

import pytest
import torch

from langfield.errors import FormatError
from langfield.field.sog import read_sog
from langfield.raster import rasterize
from langfield.raster.measure.cameras import kept_camera

PLAYBOT = Path(__file__).parents[4] / "shared" / "splats" / "playbot"


def test_the_playbot_camera_is_a_rotation_and_a_place():
    camera = kept_camera("playbot")
    turn = camera.T_world_camera[:3, :3]
    torch.testing.assert_close(turn.T @ turn, torch.eye(3, dtype=torch.float64), atol=1e-8, rtol=0)
    assert torch.det(turn).item() == pytest.approx(1)
    assert (camera.width, camera.height) == (640, 480)
    with pytest.raises(FormatError):
        kept_camera("no such camera")


@pytest.mark.skipif(not PLAYBOT.is_dir(), reason="the shared playbot splats are not beside this checkout")
def test_the_robot_stands_in_the_middle_on_the_ground_under_a_black_sky():
    scene = read_sog(PLAYBOT / "sog" / "3_0")
    view = rasterize(scene, kept_camera("playbot"))
    assert view.colour is not None
    assert view.alpha[100:200, 270:370].min() > 0.95  # the head
    assert view.alpha[-20:].min() > 0.8  # the ground
    assert view.alpha[:40, :100].max() == 0
    eyes = view.colour[133, 338]  # cyan
    assert eyes[2] > 0.8 > 0.3 > eyes[0]
