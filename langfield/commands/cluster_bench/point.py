"""One run of the cluster's stages as a program that prints JSON: in a process of its own its memory is its own."""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from langfield.capture.types import Camera, Points
from langfield.cluster.codebook import fit_codebook_on
from langfield.cluster.lift import ClusterLift
from langfield.cluster.pool import Pool, PoolSettings
from langfield.cluster.prepare import prepare
from langfield.cluster.start import connected
from langfield.cluster.store import Store
from langfield.cluster.types import Tally
from langfield.commands.output import print_json
from langfield.embed import FrameFeatures
from langfield.errors import LangfieldError
from langfield.field.lift_solve import Lifted, lift
from langfield.field.photometric import PhotometricSettings, scene_extent, start_gaussians
from langfield.fit import lift_view
from langfield.raster import Gaussians
from langfield.settings import RunSettings

FEATURES = "language_features"


@dataclass(frozen=True)
class Point:
    """What is run."""

    data: str
    """A capture with true 2D features beside it, as scenes/make_town.py --features writes it."""
    workers: int = 2
    photos: int | None = None
    """Use only this many."""
    real: bool = False
    """Find masks and embed them with real models instead of taking the true ones."""
    lifted: bool = True
    """Fit the codebook and lift as well."""
    serial: bool = False
    """Lift serially as well, and compare."""
    parts: int = 4
    gaussians: int | None = None
    """Start points that become Gaussians; all by default."""


def measure(point: Point) -> dict[str, Any]:
    """Run it in a process of its own.

    Raises:
        LangfieldError: it failed; its last words are in the message.
    """
    command = [sys.executable, "-m", "langfield.commands.cluster_bench.point", json.dumps(asdict(point))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise LangfieldError(f"a measurement failed: {done.stderr.strip()[-300:]}", point)
    return json.loads(done.stdout[done.stdout.index("{") :])


def run(point: Point, root: Path) -> dict[str, Any]:
    """Do all stages with an empty cache at `root`.

    Returns:
        seconds of the stages and of starting Ray; each stage's tally; peak memory of this process before and after;
        hashes of the codebook and of the codes; where serial, how many codes differ and by how much reliabilities do.
    """
    torch.set_num_threads(1)
    settings, store, start = _settings(point, root), Store(root), time.monotonic()
    about = asdict(point) | {"data": Path(point.data).name}
    found: dict[str, Any] = {"point": about, "rss_mib_before": _rss_mib()}
    with connected("local", point.workers), Pool(PoolSettings(workers=point.workers)) as pool:
        found["start_s"] = round(time.monotonic() - start, 3)
        start, usage = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        prepared = prepare(Path(point.data), settings, pool, store)
        tallies = list(prepared.tallies)
        if point.lifted:
            views = [(f.camera, prepared.features[f.name]) for f in prepared.training]
            gaussians = gaussians_of(prepared.capture.points, [c for c, _ in views], point.gaussians)
            tallies.append(Tally("codebook"))
            below = [FrameFeatures(*(p.relative_to(root) for p in (f.segments, f.embeddings))) for _, f in views]
            codec = fit_codebook_on(pool, store, below, settings.codebook, tallies[-1])
            lifter = ClusterLift(pool, store, views, settings.lift)
            lifted = lifter.solve(gaussians, codec, point.parts)
            tallies += lifter.tallies.values()
            found |= {"gaussians": len(gaussians), "codebook": _hash(codec.basis), "codes": _hash(lifted.codes),
                      "reliability": _hash(lifted.reliability)}  # fmt: skip
        found["seconds"] = round(time.monotonic() - start, 3)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    found["driver_cpu_s"] = round(usage.ru_utime + usage.ru_stime - used, 3)
    found |= {"rss_mib": _rss_mib(), "stages": {t.stage: t.about() for t in tallies}, "bytes": _bytes(root)}
    if point.lifted and point.serial:
        serial = lift(gaussians, [lift_view(f, c) for c, f in views], codec, settings.lift)
        found["serial"] = compare(lifted, serial)
    return found


def gaussians_of(points: Points, cameras: list[Camera], most: int | None) -> Gaussians:
    """Make Gaussians of start points, untrained: the work of lifting them is that of trained ones."""
    settings = PhotometricSettings(max_gaussians=most or max(1, len(points.xyz)))
    parameters = start_gaussians(points, scene_extent(cameras, points.xyz), settings)
    sh = torch.cat([parameters["sh0"], parameters["shN"]], dim=1)
    return Gaussians(parameters["means"], parameters["quats"], parameters["scales"], parameters["opacities"], sh)


def compare(found: Lifted, serial: Lifted) -> dict[str, Any]:
    """Say how far a lifting is from the serial one."""
    codes = found.codes.shape[0] * found.codes.shape[1]
    away = (found.reliability - serial.reliability).abs() / serial.reliability.abs().clamp_min(1e-12)
    differ = int((found.codes != serial.codes).any(dim=-1).sum())
    return {"codes": codes, "codes_that_differ": differ, "reliability_off_at_most": float(away.max())}


def _settings(point: Point, root: Path) -> RunSettings:
    settings = RunSettings(max_views=point.photos, hold_out_every=0, cache_dir=root)
    return settings if point.real else replace(settings, language_features=Path(point.data) / FEATURES)


def _bytes(root: Path) -> dict[str, int]:
    return {
        stage.name: sum(p.stat().st_size for p in stage.rglob("*") if p.is_file())
        for stage in sorted(root.iterdir()) if stage.is_dir()
    }  # fmt: skip


def _rss_mib() -> float:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _hash(tensor: torch.Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]


def main() -> None:
    """Run the point that the first argument describes, and print what was found."""
    with TemporaryDirectory() as folder:
        print_json(run(Point(**json.loads(sys.argv[1])), Path(folder)))


if __name__ == "__main__":
    main()
