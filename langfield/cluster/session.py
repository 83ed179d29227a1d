"""A run's dealings with a cluster: it is connected to while there is work for it, and what was done is summed up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langfield.artefacts import content_key
from langfield.cache import open_cache
from langfield.capture.types import Camera
from langfield.cluster.blocks import train_blocks
from langfield.cluster.codebook import fit_codebook_on
from langfield.cluster.lift import ClusterLift
from langfield.cluster.lift_work import tensor_hash
from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.prepare import Prepared, prepare
from langfield.cluster.start import Cluster, connected
from langfield.cluster.store import Store
from langfield.cluster.types import Tally
from langfield.codec.codebook import MAX_LEARNT_FROM
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures
from langfield.field.blocks import BlockSettings
from langfield.field.instance_build import solve_things
from langfield.field.instances import Instances
from langfield.field.lift_solve import Lifted, segments_of
from langfield.field.ply import write_ply
from langfield.progress import say
from langfield.raster import Gaussians
from langfield.settings import RunSettings
from langfield.stages import make_codec

MOST_TOGETHER = 1000
"""Views whose sums are put together here, so that things can be found; with more, only codes are made, part by part."""
GAUSSIANS_OF_A_PART = 50_000
VIEWS_OF_A_PART = 250


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


def pool_settings(cluster: Cluster, how: ClusterSettings) -> PoolSettings:
    """Give how many workers there will be and what each reserves."""
    gpus = 1.0 if cluster.gpus >= 1 else 0.0
    most = int(cluster.gpus) if gpus else int(cluster.cpus // how.threads)
    return PoolSettings(max(1, how.workers or most), how.threads, gpus=gpus)


class Session:
    """What a run asks of a cluster.

    Args:
        settings: the run's.
        how: where it is computed.
    """

    def __init__(self, settings: RunSettings, how: ClusterSettings) -> None:
        self.settings, self.how = settings, how
        self.store = Store(open_cache(settings.cache_dir).root, how.store, settings.redo)
        self._tallies: list[Tally] = []
        self._cluster: Cluster | None = None
        self._workers = 0
        self._left_out: tuple[str, ...] = ()
        self.coloured_by: str | None = None
        """What trained the colours here, None where nothing did."""

    @contextmanager
    def workers(self) -> Iterator[Pool]:
        """Have workers inside.

        Raises:
            EnvironmentProblem: there is no cluster.
        """
        with connected(self.how.address, self.how.workers) as cluster:
            settings = pool_settings(cluster, self.how)
            self._cluster, self._workers = cluster, settings.workers or 1
            with Pool(settings) as pool:
                yield pool

    def prepare(self, data: Path) -> Prepared:
        """Make frames, masks and embeddings of a capture (`langfield.cluster.prepare.prepare`)."""
        with self.workers() as pool:
            found = prepare(data, self.settings, pool, self.store)
        self._tallies += found.tallies
        self._left_out = found.left_out
        return found

    def colour(self, found: Prepared, blocks: BlockSettings) -> Path:
        """Train the colours of a scene block by block; gives a PLY in the cache.

        Args:
            found: what `prepare` gave.
            blocks: how the scene is cut.
        """
        tally, store = Tally("blocks"), self.store
        self.coloured_by = f"colours trained in {blocks.blocks} block{'s' if blocks.blocks > 1 else ''}"
        self._tallies.append(tally)
        scene = (found.training, found.capture.points)
        with self.workers() as pool:
            gaussians = train_blocks(pool, store, scene, (self.settings, blocks), tally)
        key = content_key("merged", {name: tensor_hash(t) for name, t in vars(gaussians).items()})
        path = store.cache.path("blocks", key, ".ply")
        if not path.is_file():
            write_ply(path, gaussians)
        return path

    def codec(self, features: Sequence[FrameFeatures]) -> Codec:
        """Fit the scene's codec: here where its vectors are few enough to be learnt from, else on workers.

        Args:
            features: of the training views.
        """
        settings, store = self.settings, self.store
        if settings.codec_kind != "codebook" or vectors_in(features) <= MAX_LEARNT_FROM:
            return make_codec(features, settings, store.cache)
        tally = Tally("codebook")
        self._tallies.append(tally)
        with self.workers() as pool:
            return fit_codebook_on(pool, store, [_below(store, f) for f in features], settings.codebook, tally)

    def lift(
        self, views: Sequence[tuple[Camera, FrameFeatures]], gaussians: Gaussians, codec: Codec
    ) -> tuple[Lifted, Instances | None]:
        """Give codes and things from what views show, looked at by workers.

        Args:
            views: cameras and features of the training views.
            gaussians: N Gaussians.
            codec: what makes codes of vectors.
        """
        with self.workers() as pool:
            lifter = ClusterLift(pool, self.store, views, self.settings.lift)
            self._tallies += lifter.tallies.values()
            if len(views) > MOST_TOGETHER:
                say(f"things are not looked for in {len(views)} views at once, only in {MOST_TOGETHER} or less")
                parts = max(len(gaussians) // GAUSSIANS_OF_A_PART, len(views) // VIEWS_OF_A_PART, 1)
                return lifter.solve(gaussians, codec, parts), None
            sums = lifter.sums(gaussians)
        segments = segments_of([features.load()[1] for _, features in views])
        return solve_things((sums, segments), codec, len(gaussians), (self.settings.lift, self.settings.instances))

    def about(self) -> dict[str, Any]:
        """Give what the run's manifest says of all this."""
        cluster = vars(self._cluster) if self._cluster is not None else {"spec": self.how.address}
        stages = {t.stage: t.about() for t in self._tallies if t.done or t.failed}
        return {**cluster, "workers": self._workers, "store": self.how.store, "left_out": self._left_out,
                "stages": stages}  # fmt: skip


def vectors_in(features: Sequence[FrameFeatures]) -> int:
    """Count the vectors of views from the heads of their files."""
    from safetensors import safe_open

    total = 0
    for found in features:
        with safe_open(found.embeddings, framework="pt") as file:
            total += file.get_slice("vectors").get_shape()[0]
    return total


def _below(store: Store, found: FrameFeatures) -> FrameFeatures:
    return FrameFeatures(found.segments.relative_to(store.root), found.embeddings.relative_to(store.root))
