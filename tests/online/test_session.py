"""A session from its first frame to an ordinary run: what stops it, what it refuses, what it is asked meanwhile."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from langfield.capture.stream import RgbdFrame
from langfield.errors import FormatError, LangfieldError, QueryError, SettingsError, StorageError
from langfield.field.instance_build import lift_things
from langfield.fit import lift_view
from langfield.online.mapping_settings import MappingSettings
from langfield.online.session import Online
from langfield.online.start import resume, start
from langfield.online.types import Caps, OnlineSettings
from langfield.run import open_run
from langfield.scene import Scene
from tests.online.known import NAMES, KnownFeatures, Words
from tests.online.room import frame, loop, loop_pose

COUNT, TURN = 16, 0.2
FAST = MappingSettings(steps=4, first_steps=15, stride=2)
SETTINGS = OnlineSettings(poses="given", side_px=64, mapping=FAST, freshen_s=1e-6, snapshot_s=0.0)


@pytest.fixture(scope="module")
def frames() -> list[RgbdFrame]:
    return loop(COUNT, 64, 48, TURN)


def begun(folder: Path, frames: list[RgbdFrame], settings: OnlineSettings = SETTINGS) -> Online:
    features = KnownFeatures()
    features.know(frames)
    online = start(folder, settings, features)
    online.asker = type(online.asker)(Words())
    return online


def fed(online: Online, frames: list[RgbdFrame]) -> list[str]:
    return [online.add_frame(f).outcome for f in frames]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, frames) -> Path:
    online = begun(tmp_path_factory.mktemp("whole") / "run", frames)
    assert fed(online, frames) == ["keyframe" if i % 5 == 0 else "tracked" for i in range(COUNT)]
    return online.finish()


def test_the_finished_map_is_an_ordinary_run_that_answers(undisturbed, frames):
    run = open_run(undisturbed)
    assert run.training_names == {f"frame_{i:04d}.png" for i in range(0, COUNT, 5)}
    scene = Scene(run)
    scene.__dict__["text_encoder"] = Words()
    for i, name in ((1, "table"), (2, "vase")):
        answer = scene.ask(name)
        assert answer.verdict == "found"
        assert answer.position is not None
        assert NAMES[i] == name
    assert {p.name for p in undisturbed.iterdir()} >= {"point_cloud.ply", "trajectory.txt", "frames", "segments"}
    assert not (undisturbed / "online").exists()
    rows = np.loadtxt(undisturbed / "trajectory.txt")
    assert len(rows) == COUNT
    for row, one in zip(rows, frames, strict=True):
        np.testing.assert_allclose(row[1:4], one.camera.T_world_camera[:3, 3], atol=1e-6)


def test_with_given_poses_it_equals_the_offline_stage_on_the_same_gaussians(undisturbed):
    run = open_run(undisturbed)
    assert run.field.codec is not None
    assert run.field.codes is not None
    views = []
    for one in run.frames:
        features = run.features(one)
        assert features is not None
        views.append(lift_view(features, one.camera))
    language = SETTINGS.language_map
    lifted, things = lift_things(run.field.gaussians, views, run.field.codec, language.lift, language.instances)
    assert torch.equal(run.field.codes, lifted.codes)
    torch.testing.assert_close(run.field.reliability, lifted.reliability, rtol=1e-6, atol=0)
    assert run.field.instances is not None
    assert len(run.field.instances) == len(things)


def test_things_of_the_finished_map_have_the_ids_they_had_while_it_grew(tmp_path, frames):
    online = begun(tmp_path / "run", frames)
    fed(online, frames[:6])
    seen = online.asker.glimpse
    fed(online, frames[6:])
    grown = online.asker.glimpse
    assert seen is not None
    assert grown is not None
    early, live = seen.field.instances, grown.field.instances
    finished = open_run(online.finish()).field.instances
    assert early is not None
    assert early.ids is not None
    assert live is not None
    assert live.ids is not None
    assert finished is not None
    assert finished.ids is not None
    largest = set(early.ids[:4].tolist())
    assert largest <= set(live.ids.tolist())
    same = 0
    for i in range(len(finished)):
        own = set(finished.gaussians(i).tolist())
        alike = [len(own & (g := set(live.gaussians(k).tolist()))) / len(own | g) for k in range(len(live))]
        if max(alike) > 0.7:
            assert finished.ids[i] == live.ids[int(np.argmax(alike))]
            same += 1
    assert same >= 4


@pytest.mark.parametrize("stop", [1, 8, 15])
def test_a_stopped_session_goes_on_from_its_last_keyframe_as_if_nothing_had_been(tmp_path, frames, undisturbed, stop):
    first = begun(tmp_path / "run", frames)
    fed(first, frames[: stop + 1])
    first.folder.release()  # as the system does when a process dies
    features = KnownFeatures()
    features.know(frames)
    second = resume(tmp_path / "run", features)
    assert second.settings == SETTINGS
    last = second.last
    assert last == stop - stop % 5
    assert [i for i, outcome in enumerate(fed(second, frames)) if outcome == "skipped"] == list(range(last + 1))
    one, other = open_run(second.finish()), open_run(undisturbed)
    for a, b in zip(one.field.gaussians.tensors(), other.field.gaussians.tensors(), strict=True):
        assert torch.equal(a, b)
    assert one.field.codes is not None
    assert other.field.codes is not None
    assert torch.equal(one.field.codes, other.field.codes)
    assert one.training_names == other.training_names


@pytest.mark.parametrize(
    "wrong", [{"keyframe_every": 0}, {"side_px": 4}, {"freshen_s": -1.0}, {"caps": Caps(max_keyframes=0)}]
)
def test_settings_out_of_range_are_refused_before_a_folder_is_made(tmp_path, wrong):
    with pytest.raises(SettingsError):
        start(tmp_path / "run", replace(SETTINGS, **wrong), KnownFeatures())
    assert not (tmp_path / "run").exists()


def test_a_finished_run_and_no_run_are_not_resumed(tmp_path, undisturbed):
    for folder in (undisturbed, tmp_path):
        with pytest.raises(FormatError):
            resume(folder, KnownFeatures())
    with pytest.raises(FormatError, match="already"):
        start(undisturbed, SETTINGS, KnownFeatures())


def test_it_is_asked_from_another_thread_while_it_maps(tmp_path, frames):
    online = begun(tmp_path / "run", frames)
    with pytest.raises(QueryError, match="no map"):
        online.ask("vase")
    done, found, wrong = threading.Event(), list[str](), list[Exception]()

    def ask() -> None:
        while not done.is_set():
            try:
                found.append(online.ask("vase").verdict)
            except Exception as error:  # whatever it is, the test says it
                wrong.append(error)

    online.add_frame(frames[0])
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        fed(online, frames[1:])
    finally:
        done.set()
        thread.join()
    assert not wrong
    assert found
    run = open_run(online.folder.path / "snapshot")  # what the viewer follows
    assert run.field.codes is not None
    assert len(run.field.gaussians) == online.gaussians


def state(online: Online) -> list[torch.Tensor]:
    tensors, _ = online.slam.state()
    return [tensors[name] for name in sorted(tensors) if not name.startswith("path.")]


def spoilt(one: RgbdFrame, how: str) -> RgbdFrame:
    image = one.image
    if how == "black":
        return replace(one, image=np.zeros_like(image))
    if how == "one colour":
        return replace(one, image=np.full_like(image, 90))
    if how == "an older one":
        return replace(one, time_s=one.time_s - 0.2)
    if how == "no camera":
        broken = one.camera.T_world_camera.clone()
        broken[0, 3] = torch.nan
        return replace(one, camera=replace(one.camera, T_world_camera=broken))
    if how == "another size":
        return replace(one, image=image[:-4], depth_m=None)
    if how == "far ahead":
        return replace(one, time_s=one.time_s + 1000)
    return replace(one, has_pose=False)


@pytest.mark.parametrize(
    "how", ["black", "one colour", "an older one", "no camera", "another size", "far ahead", "pose missing"]
)
def test_a_bad_frame_is_told_of_and_the_map_stays_as_it_is(tmp_path, frames, how):
    online = begun(tmp_path / "run", frames)
    fed(online, frames[:6])
    before = state(online)
    report = online.add_frame(spoilt(replace(frames[10], index=10), how))
    assert report.outcome in ("refused", "lost")
    assert report.messages or report.outcome == "lost"
    assert all(torch.equal(a, b) for a, b in zip(before, state(online), strict=True))
    assert len(online.path.steps) == 6
    assert fed(online, frames[11:13]) == ["tracked", "tracked"]  # and it goes on
    assert online.finish().is_dir()


def test_a_frame_given_twice_or_missing_changes_nothing_but_what_is_said(tmp_path, frames):
    online = begun(tmp_path / "run", frames)
    fed(online, frames[:4])
    assert online.add_frame(frames[3]).outcome == "refused"
    report = online.add_frame(frames[8])
    assert report.outcome == "tracked"
    assert any("missing" in message for message in report.messages)


@pytest.mark.parametrize("depth", ["none", "nan", "empty"])
def test_a_frame_without_depth_is_tracked_and_the_map_takes_it_as_colour_only(tmp_path, frames, depth):
    online = begun(tmp_path / "run", frames)
    whole = frames[0].depth_m
    assert whole is not None
    bad = None if depth == "none" else np.full_like(whole, np.nan if depth == "nan" else 0.0)
    first = online.add_frame(replace(frames[0], depth_m=bad))
    assert first.outcome == "refused"
    assert any("begins with" in message for message in first.messages)
    assert fed(online, frames[1:5])[0] == "keyframe"
    features = online.teacher.features  # pyright: ignore
    features.know([frames[5]])
    report = online.add_frame(replace(frames[5], depth_m=bad))
    assert report.outcome in ("keyframe", "tracked")
    assert report.messages
    assert all(t.isfinite().all() for t in online.slam.gaussians.tensors())


def test_a_full_disk_is_said_the_map_is_kept_and_goes_on_once_there_is_room(tmp_path, frames, monkeypatch):
    online = begun(tmp_path / "run", frames)
    fed(online, frames[:5])
    before, on_disk = state(online), sorted((tmp_path / "run" / "online").iterdir())

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        for _ in range(2):
            with pytest.raises(StorageError, match="No space left"):
                online.add_frame(frames[5])
        assert all(torch.equal(a, b) for a, b in zip(before, state(online), strict=True))
        with pytest.raises(StorageError):
            online.finish()
    assert sorted((tmp_path / "run" / "online").iterdir()) == on_disk
    assert "keyframe" in fed(online, frames[6:])
    assert len(open_run(online.finish()).training_names) == 3


@pytest.mark.parametrize("after", range(1, 9))
def test_a_disk_that_fills_up_at_any_write_leaves_a_whole_map_in_memory_and_on_disk(
    tmp_path, frames, monkeypatch, after
):
    online = begun(tmp_path / "run", frames)
    fed(online, frames[:5])
    left, real = [after], os.fsync

    def filling(handle: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", filling)
        try:
            online.add_frame(frames[5])
        except StorageError:
            online.folder.release()
            features = KnownFeatures()
            features.know(frames)
            disk.undo()
            other = resume(tmp_path / "run", features)
            assert other.last in (0, 5)
            fed(other, frames)
            other.folder.release()
    assert fed(online, frames[6:11])[-1] == "keyframe"


def test_caps_hold_and_the_files_of_keyframes_that_went_are_gone(tmp_path, frames):
    caps = Caps(max_keyframes=2, max_gaussians=900)
    online = begun(tmp_path / "run", frames, replace(SETTINGS, caps=caps))
    fed(online, frames)
    assert online.count == 2
    assert online.gaussians <= 900
    assert len(list((tmp_path / "run" / "frames").iterdir())) == 2
    run = open_run(online.finish())
    assert len(run.training_names) == 2
    assert len(np.loadtxt(run.path / "trajectory.txt")) == COUNT  # the path is whole all the same


def test_names_of_a_stream_do_not_lead_out_of_the_folder(tmp_path, frames):
    online = begun(tmp_path / "run", frames)
    for i, name in ((0, "../../evil.png"), (5, ""), (10, "a" * 5000), (15, "..")):
        assert online.add_frame(replace(frames[i], name=name)).outcome == "keyframe"
    assert not list(tmp_path.glob("**/evil*"))
    assert len(open_run(online.finish()).training_names) == 4


def test_nothing_mapped_is_no_run_and_a_lens_is_refused(tmp_path, frames):
    from langfield.capture.types import Distortion

    online = begun(tmp_path / "run", frames)
    with pytest.raises(LangfieldError, match="no frame"):
        online.finish()
    bent = replace(frames[0], camera=replace(frames[0].camera, distortion=Distortion("opencv", (0.1,))))
    with pytest.raises(FormatError, match="distortion"):
        online.add_frame(bent)


def test_a_kidnapped_camera_is_lost_and_found_again_where_it_has_been(tmp_path, frames):
    online = begun(tmp_path / "run", frames, replace(SETTINGS, poses="tracked", mapping=MappingSettings()))
    assert "lost" not in fed(online, frames[:11])
    before = state(online)
    away = replace(frame(11, loop_pose(0.62), 64, 48), index=11, time_s=frames[11].time_s)
    assert online.add_frame(away).outcome == "lost"
    assert all(torch.equal(a, b) for a, b in zip(before, state(online), strict=True))
    back = [replace(frames[k], index=12 + i, time_s=(12 + i) / 30) for i, k in enumerate((10, 9, 8))]
    assert "tracked" in fed(online, back)


def test_a_folder_that_cannot_be_made_is_said_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="choose another folder"):
        start(tmp_path / "file" / "run", SETTINGS, KnownFeatures())
