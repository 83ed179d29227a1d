"""What `langfield bench` can be told, apart so that the command line stays light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RasterBench:
    """What `bench raster` measures."""

    ply: tuple[Path, ...] = ()
    """Scenes to draw besides the generated ones: PLY files or SOG folders."""
    splats: Path | None = None
    """Folder that holds playbot/sog and garden_points."""
    quick: bool = False
    """Fewer sizes and repeats."""
    picture: Path | None = None
    """Draw the curves into this PNG."""


@dataclass(frozen=True)
class Inputs:
    """What the other benches measure on and write."""

    scene: Path | None = None
    """A capture with images/ and, for labels and bridge, label/."""
    tables: Path | None = None
    """Text tables the bridge was trained from."""
    photos: int = 3
    """How many photos `masks` compares."""
    out: Path = Path("full.json")
    """Where `full` writes what it finds, after each part; run again, it goes on from there."""


RASTER, INPUTS = RasterBench(), Inputs()
