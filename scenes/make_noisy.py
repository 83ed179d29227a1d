"""Write a recorded sequence as a real camera would have recorded it: noisy, stepped, holed depth, blur, exposure.

    uv run python scenes/make_noisy.py --source scenes/loop --out outputs/loop_noisy

The same in memory is `langfield.online.noise.Noisy(open_source(...))`; both give the same pictures, bit for bit.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import tyro

from langfield.capture.record import record
from langfield.capture.stream import open_source
from langfield.online.noise import NoiseSettings, Noisy


@dataclass(frozen=True)
class Options:
    """What to spoil, and how."""

    source: Path = Path("scenes/loop")
    """A sequence that `langfield online` reads."""
    out: Path = Path("outputs/loop_noisy")
    """Folder to write into."""
    seed: int = 0
    """Same seed, same noise."""


def main(options: Options) -> None:
    """Write the frames, and beside them what the exact sequence knows: labels, names."""
    record(Noisy(open_source(options.source), NoiseSettings(options.seed)), options.out)
    for name in ("label", "names.json"):
        if (options.source / name).is_dir():
            shutil.copytree(options.source / name, options.out / name, dirs_exist_ok=True)
        elif (options.source / name).is_file():
            shutil.copy(options.source / name, options.out / name)


if __name__ == "__main__":
    main(tyro.cli(Options))
