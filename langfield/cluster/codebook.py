"""One codebook for all photos: spherical k-means in mini-batches whose sums come from workers.

Mini-batches with a count per centre follow Sculley (Web-scale k-means clustering, WWW 2010), on the sphere: a centre is
the direction of the sum of all vectors that were nearest to it in this turn. Which photos make a batch follows from the
seed, sums follow a fixed tree in float64: the result is the same bits whatever the workers. The atoms are then refined
for sparse codes on a sample, as `langfield.codec.codebook` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import normalize

from langfield.artefacts import content_key, read_tensors, write_tensors
from langfield.cluster.lift_work import at_store, tensor_hash
from langfield.cluster.store import Store
from langfield.cluster.tree import all_of, tree_sum
from langfield.cluster.types import Tally, Workers
from langfield.codec.atoms import replace_unused, spread_start
from langfield.codec.codebook import (
    Codebook,
    CodebookSettings,
    directions_from,
    finish_codebook,
    sample_rows,
)
from langfield.codec.fidelity import report_fidelity
from langfield.embed import FrameFeatures
from langfield.errors import SettingsError
from langfield.field.lift_solve import segments_of
from langfield.threads import one_thread

VERSION = 1
VIEWS_AT_ONCE = 64
BATCHES = 4
"""Mini-batches of a turn."""
Chunk = tuple[FrameFeatures, ...]


@dataclass(frozen=True)
class CountWork:
    """Vectors of views to how many they are and their sum; gives the sum's file, named below the store's root."""

    store: Store

    def open(self) -> Callable[[Chunk], tuple[Path, int]]:
        """See `langfield.cluster.types.Work`."""
        return self._count

    def _count(self, chunk: Chunk) -> tuple[Path, int]:
        store = self.store.at_worker()
        vectors = vectors_of(chunk, store)
        path = store.cache.path("sums", _key("mean", chunk), ".safetensors")
        if not store.has("sums", path):
            write_tensors(path, {"sum": vectors.double().sum(dim=0)})
            store.keep(path)
        return path.relative_to(store.root), len(vectors)


@dataclass(frozen=True)
class RowsWork:
    """Some rows of the vectors of views; gives their file, named below the store's root."""

    store: Store

    def open(self) -> Callable[[tuple[Chunk, tuple[int, ...]]], Path]:
        """See `langfield.cluster.types.Work`."""
        return self._rows

    def _rows(self, item: tuple[Chunk, tuple[int, ...]]) -> Path:
        store, (chunk, rows) = self.store.at_worker(), item
        path = store.cache.path("sums", _key("rows", chunk, rows), ".safetensors")
        if not store.has("sums", path):
            write_tensors(path, {"rows": vectors_of(chunk, store)[list(rows)]})
            store.keep(path)
        return path.relative_to(store.root)


@dataclass(frozen=True)
class NearestWork:
    """Vectors of views to the sums of those nearest to each centre; gives the file, named below the store's root."""

    store: Store
    centres: Path
    """Centres and mean, named below the store's root."""

    def open(self) -> Callable[[Chunk], Path]:
        """See `langfield.cluster.types.Work`."""
        tensors, _ = read_tensors(self.store.at_worker().fetch("sums", self.centres))
        return lambda chunk: self._nearest(chunk, tensors["centres"], tensors["mean"])

    def _nearest(self, chunk: Chunk, centres: Float[Tensor, "A D"], mean: Float[Tensor, " D"]) -> Path:
        store = self.store.at_worker()
        path = store.cache.path("sums", _key("nearest", chunk, self.centres.stem), ".safetensors")
        if not store.has("sums", path):
            with one_thread():
                sums, counts = nearest_sums(directions_from(vectors_of(chunk, store), mean), centres)
            write_tensors(path, {"sums": sums, "counts": counts})
            store.keep(path)
        return path.relative_to(store.root)


def nearest_sums(
    directions: Float[Tensor, "M D"], centres: Float[Tensor, "A D"]
) -> tuple[Float[Tensor, "A D"], Float[Tensor, " A"]]:
    """Give, float64, the sum of the directions nearest to each centre, and how many they are."""
    owner = (directions @ centres.T).argmax(dim=1)
    sums = torch.zeros(centres.shape, dtype=torch.float64).index_add_(0, owner, directions.double())
    return sums, torch.bincount(owner, minlength=len(centres)).double()


def fit_codebook_on(
    pool: Workers, store: Store, features: Sequence[FrameFeatures], settings: CodebookSettings, tally: Tally
) -> Codebook:
    """Learn a codebook from the embeddings of all views, none of which have to fit here together.

    Args:
        pool: what works.
        store: where the features are.
        features: files named below the store's root, in the order of the views.
        settings: how; `cluster_steps` are turns over all views, each in mini-batches.
        tally: grows.

    Raises:
        SettingsError: there are fewer than two vectors.
        LangfieldError: a problem of all views, see `Pool.map`.
    """
    chunks = [tuple(features[at : at + VIEWS_AT_ONCE]) for at in range(0, len(features), VIEWS_AT_ONCE)]
    counted = all_of(pool, CountWork(store), chunks, tally)
    total = sum(many for _, many in counted)
    if total < 2:
        raise SettingsError("a codebook needs two vectors", f"{total} in all views")
    mean = (tree_sum(pool, store, [file for file, _ in counted], tally)["sum"] / total).float()
    sample = _sample(pool, store, chunks, ([many for _, many in counted], settings.seed), tally)
    with one_thread():
        directions = directions_from(sample, mean)
        if len(directions) == 0:
            return finish_codebook(sample, mean, sample[:1], settings)
        atoms = directions[spread_start(directions, settings.atoms, torch.Generator().manual_seed(settings.seed))]
    draw = torch.Generator().manual_seed(settings.seed)
    for _ in range(settings.cluster_steps):
        atoms = _turn(pool, store, chunks, (atoms, mean, directions, draw), tally)
    with one_thread():
        codec = finish_codebook(sample, mean, atoms, settings)
        codec.fidelity = report_fidelity(
            f"codebook of {len(codec.atoms)} atoms", sample, codec.decode(codec.encode(sample))
        )
    return codec


def _turn(
    pool: Workers, store: Store, chunks: Sequence[Chunk], state: tuple[Tensor, Tensor, Tensor, torch.Generator],
    tally: Tally,
) -> Float[Tensor, "A D"]:  # fmt: skip
    """Go through all views once, moving the centres after every mini-batch."""
    atoms, mean, directions, draw = state
    order = torch.randperm(len(chunks), generator=draw)
    sums, counts = torch.zeros(atoms.shape, dtype=torch.float64), torch.zeros(len(atoms), dtype=torch.float64)
    for rows in order.tensor_split(min(BATCHES, len(chunks))):
        work = NearestWork(store, _leave(store, atoms, mean))
        files = all_of(pool, work, [chunks[i] for i in sorted(rows.tolist())], tally)
        found = tree_sum(pool, store, files, tally)
        sums, counts = sums + found["sums"], counts + found["counts"]
        moved = torch.where((counts > 0)[:, None], normalize(sums, dim=-1), atoms.double()).float()
        atoms = moved
    with one_thread():
        return replace_unused(atoms, counts == 0, directions, -(directions @ atoms.T).amax(dim=1))


def _sample(
    pool: Workers, store: Store, chunks: Sequence[Chunk], drawn: tuple[list[int], int], tally: Tally
) -> Float[Tensor, "m D"]:
    """Give the vectors that a codebook is refined on: those that the serial fit would draw."""
    many, seed = drawn
    rows = sample_rows(sum(many), seed)
    ends = torch.tensor(many).cumsum(0)
    chunk = torch.searchsorted(ends, rows, right=True)
    order = chunk.argsort(stable=True)
    items = []
    for i in range(len(chunks)):
        of_chunk: Int64[Tensor, " K"] = rows[order[chunk[order] == i]] - (ends[i] - many[i])
        items.append((chunks[i], tuple(of_chunk.tolist())))
    files = all_of(pool, RowsWork(store), [item for item in items if item[1]], tally)
    found = torch.cat([read_tensors(store.fetch("sums", file))[0]["rows"] for file in files])
    return torch.empty_like(found).index_copy_(0, order, found)


def vectors_of(chunk: Chunk, store: Store) -> Float[Tensor, "M D"]:
    """Read the unit vectors of views, float32."""
    return segments_of([at_store(store, f).load()[1] for f in chunk]).vectors


def _leave(store: Store, centres: Float[Tensor, "A D"], mean: Float[Tensor, " D"]) -> Path:
    key = content_key("centres", VERSION, tensor_hash(centres), tensor_hash(mean))
    path = store.cache.path("sums", key, ".safetensors")
    if not store.has("sums", path):
        write_tensors(path, {"centres": centres, "mean": mean})
        store.keep(path)
    return path.relative_to(store.root)


def _key(what: str, chunk: Chunk, *more: object) -> str:
    return content_key(what, VERSION, [f.embeddings.stem for f in chunk], *more)
