"""What workers do when they lift: look at views, add up what is said of a part of the scene, solve it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from jaxtyping import Int64
from torch import Tensor

from langfield.artefacts import content_key, read_json, read_rows, read_tensors, write_json, write_tensors
from langfield.capture.types import Camera
from langfield.cluster.store import Store
from langfield.codec import load_codec
from langfield.codec.types import Codec
from langfield.embed import FrameFeatures
from langfield.errors import FormatError
from langfield.field.blocks import cut_space
from langfield.field.lift import SEGMENT_BITS, Sums, load_sums, look, merge, rename
from langfield.field.lift_solve import Lifted, LiftSettings, lift_codes, segments_of
from langfield.raster import Gate, Gaussians
from langfield.raster.threads import kernels_only

VERSION = 1
LEVELS = 3
MERGED_AT_ONCE = 32


@dataclass(frozen=True)
class View:
    """What a worker needs to look."""

    number: int
    camera: Camera
    features: FrameFeatures
    """Named below the store's root."""


@dataclass(frozen=True)
class Scene:
    """Gaussians in a file, and the part each belongs to."""

    file: Path
    """Named below the store's root."""
    parts: int


@dataclass(frozen=True)
class LookWork:
    """Views to what they say, sorted by part; gives the file, named below the store's root, and the parts it is of."""

    store: Store
    scene: Scene
    settings: LiftSettings

    def open(self) -> Callable[[tuple[View, ...]], tuple[Path, tuple[int, ...]]]:
        """See `langfield.cluster.types.Work`."""
        store = self.store.at_worker()
        gaussians, owner = read_scene(store.fetch("scenes", self.scene.file))
        return lambda views: self._look(views, gaussians, owner, store)

    def _look(
        self, views: tuple[View, ...], gaussians: Gaussians, owner: Int64[Tensor, " N"], store: Store
    ) -> tuple[Path, tuple[int, ...]]:
        gate = Gate(self.settings.coverage, self.settings.floor)
        seen = [(v.number, v.camera.K, v.camera.T_world_camera, v.features.segments.stem) for v in views]
        key = content_key("look", VERSION, self.scene.file.stem, self.scene.parts, gate, seen)
        path = store.cache.path("looks", key, ".safetensors")
        if not store.has("looks", path):
            with torch.no_grad(), kernels_only():
                sums = merge([_one_look(v, gaussians, gate, store) for v in views])
            part = owner[sums.gaussian]
            order = part.argsort(stable=True)
            first = torch.bincount(part, minlength=self.scene.parts).cumsum(0)
            first = torch.cat([first.new_zeros(1), first])
            write_tensors(path, {"key": sums.key[order], "steps": sums.steps[order], "first": first})
            store.keep(path)
        first = read_rows(path, 0, self.scene.parts + 1, ["first"])["first"]
        return path.relative_to(store.root), tuple(first.diff().nonzero()[:, 0].tolist())


def _one_look(view: View, gaussians: Gaussians, gate: Gate, store: Store) -> Sums:
    segments, _ = at_store(store, view.features).load()
    height, width = segments.ids.shape[1:]
    return look(gaussians, view.camera.resized(width, height), torch.from_numpy(segments.ids), view.number, gate)


def at_store(store: Store, found: FrameFeatures) -> FrameFeatures:
    """Give a view's features as files here."""
    return FrameFeatures(store.fetch("segments", found.segments), store.fetch("embeddings", found.embeddings))


@dataclass(frozen=True)
class PartWork:
    """A part and the looks that are of it to what all views say of it; gives the file, named below the store's root."""

    store: Store

    def open(self) -> Callable[[tuple[int, tuple[Path, ...]]], Path]:
        """See `langfield.cluster.types.Work`."""
        return self._part

    def _part(self, item: tuple[int, tuple[Path, ...]]) -> Path:
        store, (part, looks) = self.store.at_worker(), item
        path = store.cache.path("parts", content_key("part", VERSION, part, [p.stem for p in looks]), ".safetensors")
        if not store.has("parts", path):
            total = merge([])
            for at in range(0, len(looks), MERGED_AT_ONCE):
                files = looks[at : at + MERGED_AT_ONCE]
                total = merge([total, *(slice_of(store.fetch("looks", file), part) for file in files)])
            write_tensors(path, total.tensors())
            store.keep(path)
        return path.relative_to(store.root)


def slice_of(file: Path, part: int) -> Sums:
    """Read what `LookWork` left of one part.

    Raises:
        FormatError: the file is damaged.
    """
    first = read_rows(file, part, part + 2, ["first"])["first"]
    if first.dtype != torch.int64 or first.shape != (2,):
        raise FormatError(f"first row of each part is {first.dtype} {list(first.shape)}, not int64 [2]", file)
    start, stop = first.tolist()
    return load_sums(read_rows(file, start, stop, ["key", "steps"]))


@dataclass(frozen=True)
class ProductWork:
    """Vectors of views to the sum of their outer products; gives the file, named below the store's root."""

    store: Store

    def open(self) -> Callable[[tuple[FrameFeatures, ...]], Path]:
        """See `langfield.cluster.types.Work`."""
        return self._products

    def _products(self, features: tuple[FrameFeatures, ...]) -> Path:
        store = self.store.at_worker()
        key = content_key("products", VERSION, [f.embeddings.stem for f in features])
        path = store.cache.path("sums", key, ".safetensors")
        if not store.has("sums", path):
            with torch.no_grad(), kernels_only():
                vectors = segments_of([at_store(store, f).load()[1] for f in features]).vectors.double()
                write_tensors(path, {"products": vectors.T @ vectors})
            store.keep(path)
        return path.relative_to(store.root)


@dataclass(frozen=True)
class SolveWork:
    """What views say of a part to its codes; gives the file, named below the store's root."""

    store: Store
    scene: Scene
    codec: Path
    """Codec and axes."""
    views: Path
    """List of the files of each view's features."""
    settings: LiftSettings

    def open(self) -> Callable[[tuple[int, Path]], Path]:
        """See `langfield.cluster.types.Work`."""
        store = self.store.at_worker()
        tensors, about = read_tensors(store.fetch("sums", self.codec))
        axes = tensors.pop("axes")
        codec = load_codec(tensors, about)
        views = {i: FrameFeatures(Path(s), Path(e)) for i, (s, e) in enumerate(read_list(store, self.views))}
        owner = read_scene(store.fetch("scenes", self.scene.file))[1]
        return lambda item: self._solve(item, (codec, axes), owner, (store, views))

    def _solve(
        self, item: tuple[int, Path], code: tuple[Codec, Tensor], owner: Int64[Tensor, " N"],
        given: tuple[Store, dict[int, FrameFeatures]],
    ) -> Path:  # fmt: skip
        (part, file), (store, views) = item, given
        key = content_key("solved", VERSION, file.stem, self.codec.stem, self.settings, part)
        path = store.cache.path("solved", key, ".safetensors")
        if not store.has("solved", path):
            rows = (owner == part).nonzero()[:, 0]
            name = torch.full((len(owner),), -1).index_copy_(0, rows, torch.arange(len(rows)))
            sums = rename(load_sums(read_tensors(store.fetch("parts", file))[0]), name)
            seen = (sums.column >> SEGMENT_BITS).unique().tolist()
            if seen:
                segments = segments_of({v: at_store(store, views[v]).load()[1] for v in seen})
                lifted = lift_codes(sums, replace(segments, axes=code[1]), code[0], len(rows), self.settings, LEVELS)
            else:
                blank = code[0].encode(torch.zeros(1, code[0].dim))
                codes = blank.half() if blank.is_floating_point() else blank
                lifted = Lifted(codes.new_zeros(LEVELS, len(rows), codes.shape[1]), torch.zeros(LEVELS, len(rows)))
            write_tensors(path, {"rows": rows, "codes": lifted.codes, "reliability": lifted.reliability})
            store.keep(path)
        return path.relative_to(store.root)


def read_scene(file: Path) -> tuple[Gaussians, Int64[Tensor, " N"]]:
    """Read what `write_scene` wrote.

    Raises:
        FormatError: the file is damaged.
    """
    tensors, _ = read_tensors(file)
    owner = tensors.pop("owner", torch.zeros(0))
    n = len(owner) if owner.ndim else 0
    shapes = {"means": (n, 3), "quats": (n, 4), "log_scales": (n, 3), "logit_opacities": (n,)}
    sh = tensors.get("sh", torch.zeros(0))
    whole = {name: tuple(t.shape) for name, t in tensors.items() if name != "sh"} == shapes
    if not whole or owner.dtype != torch.int64 or sh.ndim != 3 or (len(sh), sh.shape[2]) != (n, 3):
        raise FormatError("not a scene of a cluster", file, "run the same command again")
    return Gaussians(**tensors), owner


def write_scene(gaussians: Gaussians, parts: int, store: Store) -> Scene:
    """Leave Gaussians where workers find them, cut into parts by space.

    Args:
        gaussians: N Gaussians.
        parts: at most as many as there are Gaussians.
        store: where.
    """
    gaussians = gaussians.detach()
    tensors = {name: t.cpu() for name, t in vars(gaussians).items()}
    parts = max(1, min(parts, len(gaussians)))
    owner = cut_space(gaussians.means, parts).owner(gaussians.means)
    key = content_key("scene", VERSION, {n: tensor_hash(t) for n, t in {**tensors, "owner": owner}.items()})
    path = store.cache.path("scenes", key, ".safetensors")
    if not store.has("scenes", path):
        write_tensors(path, {**tensors, "owner": owner})
        store.keep(path)
    return Scene(path.relative_to(store.root), parts)


def tensor_hash(tensor: Tensor) -> str:
    """Hash a tensor's bytes."""

    return sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def leave_list(rows: Sequence[Sequence[str]], store: Store) -> Path:
    """Put a table of names where workers find it; gives its file, named below the store's root."""
    path = store.cache.path("lists", content_key("list", VERSION, rows), ".json")
    if not store.has("lists", path):
        write_json(path, rows)
        store.keep(path)
    return path.relative_to(store.root)


def read_list(store: Store, file: Path) -> list[list[str]]:
    """Read what `leave_list` wrote.

    Raises:
        FormatError: the file is damaged.
    """
    found = read_json(store.fetch("lists", file))
    rows = isinstance(found, list) and all(isinstance(row, list) for row in found)
    if not rows or not all(isinstance(name, str) and len(row) == 2 for row in found for name in row):
        raise FormatError("not a list of a cluster", file, "run the same command again")
    return found
