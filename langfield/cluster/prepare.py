"""The stages before training, on a cluster: what `prepare_frames`, `segment_frames` and `embed_frames` leave in the
cache, so that the ordinary command finds all of it there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from langfield.cache import open_cache
from langfield.capture import read_capture
from langfield.capture.types import Capture, Frame
from langfield.cluster.photos import fail, make_features, make_frames
from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.start import Cluster
from langfield.cluster.store import Store
from langfield.cluster.types import Tally
from langfield.embed import FrameFeatures
from langfield.settings import RunSettings
from langfield.stages import choose_views, prepare_frames, split_views


@dataclass(frozen=True)
class ClusterSettings:
    """Where a run's stages are computed."""

    address: str = "local"
    """local: processes of this machine; auto: the cluster that `ray start` made here; or HOST:PORT, ray://HOST:PORT."""
    workers: int | None = None
    """Processes; one for each GPU where there are any, else for each CPU."""
    threads: int = 1
    """Threads of each."""
    store: str | None = None
    """URL of a store that all machines reach (s3://..., gs://..., any that fsspec knows); without it they must see the
    same folders."""


@dataclass(frozen=True)
class Prepared:
    """What the stages before training have left."""

    capture: Capture
    training: tuple[Frame, ...]
    features: dict[str, FrameFeatures]
    """Of the training frames, by name."""
    left_out: tuple[str, ...]
    """Names of photos that could not be used."""
    tallies: tuple[Tally, ...]


def pool_settings(cluster: Cluster, how: ClusterSettings) -> PoolSettings:
    """Give how many workers there will be and what each reserves."""
    gpus = 1.0 if cluster.gpus >= 1 else 0.0
    most = int(cluster.gpus) if gpus else int(cluster.cpus // how.threads)
    return PoolSettings(max(1, how.workers or most), how.threads, gpus=gpus)


def open_store(settings: RunSettings, how: ClusterSettings) -> Store:
    """Give the run's cache folder, and the store behind it."""
    return Store(open_cache(settings.cache_dir).root, how.store, settings.redo)


def prepare(data: Path, settings: RunSettings, pool: Pool, store: Store) -> Prepared:
    """Make frames, masks and embeddings of a capture on workers.

    Photos that cannot be read are said, left out and listed; the result is that of a capture without them.

    Raises:
        FormatError: the capture cannot be read, or too few of its photos.
        LangfieldError: a problem of all photos, see `Pool.map`.
    """
    tallies = Tally("photos"), Tally("features")
    damaged: dict[str, str] = {}
    chosen = choose_views(read_capture(data, damaged=damaged), settings.max_views)
    for name, why in damaged.items():
        fail(tallies[0], name, why)
    made = make_frames(pool, chosen, store, settings, tallies[0])
    left_out = [*damaged, *(f.name for f in chosen.frames if f.name not in made)]
    capture = prepare_frames(data, settings, store.cache, left_out, made)
    training = split_views(capture.frames, settings.hold_out_every)[0]
    features = make_features(pool, training, store, settings, tallies[1])
    return Prepared(capture, tuple(training), features, tuple(left_out), tallies)
