"""Which questions a video's captions take, in which order (4D LangSplat, section 3.3).

A caption of the video per thing, then one per picture. Pictures are gone through by halves: first and last, then the
middle of every gap, so that each prompt can name what was said on both sides, and questions of one round run together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, UInt8

from langfield.artefacts import plain
from langfield.errors import SettingsError
from langfield.progress import track
from langfield.suite.captions.prompting import Prompt, load_prompt
from langfield.suite.captions.store import Captions, ObjectCaptions
from langfield.suite.captions.types import Captioner, Speechless
from langfield.suite.captions.visual_prompt import VisualPrompt, mark

VERSION = 1


@dataclass(frozen=True)
class Clip:
    """A video as pictures in the order of time."""

    names: Sequence[str]
    """Of T pictures, each once."""
    times_s: Float[np.ndarray, " T"]
    """Growing, seconds."""
    pictures: Sequence[UInt8[np.ndarray, "H W 3"]]
    """RGB; may read them as they are asked for."""

    def __post_init__(self) -> None:
        many = len(self.names)
        if self.times_s.shape != (many,) or len(self.pictures) != many or len(set(self.names)) != many:
            raise SettingsError("a clip needs a name of its own and a time for every picture", f"{many} names")
        if not np.isfinite(self.times_s).all() or (np.diff(self.times_s) <= 0).any():
            raise SettingsError("the times of a clip must grow")


@dataclass(frozen=True)
class Track:
    """One thing through the video."""

    instance: int
    """Its number, from 1."""
    name: str
    """What it may be called, given to the model as a guess; "" where nobody knows."""
    masks: Mapping[int, Bool[np.ndarray, "H W"]]
    """Number of a picture to the thing's pixels in it; may read them as they are asked for."""


@dataclass(frozen=True)
class PlanSettings:
    """What is asked; the numbers are 4D LangSplat's."""

    video_frames: int = 18
    """Most pictures that the caption of the video is made from."""
    around: int = 3
    """A picture is shown with those this many before and after it."""
    every: int = 1
    """Caption every n-th of the pictures that show a thing."""
    min_frames: int = 20
    """Things seen in fewer pictures are left out."""
    min_pixels: int = 40
    """A smaller mask does not count as seen."""
    max_missing: float = 0.1
    """Share of a thing's pictures that may stay without words before the whole fails."""
    marks: VisualPrompt = field(default_factory=VisualPrompt)
    """How the thing is marked in its pictures."""

    def __post_init__(self) -> None:
        if min(self.video_frames, self.around, self.every, self.min_frames, self.min_pixels) < 1:
            raise SettingsError("frames, pixels and steps of captions must be 1 or more", f"{self}")
        if not 0 <= self.max_missing <= 1:
            raise SettingsError("max_missing must be a share between 0 and 1", self.max_missing)


@dataclass(frozen=True)
class Asking:
    """Who is asked, and with which words."""

    captioner: Captioner
    """Wrapped in `Kept` where captions cost anything."""
    video: Prompt = field(default_factory=lambda: load_prompt("video"))
    frame: Prompt = field(default_factory=lambda: load_prompt("frame"))


def caption_clip(clip: Clip, tracks: Sequence[Track], asking: Asking, settings: PlanSettings | None = None) -> Captions:
    """Caption every thing of a video.

    Args:
        clip: the pictures.
        tracks: the things.
        asking: who is asked and with which prompts.
        settings: what is asked.

    Raises:
        Speechless: more of a thing's pictures stay without words than `max_missing` allows.
        EnvironmentProblem: the captioner cannot be reached; what it has said so far is kept where it is `Kept`.
    """
    settings, notes, found = settings or PlanSettings(), list[str](), list[ObjectCaptions]()
    for thing in track(tracks, "captions"):
        seen = seen_in(thing, settings.min_pixels)
        if len(seen) < settings.min_frames:
            notes.append(f"thing {thing.instance} is left out: seen in {len(seen)} of {settings.min_frames} pictures")
            continue
        found.append(_Thing(clip, thing, seen, asking, settings).captions(notes))
    times = {name: float(t) for name, t in zip(clip.names, clip.times_s, strict=True)}
    return Captions(tuple(found), times, tuple(notes), provenance(asking, settings))


def provenance(asking: Asking, settings: PlanSettings) -> dict[str, object]:
    """Say who was asked, with which prompts and marks."""
    prompts = {p.kind: {"name": p.name, "key": p.key} for p in (asking.video, asking.frame)}
    about = {"version": VERSION, "captioner": asking.captioner.name, **asking.captioner.provenance}
    return {**about, "prompts": prompts, "settings": plain(settings)}


def seen_in(thing: Track, min_pixels: int) -> list[int]:
    """Give the numbers of the pictures that show at least `min_pixels` of a thing, in order."""
    return [t for t in sorted(thing.masks) if int(np.count_nonzero(thing.masks[t])) >= min_pixels]


def spread(seen: Sequence[int], most: int) -> list[int]:
    """Give at most `most` of the numbers, evenly spaced, first and last among them."""
    if len(seen) <= most:
        return list(seen)
    return [seen[i] for i in np.rint(np.linspace(0, len(seen) - 1, most)).astype(int)] if most > 1 else [seen[0]]


def rounds(count: int) -> list[list[int]]:
    """Give 0 to `count` - 1 in rounds: first and last, then the middle of every gap that is left."""
    if count < 1:
        return []
    known = sorted({0, count - 1})
    found = [known]
    while len(known) < count:
        fresh = [(a + b) // 2 for a, b in pairwise(known) if b - a > 1]
        found.append(fresh)
        known = sorted([*known, *fresh])
    return found


class _Thing:
    """The questions about one thing."""

    def __init__(self, clip: Clip, thing: Track, seen: list[int], asking: Asking, settings: PlanSettings) -> None:
        self._clip, self._thing, self._asking, self._settings = clip, thing, asking, settings
        self._seen, self._todo = seen, seen[:: settings.every]
        self._words: dict[int, str] = {}

    def captions(self, notes: list[str]) -> ObjectCaptions:
        thing, asking = self._thing, self._asking
        video = self._video(notes)
        with ThreadPoolExecutor(max(1, asking.captioner.parallel)) as pool:
            for part in rounds(len(self._todo)):
                frames = [self._todo[i] for i in part]
                said = list(pool.map(self._ask, frames, [self._prompt(t, video) for t in frames]))
                self._words |= {t: words for t, words in zip(frames, said, strict=True) if words}
        missing = len(self._todo) - len(self._words)
        if missing > self._settings.max_missing * len(self._todo):
            raise Speechless(f"{missing} of {len(self._todo)} pictures of thing {thing.instance} have no words")
        if missing:
            notes.append(f"thing {thing.instance}: {missing} of {len(self._todo)} pictures without words")
        frames = {self._clip.names[t]: self._words[t] for t in sorted(self._words)}
        return ObjectCaptions(thing.instance, thing.name, video, frames)

    def _video(self, notes: list[str]) -> str:
        images = [self._marked(t) for t in spread(self._seen, self._settings.video_frames)]
        try:
            return self._asking.captioner.caption(images, self._asking.video.fill({"object_hint": self._thing.name}))
        except Speechless as error:
            notes.append(f"thing {self._thing.instance} has no caption of the video: {error.what}")
            return ""

    def _around(self, t: int) -> list[int]:
        """Give the pictures shown with a question about picture `t`, it among them."""
        step = self._settings.around
        shown = set(self._seen)
        return [n for n in (t - step, t, t + step) if n in shown]

    def _prompt(self, t: int, video: str) -> str:
        before, after = (n for n in self._beside(t))
        slots = {
            "object_hint": self._thing.name, "picture": str(self._around(t).index(t) + 1), "video_caption": video,
            "before": before, "after": after,
        }  # fmt: skip
        return self._asking.frame.fill(slots)

    def _beside(self, t: int) -> tuple[str, str]:
        """Give what has been said of the nearest earlier and later pictures, with the time between."""
        times, said = self._clip.times_s, []
        for n in (
            max((n for n in self._words if n < t), default=None),
            min((n for n in self._words if n > t), default=None),
        ):
            said.append("" if n is None else f"({abs(times[n] - times[t]):.2g} s away) {self._words[n]}")
        return said[0], said[1]

    def _ask(self, t: int, prompt: str) -> str:
        """Give the words for one picture, or "" where the captioner has none."""
        try:
            return self._asking.captioner.caption([self._marked(n) for n in self._around(t)], prompt)
        except Speechless:
            return ""

    def _marked(self, t: int) -> UInt8[np.ndarray, "H W 3"]:
        return mark(self._clip.pictures[t], self._thing.masks[t], self._settings.marks)
