"""Walks are measured, kept, and not measured again; what cannot be measured is said."""

from dataclasses import dataclass, replace

import pytest

from langfield.capture.record import record
from langfield.commands import bench_online as module
from langfield.commands.bench_online import against, bench_online
from langfield.commands.bench_options import OnlineBench
from langfield.commands.online_bench.costs import Parts, Published
from langfield.commands.online_bench.walks import Walk, measure_walk
from langfield.online.mapping_settings import MappingSettings
from langfield.online.types import OnlineSettings
from tests.online.room import loop

SETTINGS = OnlineSettings(poses="given", language="none", side_px=48, mapping=MappingSettings(steps=2, first_steps=6))


@dataclass(frozen=True)
class Listed:
    """A stream that is a list."""

    frames: list
    name: str = "room"
    unit: str = "metre"

    @property
    def count(self) -> int:
        return len(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self):
        return iter(self.frames)

    def __getitem__(self, index: int):
        return self.frames[index]


@pytest.fixture(scope="module")
def stream(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stream") / "room"
    frames = [replace(f, name=f"{f.index:04d}.png") for f in loop(8, 48, 36, 0.1)]
    record(Listed(frames), folder)
    return folder


def test_a_walk_is_told_of_in_full(stream, tmp_path):
    found = measure_walk(Walk(stream, SETTINGS, None, 7, tmp_path / "run"))
    assert (found["frames"], found["keyframes"]) == (7, 2)
    assert found["outcomes"] == {"keyframe": 2, "tracked": 5}
    assert found["path"]["ate_rmse"] < 1e-6
    assert found["keyframes_drawn"]["frames"] == 2
    assert found["others_drawn"]["frames"] == 5
    assert set(found["stages"]) == {"gate", "track", "map", "publish", "save", "language"}
    assert sum(row["share"] for row in found["stages"].values()) == pytest.approx(1, abs=1e-3)
    assert found["asked"] is None


def test_what_is_known_is_not_measured_again_and_what_fails_is_said(tmp_path, monkeypatch):
    measured = []

    def parts(what):
        return {name: lambda name=name: measured.append(name) or {"n": name} for name in ("a", "b")}

    monkeypatch.setattr(module, "_parts", parts)
    first = bench_online(OnlineBench(out=tmp_path))
    assert bench_online(OnlineBench(out=tmp_path))["parts"] == first["parts"]
    assert measured == ["a", "b"]
    bench_online(OnlineBench(out=tmp_path, redo=("b",)))
    assert measured == ["a", "b", "b"]
    bench_online(OnlineBench(out=tmp_path, frames=3))  # another question: all anew
    assert measured[3:] == ["a", "b"]
    monkeypatch.undo()
    failed = bench_online(OnlineBench(scene=tmp_path / "none", out=tmp_path / "x", only=("given",)))
    assert "not found" in failed["parts"]["given"]["skipped"]
    assert "not measured" in failed["table"]


def test_ways_are_held_against_each_other_by_hand():
    stages = {"map": {"seconds": 10.0}, "features": {"seconds": 20.0}, "language": {"seconds": 2.0, "ms_each": 50.0}}
    ours = {"stages": stages, "frames": 100, "keyframes": 20}
    costs = {"features_live": {"seconds": 1.0}, "langsplat": {"language_frame_s": 11.0, "frame_s": 32.0}}
    theirs = {"stages": {"language": {"ms_each": 400.0}}}
    found = against({"live": ours, "given": ours, "costs": costs, "online-langsplat": theirs})
    assert found["our_language_frame_s"] == pytest.approx(0.22)  # 22 s over 100 frames
    assert found["our_frame_s"] == pytest.approx(0.32)  # and 10 s of mapping
    assert found["langsplat_language_frame_s_over_ours"] == pytest.approx(50.0)
    assert found["langsplat_frame_s_over_ours"] == pytest.approx(100.0)
    assert found["paper_language_ms_over_ours"] == pytest.approx(8.0)
    assert against({"given": {"skipped": "x"}}) == {}


def test_langsplats_frame_is_added_up_by_hand():
    parts = Parts(features_s=5.0, epoch_s=0.1, language_step_s=0.01, colour_step_s=0.02)
    what = Published(epochs=100, levels=3, language_steps=1000, colour_steps=2000)
    # 10 s of autoencoder and 30 s of codes over 20 frames, then 40 s of colour
    assert parts.frame_seconds(20, what) == {"language_frame_s": 7.0, "frame_s": 9.0}


def test_langsplats_masks_are_its_own_grid():
    segment = Published().settings().segment
    assert (segment.points_per_side, segment.skip_confident) == (32, False)


def test_the_growing_map_is_held_against_the_finished_one():
    words = {kind: {"lerf-ovs-2d": {"things": {"mIoU": v}}} for kind, v in (("words", 0.8), ("words_live", 0.6))}
    assert against({"stale": words})["stale_live_mIoU_over_finished"] == pytest.approx(0.75)
