"""A long walk round and round: the caps hold, memory is flat once they do, and the map answers to the end."""

from __future__ import annotations

import gc
import resource
from dataclasses import replace
from pathlib import Path

import numpy as np

from langfield.online.mapping_settings import MappingSettings
from langfield.online.start import start
from langfield.online.types import Caps, OnlineSettings
from tests.online.known import KnownFeatures, Words
from tests.online.room import loop
from tests.series import cases

TURN = 60
CAPS = Caps(max_keyframes=8, max_gaussians=1500, max_atoms=64)
SETTINGS = OnlineSettings(
    poses="given", side_px=48, caps=CAPS, mapping=MappingSettings(steps=2, first_steps=8), snapshot_s=60.0
)


def resident_mib() -> float:
    """Memory of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def test_memory_is_flat_once_the_caps_hold(tmp_path, record_property):
    turn, count = loop(TURN, 48, 36), cases(90, 2000)
    features, sizes, seen = KnownFeatures(), list[float](), list[int]()
    features.know(turn)
    online = start(tmp_path / "run", SETTINGS, features)
    online.asker = type(online.asker)(Words())
    for i in range(count):
        # the same round again, later: another number, another time, another grain of the sensor
        one = turn[i % TURN]
        grain = np.random.default_rng(i).integers(-2, 3, one.image.shape)
        image = (one.image.astype(int) + grain).clip(0, 255).astype(np.uint8)
        frame = replace(one, index=i, time_s=i / 30, image=image, name=f"frame_{i:05d}.png")
        features.know([frame])
        report = online.add_frame(frame)
        assert report.outcome == ("keyframe" if report.keyframe is not None else "tracked")
        assert report.keyframes <= CAPS.max_keyframes
        assert report.gaussians <= CAPS.max_gaussians
        seen.append(report.keyframes)
        if i % 10 == 9:
            gc.collect()
            sizes.append(resident_mib())
    full = next(i for i, n in enumerate(seen) if n == CAPS.max_keyframes) // 10 + 1
    after = np.array(sizes[full:])
    record_property("rss_mib", [round(s, 1) for s in sizes[:: max(1, len(sizes) // 40)]])
    record_property("full_at_frame", 10 * full)
    third = max(1, len(after) // 3)
    assert after[-third:].mean() - after[:third].mean() < 24
    assert len(list((tmp_path / "run" / "frames").iterdir())) == CAPS.max_keyframes
    assert online.ask("table").verdict == "found"
    held = {p.name for p in (tmp_path / "run" / "online").iterdir()}
    assert len(held) < 4 * CAPS.max_keyframes + 8
