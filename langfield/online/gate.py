"""Which frames of a stream may enter the map: each is judged against what was seen before it, in one clear sentence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import cv2
import numpy as np
from jaxtyping import UInt8

from langfield.capture.rgbd import RgbdFrame

NOISE_FLOOR = 0.02
"""Added to mean squares of differences, so that flat pictures are not sharp."""
Use = Literal["use", "without depth", "skip"]


@dataclass(frozen=True)
class GateSettings:
    """What a frame must be like."""

    longest_gap_s: float = 1.0
    """A longer step of the clock is a jump ..."""
    gap_factor: float = 2.5
    """... and frames are missing where a step is so many times the usual one."""
    usual_over: float = 0.2
    """Weight of each new step in the usual one."""
    black_level: float = 8.0
    """Pictures whose 99th percentile of brightness (of 255) is lower are black."""
    flat_contrast: float = 2.0
    """Pictures whose brightness varies less (standard deviation, of 255) show nothing."""
    sharp_share: float = 0.4
    """A picture with less than this share of the usual sharpness is blurred."""
    sharp_over: float = 0.1
    """Weight of each new picture in the usual sharpness."""
    most_blurred: int = 5
    """After so many blurred frames in a row the next one is taken: it may be the scene that is smooth."""
    least_depth_share: float = 0.05
    """Depth that is known for less than this share of the pixels is not used."""
    range_m: tuple[float, float] = (0.01, 100.0)
    """Depth outside this is no measurement, metres."""


@dataclass(frozen=True)
class Seen:
    """What is kept of the frames before."""

    frames: int = 0
    """Judged so far."""
    time_s: float | None = None
    """Clock of the latest frame that was not refused for its clock."""
    step_s: float | None = None
    """Usual time between frames."""
    index: int | None = None
    """Number of the latest frame, as the stream counts."""
    digest: str = ""
    """Of the latest picture's bytes."""
    size: tuple[int, int] | None = None
    """Width and height of the first used frame."""
    sharpness: float | None = None
    """Usual sharpness of used frames."""
    blurred: int = 0
    """Blurred frames in a row."""
    ahead: float | None = None
    """Clock of a frame refused for jumping, which the next one may confirm."""


@dataclass(frozen=True)
class Verdict:
    """What becomes of a frame."""

    use: Use
    reason: str
    """One word: "ok", or "gap", "clock", "twice", "order", "size", "black", "flat", "blurred", "depth", "broken"."""
    sentence: str
    """For a person; empty where all is well."""

    @property
    def good(self) -> bool:
        """Say whether the frame's picture may be used."""
        return self.use != "skip"


def judge(frame: RgbdFrame, seen: Seen, settings: GateSettings | None = None) -> tuple[Verdict, Seen]:
    """Judge a frame; pure: the same frame after the same frames gets the same verdict.

    A refused frame changes only what must be known to judge the next: a clock that jumped is believed once a second
    frame agrees with it, and after `most_blurred` blurred frames a blurred one is taken.

    Args:
        frame: as it came; its depth may hold NaN, be of any size, or be missing.
        seen: of the frames before; `Seen()` at the start.
        settings: see `GateSettings`.
    """
    settings = settings or GateSettings()
    after = replace(seen, frames=seen.frames + 1, index=max(frame.index, seen.index or 0))
    found = _broken(frame, seen) or _clock(frame, seen, settings) or _same(frame, seen)
    if found is not None:
        return found, replace(after, ahead=frame.time_s if found.reason == "clock" else seen.ahead)
    after = _timed(frame, after, settings)
    found = _picture(frame, seen, settings)
    if found is not None:
        return found, replace(after, blurred=seen.blurred + 1 if found.reason == "blurred" else seen.blurred)
    sharp = sharpness(frame.image)
    usual = sharp if seen.sharpness is None else _mixed(seen.sharpness, sharp, settings.sharp_over)
    size = (frame.camera.width, frame.camera.height)
    after = replace(after, sharpness=usual, blurred=0, size=seen.size or size)
    return _depth(frame, settings) or _gap(frame, seen, settings) or Verdict("use", "ok", ""), after


def usable(frame: RgbdFrame, verdict: Verdict, settings: GateSettings | None = None) -> RgbdFrame:
    """Give the frame with its depth cleaned, or without depth where the verdict says so: what the map may be fed.

    Args:
        frame: as judged.
        verdict: of that frame, not "skip".
        settings: see `GateSettings`.
    """
    if frame.depth_m is None or verdict.use != "use":
        return replace(frame, depth_m=None)
    low, high = (settings or GateSettings()).range_m
    with np.errstate(invalid="ignore"):
        known = (frame.depth_m >= low) & (frame.depth_m <= high)
    return replace(frame, depth_m=np.where(known, frame.depth_m, 0).astype(np.float32))


def sharpness(image: UInt8[np.ndarray, "H W 3"]) -> float:
    """Give how sharp a picture is along its most smeared direction: mean square of second over first differences.

    Taken along rows, columns and both diagonals. Contrast, brightness and how much there is to see hardly matter; a
    smear of nine pixels leaves a third, whatever its direction.
    """
    grey = cv2.GaussianBlur(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.0)
    found = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        first = _difference(grey, down, right)
        second = _difference(first, down, right)
        found.append((second**2).mean() / ((first**2).mean() + NOISE_FLOOR) / (down + abs(right)))
    return float(min(found))


def _difference(array: np.ndarray, down: int, right: int) -> np.ndarray:
    """Give each value's difference from the one before it along a direction."""
    here = array[down:, max(0, right) : array.shape[1] + min(0, right)]
    there = array[: array.shape[0] - down, max(0, -right) : array.shape[1] - max(0, right)]
    return here - there


def _broken(frame: RgbdFrame, seen: Seen) -> Verdict | None:
    """Refuse what is no frame at all."""
    what = f"frame {frame.index}"
    if not np.isfinite(frame.time_s):
        return Verdict("skip", "broken", f"{what} has no time, so it is left out")
    if frame.image.dtype != np.uint8 or frame.image.ndim != 3 or frame.image.shape[2] != 3:
        return Verdict("skip", "broken", f"{what} is no 8-bit colour picture, so it is left out")
    size, want = frame.image.shape[1::-1], (frame.camera.width, frame.camera.height)
    if size != want or want != (seen.size or want):
        expected = seen.size or want
        sentence = f"{what} is {size[0]}x{size[1]} where {expected[0]}x{expected[1]} is expected, so it is left out"
        return Verdict("skip", "size", sentence)
    good = bool(frame.camera.K.isfinite().all()) and bool(frame.camera.T_world_camera.isfinite().all())
    return None if good else Verdict("skip", "broken", f"{what} has a camera that is not finite, so it is left out")


def _clock(frame: RgbdFrame, seen: Seen, settings: GateSettings) -> Verdict | None:
    """Refuse frames from the past and, until a second one agrees, from far ahead."""
    if seen.time_s is None:
        return None
    step = frame.time_s - seen.time_s
    if seen.ahead is not None and 0 < frame.time_s - seen.ahead <= settings.longest_gap_s:
        return None  # the clock was set, and runs on from there
    what = f"frame {frame.index}"
    if step > settings.longest_gap_s:
        return Verdict("skip", "clock", f"the clock jumps {step:.3g} s ahead at {what}; the next frame decides")
    if step < -settings.longest_gap_s:
        return Verdict("skip", "clock", f"the clock jumps {-step:.3g} s back at {what}; the next frame decides")
    if step < 0:
        return Verdict("skip", "order", f"{what} is {-step * 1e3:.3g} ms older than the one before, so it is left out")
    if step == 0:
        return Verdict("skip", "twice", f"{what} has the time of the one before, so it is left out")
    return None


def _same(frame: RgbdFrame, seen: Seen) -> Verdict | None:
    """Refuse a picture whose every byte was there just before: a camera's noise never repeats."""
    if seen.digest and digest(frame) == seen.digest:
        return Verdict("skip", "twice", f"frame {frame.index} repeats the picture before it, so it is left out")
    return None


def _picture(frame: RgbdFrame, seen: Seen, settings: GateSettings) -> Verdict | None:
    """Refuse pictures that show nothing, or nothing sharp."""
    grey, what = frame.image.mean(axis=2), f"frame {frame.index}"
    if np.percentile(grey, 99) < settings.black_level:
        return Verdict("skip", "black", f"{what} is black, so it is left out; is the lens covered?")
    if grey.std() < settings.flat_contrast:
        return Verdict("skip", "flat", f"{what} is of one colour, so it is left out")
    if seen.sharpness is None or seen.blurred >= settings.most_blurred:
        return None
    if sharpness(frame.image) < settings.sharp_share * seen.sharpness:
        return Verdict("skip", "blurred", f"{what} is blurred, so it is left out; move more slowly")
    return None


def _depth(frame: RgbdFrame, settings: GateSettings) -> Verdict | None:
    """Set depth aside that is missing, of another size, or hardly known anywhere."""
    what, depth = f"frame {frame.index}", frame.depth_m
    if depth is None:
        return Verdict("without depth", "depth", f"{what} comes without depth")
    if depth.shape != frame.image.shape[:2] or not np.issubdtype(depth.dtype, np.floating):
        return Verdict("without depth", "depth", f"the depth of {what} does not fit its picture and is not used")
    with np.errstate(invalid="ignore"):
        known = float(((depth >= settings.range_m[0]) & (depth <= settings.range_m[1])).mean())
    if known < settings.least_depth_share:
        broken = float((~np.isfinite(depth)).mean())
        why = f"{broken:.0%} of it is no number" if broken > 0.5 else f"{known:.1%} of it is known"
        return Verdict("without depth", "depth", f"the depth of {what} is not used: {why}")
    return None


def _gap(frame: RgbdFrame, seen: Seen, settings: GateSettings) -> Verdict | None:
    """Tell of frames that are missing before this one, by their numbers or by the clock."""
    missing = frame.index - seen.index - 1 if seen.index is not None and seen.ahead is None else 0
    if missing <= 0 and seen.step_s and seen.time_s is not None and seen.ahead is None:
        steps = (frame.time_s - seen.time_s) / seen.step_s
        missing = round(steps) - 1 if steps > settings.gap_factor else 0
    if missing <= 0:
        return None
    return Verdict(
        "use", "gap", f"{missing} frame{'s are' if missing > 1 else ' is'} missing before frame {frame.index}"
    )


def _timed(frame: RgbdFrame, after: Seen, settings: GateSettings) -> Seen:
    """Note a frame's clock, number and bytes."""
    step = after.step_s
    if after.time_s is not None and after.ahead is None:
        new = frame.time_s - after.time_s
        step = new if step is None else _mixed(step, min(new, settings.gap_factor * step), settings.usual_over)
    return replace(after, time_s=frame.time_s, step_s=step, index=frame.index, digest=digest(frame), ahead=None)


def _mixed(old: float, new: float, weight: float) -> float:
    return (1 - weight) * old + weight * new


def digest(frame: RgbdFrame) -> str:
    """Give a short hash of a picture's bytes."""
    return hashlib.blake2b(np.ascontiguousarray(frame.image).tobytes(), digest_size=16).hexdigest()
