"""What workers leave for each other: scenes, looks and lists."""

from __future__ import annotations

from pathlib import Path

from langfield.cluster.lift_work import leave_list, read_list, read_scene, slice_of, write_scene
from langfield.cluster.store import Store
from tests.cluster.here import Here
from tests.cluster.views import make_views

PARTS = 3


def cluster_folder(root: Path) -> list[Path]:
    """Give a folder with one file of each kind."""
    from langfield.cluster.lift import ClusterLift
    from langfield.field.lift_solve import LiftSettings

    store, folder = Store(root / "store"), root / "a"
    gaussians, views, _ = make_views(store, 2)
    lifter = ClusterLift(Here(), store, views, LiftSettings())
    scene = write_scene(gaussians, PARTS, store)
    lifter.parts(scene)
    (look,) = (store.root / "looks").rglob("*.safetensors")
    folder.mkdir()
    (store.root / scene.file).rename(folder / "scene.safetensors")
    look.rename(folder / "look.safetensors")
    (store.root / leave_list([["a", "b"], ["c", "d"]], store)).rename(folder / "list.json")
    return [folder]


def use_cluster(folder: Path) -> None:
    """Read all of them."""
    read_scene(folder / "scene.safetensors")
    for part in range(PARTS):
        slice_of(folder / "look.safetensors", part)
    read_list(Store(folder), Path("list.json"))
