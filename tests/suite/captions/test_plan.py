"""The captioning plan on a made video: which pictures each question shows, what it knows, and what is left out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langfield.errors import FormatError, SettingsError
from langfield.suite.captions.kept import Kept
from langfield.suite.captions.plan import Asking, Clip, PlanSettings, Track, caption_clip, rounds, spread
from langfield.suite.captions.store import Captions, ObjectCaptions, read_captions, write_captions
from langfield.suite.captions.types import Speechless
from langfield.suite.captions.visual_prompt import VisualPrompt

PLAIN = VisualPrompt(False, False, False)
H, W = 8, 10


class Seeing:
    """A captioner that reads the picture's number from its pixels and notes what it was asked."""

    name, parallel = "seeing", 3

    def __init__(self, answer: Callable[[list[int], str], str] | None = None) -> None:
        self.identity = self.provenance = {"captioner": "seeing"}
        self.answer = answer or (lambda shown, prompt: f"state of {shown}")
        self.asked: list[tuple[list[int], str]] = []

    def caption(self, images, prompt: str) -> str:
        shown = [int(image[0, 0, 0]) for image in images]
        self.asked.append((shown, prompt))
        return self.answer(shown, prompt)


def clip(count: int) -> Clip:
    pictures = [np.full((H, W, 3), t, np.uint8) for t in range(count)]
    return Clip([f"{t:03d}.png" for t in range(count)], np.arange(count) * 0.5, pictures)


def thing(frames, pixels: int = 40, instance: int = 1) -> Track:
    mask = np.arange(H * W).reshape(H, W) < pixels
    return Track(instance, "red cup", dict.fromkeys(frames, mask))


def middle(prompt: str) -> int:
    """The picture that a frame prompt asks about, by its place."""
    return int(prompt.split("Picture number ", 1)[1].split(maxsplit=1)[0])


SETTINGS = PlanSettings(marks=PLAIN)


@given(st.integers(0, 200))
def test_rounds_name_every_picture_once_and_each_lies_between_known_ones(count):
    known: list[int] = []
    for i, part in enumerate(rounds(count)):
        for n in part:
            assert n not in known
            assert i == 0 or (known[0] < n < known[-1])
        known = sorted([*known, *part])
    assert known == list(range(count))
    assert len(rounds(count)) <= 2 + max(0, count - 1).bit_length()


@given(st.lists(st.integers(0, 500), min_size=1, max_size=80, unique=True).map(sorted), st.integers(2, 20))
def test_spread_is_even_and_keeps_both_ends(seen, most):
    found = spread(seen, most)
    assert len(found) == min(most, len(seen))
    assert (found[0], found[-1]) == (seen[0], seen[-1])
    gaps = [seen.index(b) - seen.index(a) for a, b in pairwise(found)]
    assert not gaps or max(gaps) - min(gaps) <= 1


def test_the_video_is_asked_about_first_from_at_most_18_pictures():
    asked = Seeing()
    caption_clip(clip(60), [thing(range(5, 60))], Asking(asked), SETTINGS)
    shown, prompt = asked.asked[0]
    assert len(shown) == 18
    assert (shown[0], shown[-1]) == (5, 59)
    assert "red cup" in prompt
    assert "video" in prompt


def test_each_picture_is_shown_with_those_three_before_and_after_where_the_thing_is_seen():
    asked = Seeing()
    seen = [*range(25), 28, 40]
    found = caption_clip(clip(50), [thing(seen)], Asking(asked), SETTINGS)
    frames = {shown[middle(prompt) - 1]: shown for shown, prompt in asked.asked[1:]}
    assert sorted(frames) == seen
    assert (frames[0], frames[10], frames[24], frames[25 + 3], frames[40]) == (
        [0, 3], [7, 10, 13], [21, 24], [28], [40],
    )  # fmt: skip
    assert found.objects[0].frames["010.png"] == "state of [7, 10, 13]"
    assert list(found.objects[0].frames) == [f"{t:03d}.png" for t in seen]


def test_prompts_carry_the_videos_caption_and_the_nearest_words_on_both_sides():
    def answer(shown, prompt):
        return (
            "the story"
            if "{" not in prompt and "Picture number" not in prompt
            else f"said of {shown[middle(prompt) - 1]}."
        )

    asked = Seeing(answer)
    caption_clip(clip(33), [thing(range(33))], Asking(asked), SETTINGS)
    known: set[int] = set()
    for part in rounds(33):
        prompts = {shown[middle(p) - 1]: p for shown, p in asked.asked[1:] if shown[middle(p) - 1] in part}
        for t in part:
            assert "the story" in prompts[t]
            earlier, later = ([n for n in known if n < t], [n for n in known if n > t])
            wanted = {max(earlier)} if earlier else set()
            wanted |= {min(later)} if later else set()
            named = {n for n in range(33) if f"said of {n}." in prompts[t]}
            assert named == wanted
            assert not later or f"({abs(min(later) - t) * 0.5:.2g} s away)" in prompts[t]
        known |= set(part)


def test_threads_do_not_change_a_word():
    one, many = Seeing(), Seeing()
    one.parallel = 1
    tracks = [thing(range(40)), thing(range(3, 30), instance=2)]
    found = [caption_clip(clip(40), tracks, Asking(s), SETTINGS) for s in (one, many)]
    assert found[0] == found[1]
    assert sorted(one.asked) == sorted(many.asked)


def test_marks_are_made_on_every_picture():
    given: list[np.ndarray] = []

    class Keeping(Seeing):
        def caption(self, images: Sequence[np.ndarray], prompt: str) -> str:
            given.extend(images)
            return "words"

    caption_clip(clip(20), [thing(range(20))], Asking(Keeping()), PlanSettings())
    assert all((image == (255, 0, 0)).all(-1).any() for image in given)
    assert len(given) >= 20


def test_what_is_seen_too_rarely_or_too_small_is_left_out_with_a_note():
    asked = Seeing()
    tracks = [thing(range(19), instance=3), thing(range(30), pixels=39, instance=4), thing(range(20), instance=5)]
    found = caption_clip(clip(30), tracks, Asking(asked), SETTINGS)
    assert [o.instance for o in found.objects] == [5]
    assert len(found.notes) == 2
    assert "thing 3" in found.notes[0]
    assert "19" in found.notes[0]


def test_every_nth_picture_is_captioned_where_asked():
    found = caption_clip(clip(40), [thing(range(40))], Asking(Seeing()), PlanSettings(every=4, marks=PLAIN))
    assert list(found.objects[0].frames) == [f"{t:03d}.png" for t in range(0, 40, 4)]


@pytest.mark.parametrize("silent", [3, 5])
def test_a_few_pictures_without_words_are_noted_many_are_an_error(silent: int):
    def answer(shown, prompt):
        if "Picture number" in prompt and shown[middle(prompt) - 1] < silent:
            raise Speechless("nothing")
        return "words"

    def run() -> Captions:
        return caption_clip(clip(40), [thing(range(40))], Asking(Seeing(answer)), SETTINGS)

    if silent == 5:
        with pytest.raises(Speechless, match="5 of 40"):
            run()
    else:
        found = run()
        assert len(found.objects[0].frames) == 37
        assert "3 of 40" in found.notes[0]


def test_a_second_run_asks_nothing_and_says_the_same(tmp_path: Path):
    asked = Seeing()
    found = [caption_clip(clip(25), [thing(range(25))], Asking(Kept(asked, tmp_path)), SETTINGS) for _ in range(2)]
    assert found[0] == found[1]
    assert len(asked.asked) == 26


def test_captions_come_back_from_their_file(tmp_path: Path):
    found = caption_clip(clip(25), [thing(range(25)), thing([1], instance=2)], Asking(Seeing()), SETTINGS)
    write_captions(tmp_path / "captions.json", found)
    back = read_captions(tmp_path / "captions.json")
    assert back == found
    assert back.provenance["captioner"] == "seeing"
    assert next(iter(back)) == (1, "000.png", "state of [0, 3]")


def test_a_file_with_version_and_objects_alone_is_read_and_more_in_it_is_ignored(tmp_path: Path):
    rows = [
        {"name": "cup", "instance": 7, "video": "The cup falls.", "frames": {"a.png": "It stands."}, "wrong": ["a.png"]}
    ]
    (tmp_path / "c.json").write_text(json.dumps({"version": 1, "objects": rows}))
    found = read_captions(tmp_path / "c.json")
    assert found.objects == (ObjectCaptions(7, "cup", "The cup falls.", {"a.png": "It stands."}),)


ROW = {"name": "cup", "instance": 1, "video": "", "frames": {"a": "b"}}
DAMAGE = [
    [], {"version": 2}, {"objects": 3}, {"objects": [ROW, ROW]}, {"objects": [ROW | {"instance": 0}]},
    {"objects": [ROW | {"instance": True}]}, {"objects": [ROW | {"frames": []}]},
    {"objects": [ROW | {"frames": {"a": 1}}]},
    {"objects": [ROW | {"frames": {"a": " "}}]}, {"objects": [ROW | {"name": None}]}, {"objects": [3]},
    {"times_s": {"a": "b"}}, {"times_s": {"a": float("nan")}}, {"notes": "n"}, {"provenance": []},
    {"objects": [ROW | {"video": "v" * 2001}]},
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda d: str(d)[:60])
def test_damaged_captions_are_refused(tmp_path: Path, damage):
    data = {"version": 1, "objects": [ROW]}
    (tmp_path / "c.json").write_text(json.dumps(data | damage if isinstance(damage, dict) else damage))
    with pytest.raises(FormatError):
        read_captions(tmp_path / "c.json")


def test_clips_and_settings_that_cannot_be_meant_are_refused():
    pictures = [np.zeros((H, W, 3), np.uint8)] * 2
    for names, times in ((["a"], [0, 1]), (["a", "a"], [0, 1]), (["a", "b"], [1, 1]), (["a", "b"], [0, np.nan])):
        with pytest.raises(SettingsError):
            Clip(names, np.array(times, float), pictures)
    with pytest.raises(SettingsError):
        PlanSettings(every=0)
    with pytest.raises(SettingsError):
        PlanSettings(video_frames=0)
    with pytest.raises(SettingsError):
        PlanSettings(max_missing=2.0)
