"""A whole run of the cluster's stages on a small scene; as a program it is a driver that can be killed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from langfield.cluster.lift import ClusterLift
from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.prepare import prepare
from langfield.cluster.start import connected
from langfield.cluster.store import Store
from langfield.field.lift import Sums
from langfield.settings import RunSettings
from tests.tiny import tiny_gaussians

SETTINGS = RunSettings(segmenter="components", image_encoder="tests.tiny:ColourEncoder", hold_out_every=0)
STAGES = ("photos", "segments", "embeddings", "scenes", "looks", "parts")


def drive(scene: Path, root: Path, pool: Any) -> Sums:
    """Do all stages, and give what the views say of the scene's true Gaussians."""
    store = Store(root)
    found = prepare(scene, SETTINGS, pool, store)
    views = [(frame.camera, found.features[frame.name]) for frame in found.training]
    return ClusterLift(pool, store, views, SETTINGS.lift).sums(tiny_gaussians()[0], parts=3)


def artefacts(root: Path) -> dict[str, bytes]:
    """The bytes of all finished artefacts, by name."""
    files = [p for stage in STAGES for p in (root / stage).rglob("*") if p.is_file() and ".tmp" not in p.name]
    return {str(p.relative_to(root)): p.read_bytes() for p in files}


if __name__ == "__main__":
    with connected("local", 1), Pool(PoolSettings(workers=1)) as own:
        drive(Path(sys.argv[1]), Path(sys.argv[2]), own)
