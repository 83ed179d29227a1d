"""Choice of keyframes on views whose overlap is known."""

from dataclasses import replace

import pytest
import torch

from langfield.capture.types import Camera
from langfield.errors import SettingsError
from langfield.online.keyframes import (
    Cloud,
    KeyframeSettings,
    check,
    cloud_of,
    covisibility,
    least_novel,
    next_window,
    wanted,
)


def at(x: float, depth: float = 2.0, z: float = 0.0) -> Cloud:
    """A camera at (x, 0, z) that looks along z at a wall; the picture is 2 x depth wide."""
    K = torch.tensor([[80.0, 0, 80], [0, 80, 60], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    pose[0, 3], pose[2, 3] = x, z
    return cloud_of(torch.full((120, 160), depth), Camera(K, 160, 120, pose))


@pytest.mark.parametrize("part", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_covisibility_is_intersection_over_union(part: float):
    found = covisibility(at(0.0), at(4.0 * part))
    assert abs(found - (1 - part) / (1 + part)) < 0.03


def test_what_is_hidden_is_not_shared():
    assert covisibility(at(0.0, 2.0), at(0.0, 1.0)) < 0.55  # the second sees a nearer wall, and nothing behind it


def test_a_frame_is_wanted_for_distance_for_news_and_for_time():
    s = KeyframeSettings(overlap=0.7, baseline=0.25, most_apart=10)
    assert not wanted(at(0), at(0.1), 1, s)
    assert wanted(at(0), at(0.51), 1, s)
    assert wanted(at(0), at(0.1), 10, s)
    assert wanted(at(0), at(1.0), 1, replace(s, baseline=9.0))


def test_the_window_keeps_the_newest_and_lets_go_of_what_is_far():
    clouds = {0: at(0), 1: at(0.2), 2: at(0.4), 3: at(0.6), 4: at(9.0)}
    s = KeyframeSettings(window=3)
    window: list[int] = []
    for k in range(4):
        window = next_window(window, k, clouds, s)
        assert window[0] == k
    assert len(window) == 3
    assert window[:2] == [3, 2]
    assert next_window(window, 4, clouds, s) == [4, 3]


def test_the_one_best_covered_by_another_is_the_least_novel():
    clouds = {0: at(0), 1: at(1.5), 2: at(1.6), 3: at(4.0)}
    assert least_novel([0, 1, 3], clouds) == 1
    assert least_novel([0, 3], clouds) == 0


def test_settings_outside_their_range_are_told():
    with pytest.raises(SettingsError):
        check(KeyframeSettings(window=0))
