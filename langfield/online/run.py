"""A whole stream through a session: what could not be read is passed over, what stops it is said."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from langfield.capture.stream import FrameSource, Recorded, RgbdFrame
from langfield.errors import FormatError
from langfield.online.report import FrameReport
from langfield.online.session import Online
from langfield.progress import track

Arriving = tuple[RgbdFrame, Path | None]


def frames_of(source: FrameSource, first: int, trouble: Callable[[str], None]) -> Iterator[Arriving]:
    """Give frames with their files, where these hold the very pixels; says which could not be read and goes on.

    Args:
        source: the stream.
        first: number of the first frame wanted, where the stream lies in files.
        trouble: is told of frames that could not be read.
    """
    if isinstance(source, Recorded):
        for index in range(first, len(source)):
            try:
                frame = source[index]
            except FormatError as error:
                trouble(str(error))
                continue
            yield frame, source.shots[index].picture if source.flat is None else None
        return
    frames = iter(source)
    while True:
        try:
            frame = next(frames)
        except StopIteration:
            return
        except FormatError as error:
            trouble(str(error))
            continue
        yield frame, None


def run_stream(
    online: Online, source: FrameSource, most: int | None, tell: Callable[[FrameReport | str], None]
) -> float:
    """Take every frame of a stream, with a bar; gives the seconds it took.

    Args:
        online: the session; frames it knew before it was resumed are not loaded.
        source: the stream.
        most: stop after so many frames of the stream.
        tell: is given every report, and what went wrong where no report came of it.

    Raises:
        StorageError: the disk is full or read-only; `Online.resume` goes on from the last keyframe.
    """
    start, first = time.monotonic(), online.last + 1
    total = source.count if source.count is None else max(0, source.count - first)
    total = most if total is None else total if most is None else min(total, most - first)

    def stand() -> str:
        tally, seconds = online.tally, max(time.monotonic() - start, 1e-9)
        lost, refused = (tally.outcomes.get(name, 0) for name in ("lost", "refused"))
        rate = (len(online.path.steps) - known) / seconds
        size = f"{online.count} keyframes, {online.gaussians} Gaussians"
        return f"{rate:.1f} frames/s, {size}, {lost} lost, {refused} refused"

    known = len(online.path.steps)
    for frame, picture in track(frames_of(source, first, tell), "frames", total, stand):
        if most is not None and frame.index >= most:
            break
        tell(online.add_frame(frame, picture))
    return time.monotonic() - start
