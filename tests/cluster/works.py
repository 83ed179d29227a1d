"""Work for tests that needs no capture."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from langfield.artefacts import write_bytes
from langfield.errors import EnvironmentProblem, FormatError


def first_time(marker: Path) -> bool:
    """Tell whether nobody has asked this before, whatever the process."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@dataclass(frozen=True)
class Squares:
    """Gives squares; numbers named here go wrong in their ways."""

    folder: Path
    """For markers: what happens once."""
    kills: tuple[int, ...] = ()
    """These kill their worker once, the first whoever does them."""
    poison: tuple[int, ...] = ()
    """These kill every worker."""
    damaged: tuple[int, ...] = ()
    lacking: tuple[int, ...] = ()

    def open(self) -> Callable[[int], int]:
        self.folder.joinpath(f"opened {os.getpid()}").touch(exist_ok=False)
        return self._square

    def _square(self, number: int) -> int:
        if number in self.poison or (number in self.kills and first_time(self.folder / f"killed {number}")):
            os.kill(os.getpid(), signal.SIGKILL)
        if number in self.damaged:
            raise FormatError("number cannot be read", number, "leave it out")
        if number in self.lacking:
            raise EnvironmentProblem("no weights", number)
        return number * number


@dataclass(frozen=True)
class Writes:
    """Writes a file for each number; the disk of some workers is full from the beginning."""

    folder: Path
    full: int
    """Workers that cannot write, the first to open."""

    def open(self) -> Callable[[int], int]:
        """A limit on the size of files does to this process what a full disk does."""
        if any(first_time(self.folder / f"full {i}") for i in range(self.full)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        return self._write

    def _write(self, number: int) -> int:
        write_bytes(self.folder / f"{number}", b"done")
        return number
