"""Lifting as map and reduce: workers look at views, add up parts of the scene, and solve them.

What a view says is kept in whole steps (`langfield.field.lift`), so sums are the serial ones to the last bit, whatever
the order and the number of workers. A part is a cell of space with about as many Gaussians as every other: what a
worker holds depends on the views that see its part, not on how large the scene is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.capture.types import Camera
from langfield.cluster.lift_work import (
    LEVELS,
    LookWork,
    PartWork,
    ProductWork,
    Scene,
    SolveWork,
    View,
    leave_list,
    tensor_hash,
    write_scene,
)
from langfield.cluster.store import Store
from langfield.cluster.tree import all_of, tree_sum
from langfield.cluster.types import Tally, Workers
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures
from langfield.field.lift import Sums, collect, load_sums
from langfield.field.lift_solve import Lifted, LiftSettings, axes_of
from langfield.raster import Gaussians

VIEWS_AT_ONCE = 8
"""Views of an item; fixed, so that results are the same files however many workers there are."""


class ClusterLift:
    """Lifting of one scene's views.

    Args:
        pool: what works.
        store: where features are and everything goes.
        views: cameras and features (files below the store's root) in their order.
        settings: how.
    """

    def __init__(
        self, pool: Workers, store: Store, views: Sequence[tuple[Camera, FrameFeatures]], settings: LiftSettings
    ) -> None:  # fmt: skip
        self.pool, self.store, self.settings = pool, store, settings
        self.views = [View(i, camera, _below(store.root, f)) for i, (camera, f) in enumerate(views)]
        self.tallies = {name: Tally(name) for name in ("look", "add", "axes", "solve")}

    def parts(self, scene: Scene) -> list[Path]:
        """Give what all views say, a file for each part, named below the store's root."""
        chunks = [tuple(self.views[at : at + VIEWS_AT_ONCE]) for at in range(0, len(self.views), VIEWS_AT_ONCE)]
        looks = all_of(self.pool, LookWork(self.store, scene, self.settings), chunks, self.tallies["look"])
        of_part: list[list[Path]] = [[] for _ in range(scene.parts)]
        for file, parts in looks:
            for part in parts:
                of_part[part].append(file)
        items = [(part, tuple(files)) for part, files in enumerate(of_part)]
        return all_of(self.pool, PartWork(self.store), items, self.tallies["add"])

    def sums(self, gaussians: Gaussians, parts: int = 4) -> Sums:
        """Give what all views say together: the same as `langfield.field.lift_solve.sum_views`, to the last bit."""
        files = self.parts(write_scene(gaussians, parts, self.store))
        found = [load_sums(read_tensors(self.store.fetch("parts", file))[0]) for file in files]
        return collect(torch.cat([s.key for s in found]), torch.cat([s.steps for s in found]))

    def solve(self, gaussians: Gaussians, codec: Codec, parts: int) -> Lifted:
        """Give the codes of Gaussians without ever holding what all views say in one place.

        Args:
            gaussians: N Gaussians.
            codec: what makes codes of vectors.
            parts: cells of space; the more, the less a worker holds.
        """
        scene = write_scene(gaussians, parts, self.store)
        files = self.parts(scene)
        features = leave_list([[str(v.features.segments), str(v.features.embeddings)] for v in self.views], self.store)
        work = SolveWork(self.store, scene, self._leave_codec(codec), features, self.settings)
        solved = all_of(self.pool, work, list(enumerate(files)), self.tallies["solve"])
        blank = read_tensors(self.store.fetch("solved", solved[0]))[0]["codes"]
        codes = blank.new_zeros(LEVELS, len(gaussians), blank.shape[-1])
        reliability = torch.zeros(LEVELS, len(gaussians))
        for file in solved:
            found = read_tensors(self.store.fetch("solved", file))[0]
            codes[:, found["rows"]] = found["codes"]
            reliability[:, found["rows"]] = found["reliability"]
        return Lifted(codes, reliability)

    def _leave_codec(self, codec: Codec) -> Path:
        """Put codec and the axes of all vectors where workers find them."""
        files = [v.features for v in self.views]
        chunks = [tuple(files[at : at + VIEWS_AT_ONCE]) for at in range(0, len(files), VIEWS_AT_ONCE)]
        leaves = all_of(self.pool, ProductWork(self.store), chunks, self.tallies["axes"])
        products = tree_sum(self.pool, self.store, leaves, self.tallies["axes"])["products"]
        axes = axes_of(products, self.settings.subspace)
        tensors = {**codec.tensors(), "axes": axes}
        key = content_key("codec and axes", {n: tensor_hash(t) for n, t in tensors.items()}, codec.about())
        path = self.store.cache.path("sums", key, ".safetensors")
        write_tensors(path, tensors, codec.about())
        self.store.keep(path)
        return path.relative_to(self.store.root)


def _below(root: Path, found: FrameFeatures) -> FrameFeatures:
    return FrameFeatures(found.segments.relative_to(root), found.embeddings.relative_to(root))
