"""The gate lets good streams through untouched and names what is wrong with bad frames, whatever comes before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from langfield.capture.rgbd import RgbdFrame
from langfield.capture.stream import open_source
from langfield.online.gate import GateSettings, Seen, Verdict, judge, sharpness, usable
from langfield.online.noise import Noisy
from tests.online.frames import HEIGHT, WIDTH, frame, smeared

LOOP = Path(__file__).parents[2] / "scenes" / "loop"
NAN = np.full((HEIGHT, WIDTH), np.nan, np.float32)


def at(index: int, time_s: float | None = None) -> RgbdFrame:
    one = frame(index)
    return one if time_s is None else replace(one, time_s=time_s)


def run(frames: list[RgbdFrame], seen: Seen | None = None) -> tuple[list[Verdict], Seen]:
    """Judge frames one after another."""
    found, seen = [], seen or Seen()
    for one in frames:
        verdict, seen = judge(one, seen)
        found.append(verdict)
    return found, seen


def reasons(frames: list[RgbdFrame]) -> list[str]:
    return [v.reason for v in run(frames)[0]]


GOOD = [at(i) for i in range(5)]
BAD = {
    "black": lambda f: replace(f, image=np.zeros_like(f.image)),
    "flat": lambda f: replace(f, image=np.full_like(f.image, 90)),
    "blurred": smeared,
    "size": lambda f: frame(f.index, size=(WIDTH // 2, HEIGHT)),
    "order": lambda f: replace(f, time_s=f.time_s - 0.09),
    "twice": lambda f: replace(f, time_s=4 / 30),
    "clock": lambda f: replace(f, time_s=f.time_s + 1000),
    "broken": lambda f: replace(f, time_s=float("nan")),
}


def test_a_good_stream_goes_through_without_a_word():
    found, seen = run([at(i) for i in range(40)])
    assert {(v.use, v.reason, v.sentence) for v in found} == {("use", "ok", "")}
    assert seen.frames == 40
    assert seen.step_s == pytest.approx(1 / 30)


def test_the_rendered_walk_and_its_noisy_twin_go_through():
    exact = open_source(LOOP)
    noisy = Noisy(exact)
    for start in (0, 110):
        for source in (exact, noisy):
            assert set(reasons([source[i] for i in range(start, start + 5)])) == {"ok"}


@pytest.mark.parametrize("reason", BAD)
def test_a_bad_frame_is_named_and_left_out_and_the_stream_goes_on(reason: str):
    found, _ = run([*GOOD, BAD[reason](at(5)), at(6), at(7)])
    assert [v.reason for v in found[:5]] == ["ok"] * 5
    assert (found[5].use, found[5].reason, found[5].good) == ("skip", reason, False)
    assert "frame 5" in found[5].sentence
    assert [v.reason for v in found[6:]] == ["ok", "ok"]  # what was refused is not missing


@given(st.lists(st.sampled_from([*BAD, "good", "good"]), max_size=12), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_whatever_is_refused_leaves_no_mark_on_what_is_used(kinds: list[str], tail: int):
    """After any mixture, frames that go on from the last used one are used, or one jump decides."""
    frames = [*GOOD, *(BAD[k](at(5 + i)) if k != "good" else at(5 + i) for i, k in enumerate(kinds))]
    found, seen = run(frames)
    again, same = run(frames)
    assert (found, seen) == (again, same)  # pure
    used = [f.time_s for f, v in zip(frames, found, strict=True) if v.use != "skip" and f.time_s < 100]
    assert used == sorted(set(used))  # the map's clock only ever runs forwards
    assert all((v.sentence == "") == (v.reason == "ok") for v in found)
    after = [at(100 + i, (seen.time_s or 0) + (i + 1) / 30) for i in range(3 + tail)]
    assert [v.use for v in run(after, seen)[0]][-1] == "use"


def test_missing_frames_are_counted_by_number_and_by_clock():
    by_number, _ = run([*GOOD, at(8)])
    assert (by_number[-1].use, by_number[-1].reason) == ("use", "gap")
    assert "3 frames are missing before frame 8" in by_number[-1].sentence
    renumbered, _ = run([*GOOD, at(5, 8 / 30)])
    assert "3 frames are missing before frame 5" in renumbered[-1].sentence
    assert reasons([*GOOD, at(5, 6 / 30)])[-1] == "ok"  # a late frame is no gap


@pytest.mark.parametrize("jump", [5.0, 1e6, -5.0])
def test_a_clock_that_was_set_is_believed_at_the_second_frame(jump: float):
    found, seen = run([*GOOD, *(at(i, i / 30 + jump) for i in range(5, 9))])
    assert [v.reason for v in found[5:]] == ["clock", "ok", "ok", "ok"]
    assert ("ahead" if jump > 0 else "back") in found[5].sentence
    assert seen.step_s == pytest.approx(1 / 30)
    lone = reasons([*GOOD, at(5, 5 / 30 + jump), at(6), at(7)])
    assert lone[5] == "clock"
    assert lone[7] == "ok"


def test_the_same_bytes_later_are_the_same_picture():
    frozen = replace(at(5), image=GOOD[-1].image)
    assert reasons([*GOOD, frozen])[-1] == "twice"
    one = GOOD[-1].image.copy()
    one[0, 0, 0] ^= 1
    assert reasons([*GOOD, replace(at(5), image=one)])[-1] == "ok"


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (None, "without depth"),
        (NAN, "100% of it is no number"),
        (np.zeros((HEIGHT, WIDTH), np.float32), "0.0% of it is known"),
        (np.full((HEIGHT, WIDTH), np.inf, np.float32), "no number"),
        (np.full((HEIGHT, WIDTH), -1.0, np.float32), "is known"),
        (np.ones((HEIGHT, WIDTH + 1), np.float32), "does not fit"),
        (np.ones((HEIGHT, WIDTH), np.uint16), "does not fit"),
    ],
)
def test_depth_that_is_no_use_is_set_aside_and_the_picture_used(depth: np.ndarray | None, said: str):
    one = replace(at(5), depth_m=depth)
    found, _ = run([*GOOD, one])
    assert (found[-1].use, found[-1].good) == ("without depth", True)
    assert said in found[-1].sentence
    assert usable(one, found[-1]).depth_m is None


def test_holes_and_no_numbers_in_good_depth_become_unknown():
    depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
    depth[:10], depth[10:12], depth[12], depth[13] = np.nan, np.inf, -3, 1e9
    one = replace(at(5), depth_m=depth)
    found, _ = run([*GOOD, one])
    assert found[-1].use == "use"
    clean = usable(one, found[-1]).depth_m
    assert clean is not None
    assert (clean[:14] == 0).all()
    assert (clean[14:] == 1.5).all()
    assert np.isnan(one.depth_m).any()  # type: ignore[arg-type]  # what came in is not touched


def test_after_enough_blurred_frames_one_is_taken():
    few = GateSettings().most_blurred
    found, seen = run([*GOOD, *(smeared(at(5 + i)) for i in range(few + 2))])
    assert [v.reason for v in found[5:]] == ["blurred"] * few + ["ok", "blurred"]
    assert seen.sharpness is not None


@given(st.floats(0.3, 1.0), st.floats(0, 60))
@settings(max_examples=20, deadline=None)
def test_sharpness_is_of_detail_not_of_brightness(gain: float, offset: float):
    image = frame().image
    changed = np.round(image * gain * 0.7 + offset).clip(0, 255).astype(np.uint8)
    assert sharpness(changed) == pytest.approx(sharpness(image), rel=0.25)
    assert sharpness(smeared(frame()).image) < 0.4 * sharpness(image)


def test_cameras_that_are_not_finite_are_refused():
    camera = at(5).camera
    for spoilt in (
        replace(camera, K=camera.K * float("nan")),
        replace(camera, T_world_camera=torch.full((4, 4), float("inf"), dtype=torch.float64)),
    ):
        assert reasons([*GOOD, replace(at(5), camera=spoilt)])[-1] == "broken"
