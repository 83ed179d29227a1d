"""The colour stage of a large scene: every block of it trained by a worker, and the blocks put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from langfield.artefacts import content_key, file_key, read_tensors, write_tensors
from langfield.capture.types import Frame, Points
from langfield.cluster.lift_work import tensor_hash
from langfield.cluster.store import Store
from langfield.cluster.tree import all_of
from langfield.cluster.types import Tally, Workers
from langfield.device import raster_device
from langfield.field.blocks import BlockSettings, merge_blocks, plan_blocks
from langfield.field.photometric import PhotometricFit, start_points, view_order
from langfield.fit import load_state, save_state, training_view
from langfield.raster import Gaussians
from langfield.settings import RunSettings

VERSION = 1
STEPS_PER_SAVE = 500
"""Steps that a worker's death costs at most."""


@dataclass(frozen=True)
class BlockWork:
    """Start points and frames of a block to its Gaussians; gives their file, named below the store's root."""

    store: Store
    settings: RunSettings

    def open(self) -> Callable[[tuple[Path, tuple[Frame, ...]]], Path]:
        """See `langfield.cluster.types.Work`."""
        return self._block

    def _block(self, item: tuple[Path, tuple[Frame, ...]]) -> Path:
        store, settings = self.store.at_worker(), self.settings
        frames = [replace(f, path=store.bring(f.path)) for f in item[1]]
        seen = [(file_key(f.path), f.camera.K, f.camera.T_world_camera) for f in frames]
        how = (settings.photometric, settings.train_side_px, settings.seed)
        key = content_key("block", VERSION, item[0].stem, seen, how)
        path = store.cache.path("blocks", key, ".safetensors")
        if not store.has("blocks", path):
            unfinished = store.cache.path("blocks", key, ".unfinished.pt")
            points = read_tensors(store.fetch("blocks", item[0]))[0]
            gaussians = self._train(Points(points["xyz"], points["rgb"]), frames, unfinished)
            write_tensors(path, vars(gaussians))
            store.keep(path)
            unfinished.unlink(missing_ok=True)
        return path.relative_to(store.root)

    def _train(self, points: Points, frames: Sequence[Frame], unfinished: Path) -> Gaussians:
        """Train one block, from where a worker that died has left it on this machine."""
        settings = self.settings
        views = [training_view(f, settings.train_side_px) for f in frames]
        fit = PhotometricFit(points, [v.camera for v in views], settings.photometric, raster_device(settings.device))
        first = 0
        if unfinished.is_file():
            saved = load_state(unfinished)
            fit.load_state(saved["fit"])
            first = saved["step"]
        for step in range(first, settings.photometric.steps):
            view = views[view_order(len(views), step, settings.seed)]
            fit.step(step, view.camera, view.target())
            if (step + 1) % STEPS_PER_SAVE == 0:
                save_state(unfinished, {"step": step + 1, "fit": fit.state()})
        return fit.gaussians


def train_blocks(
    pool: Workers, store: Store, scene: tuple[Sequence[Frame], Points], settings: tuple[RunSettings, BlockSettings],
    tally: Tally,
) -> Gaussians:  # fmt: skip
    """Train a scene block by block and put it together; the same bits whatever the workers.

    Args:
        pool: what works; each block is an item.
        store: where everything goes.
        scene: training frames and start points.
        settings: of the run (`photometric.steps` are those of each block), and how the scene is cut.
        tally: grows.

    Raises:
        SettingsError: a setting is out of range.
        LangfieldError: a problem of all blocks, see `Pool.map`.
    """
    frames, points = scene
    run, cut = settings
    cameras = [f.camera for f in frames]
    points = start_points(points, cameras, run.photometric)
    cells, blocks = plan_blocks(cameras, points.xyz, cut)
    sent = [replace(f, path=store.send(f.path), mask_path=None, depth_path=None) for f in frames]
    items = [
        (_leave(store, Points(points.xyz[b.points], points.rgb[b.points])), tuple(sent[row] for row in b.views))
        for b in blocks
    ]
    files = all_of(pool, BlockWork(store, run), items, tally)
    parts = [Gaussians(**read_tensors(store.fetch("blocks", file))[0]) for file in files]
    return merge_blocks(cells, parts)


def _leave(store: Store, points: Points) -> Path:
    """Put a block's start points where workers find them."""
    tensors = {"xyz": points.xyz.contiguous(), "rgb": points.rgb.contiguous()}
    key = content_key("points", VERSION, [tensor_hash(t) for t in tensors.values()])
    path = store.cache.path("blocks", key, ".safetensors")
    if not store.has("blocks", path):
        write_tensors(path, tensors)
        store.keep(path)
    return path.relative_to(store.root)
