"""What `langfield bench` can be told, apart so that the command line stays light."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


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
class FieldBench:
    """What `bench field` repeats."""

    seeds: int = 3
    """How often all that is random is drawn anew."""
    max_views: tuple[int, ...] = ()
    """Views to use of each scene, in the order of --scene; all where none is named."""
    retime: bool = False
    """Measure times again, with scores kept: for a machine that was busy."""


@dataclass(frozen=True)
class ViewerBench:
    """What `bench viewer` measures."""

    gaussians: int = 200_000
    """Gaussians of the made-up scene."""
    questions: int = 60
    pages: int = 1
    """Open pages; each gets every change."""


@dataclass(frozen=True)
class ShardBench:
    """What `bench shards` measures."""

    gaussians: int = 5_000_000
    """Size of the scene, about: copies of a smaller one side by side."""
    shards: int = 40
    """How many shards it is cut into."""
    run: Path | None = None
    """A finished run to repeat; a made-up scene by default."""
    folder: Path = Path("outputs/bench_shards")
    """Where the shards are kept for the next time."""
    questions: int = 9


@dataclass(frozen=True)
class QueryBench:
    """What `bench query` measures."""

    run: Path | None = None
    """A finished run, lifted with a codebook, to ask beside the generated field."""
    gaussians: int = 1_000_000
    """Asked in space."""
    drawn: int = 20_000
    """Gaussians of the generated views."""
    repeats: int = 9


@dataclass(frozen=True)
class PaperBench:
    """What `bench paper` runs."""

    frames: int = 100
    """Of the stream, from its beginning."""
    side_px: int = 320
    """Longer side of the frames that are worked with."""
    poses: Literal["tracked", "given"] = "tracked"
    modes: tuple[Literal["none", "disentangled", "joint", "lift"], ...] = ("none", "disentangled", "joint", "lift")
    """lift needs masks and their embeddings of every keyframe: minutes where they are not cached."""
    seed: int = 42


@dataclass(frozen=True)
class OnlineBench:
    """What `bench online` measures."""

    scene: Path = Path("scenes/loop")
    """A stream with depth, poses and labels."""
    real: Path | None = None
    """A short real stream, tracked besides."""
    frames: int | None = None
    """Frames taken of the scene; all where None."""
    sample: int = 2
    """Frames whose features are timed without the cache."""
    out: Path = Path("outputs/bench_online")
    """Folder of the runs and of what is found; run again, it goes on from there."""
    only: tuple[str, ...] = ()
    """Parts: given, tracked, noisy, stale, live, online-langsplat, costs (needs live), language update, real; all where
    empty."""
    redo: tuple[str, ...] = ()
    """Parts that are measured again."""


@dataclass(frozen=True)
class ClusterBench:
    """What `bench cluster` measures."""

    towns: tuple[Path, ...] = (Path("outputs/town"),)
    """Towns of rising size as scenes/make_town.py --features writes them: equality and throughput use the first,
    memory all of them."""
    real: Path | None = None
    """A capture whose photos are given to the real models: what one costs, many at once, and two workers over one."""
    real_photos: int = 50
    """Photos of it."""
    workers: tuple[int, ...] = (1, 2, 4)
    """Processes whose results must be equal."""
    repeats: int = 3
    """Runs with one and with two workers, in turn."""
    tasks: int = 60
    """Tasks of a second each, for what scheduling costs."""
    out: Path = Path("outputs/bench_cluster")
    """Folder of what is found; run again, it goes on from there."""
    only: tuple[str, ...] = ()
    """Parts: equal, memory, overhead, throughput, costs, real; all these where empty. Or blocks, of a town made with
    --encoder."""
    redo: tuple[str, ...] = ()
    """Parts that are measured again."""


@dataclass(frozen=True)
class DynamicBench:
    """What `bench dynamic` measures."""

    seeds: int = 3
    """Fields that are trained."""
    only: tuple[str, ...] = ()
    """Rows by name, such as "closed form, K = 3; ours"; all where empty."""
    out: Path = Path("outputs/bench_dynamic")
    """Folder of what is found; run again, it goes on from there."""


@dataclass(frozen=True)
class SuiteBench:
    """What `bench suite` measures."""

    only: tuple[str, ...] = ()
    """Parts: ask, teach, find; all where empty."""
    seeds: int = 3
    """Draws of clicks, and of the things that linking is learnt from."""
    texts: tuple[str, ...] = ("templates",)
    """Who writes for methods that ask: templates, file:TEXTS.json and others."""
    spread: tuple[int, ...] = (0,)
    """Gaussians of each clicked thing that are examples beside it."""
    labels: Path | None = None
    """Folder of LERF-OVS labels; label/ beside the capture by default."""
    out: Path = Path("outputs/bench_suite")
    """Folder of what is found; run again, it goes on from there."""


SHARDS, SUITE = ShardBench(), SuiteBench()
RASTER, FIELD, VIEWER, QUERY = RasterBench(), FieldBench(), ViewerBench(), QueryBench()
PAPER, ONLINE, DYNAMIC, CLUSTER = PaperBench(), OnlineBench(), DynamicBench(), ClusterBench()
