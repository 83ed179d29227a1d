"""`langfield online` in a process of its own, on a room that lies in files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from langfield.capture.record import record
from langfield.capture.stream import RgbdFrame
from tests.online.room import loop

ROOT = Path(__file__).parents[2]
QUICK = ("--side-px", "64", "--snapshot-s", "0", "--mapping.steps", "3", "--mapping.first-steps", "10",
         "--mapping.stride", "2")  # fmt: skip


@dataclass(frozen=True)
class Listed:
    """A stream that is a list of frames."""

    frames: Sequence[RgbdFrame]
    name: str = "room"
    unit: str = "metre"

    @property
    def count(self) -> int:
        return len(self.frames)

    def __iter__(self):
        return iter(self.frames)


def recorded_room(folder: Path, count: int, turn: float) -> Path:
    """Write a walk through the room as a stream that the command can open."""
    frames = [replace(f, name=f"{f.index:04d}.png") for f in loop(count, 64, 48, turn)]
    return record(Listed(frames), folder)


def begun(*arguments: object) -> subprocess.Popen[str]:
    """Start `langfield online`."""
    command = [sys.executable, "-c", "from langfield.cli import main; main()", "online", *map(str, arguments), *QUICK]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def heard(process: subprocess.Popen[str], words: str) -> str:
    """Read what a process says until it says certain words; gives that line."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            return line
    raise AssertionError("".join(said))
