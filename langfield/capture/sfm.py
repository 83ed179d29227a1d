"""Structure from motion in a process of its own: pycolmap aborts rather than raises on some input.

Run as a file (with python -P, for its neighbour types.py would hide Python's own), so that it imports
nothing but pycolmap. It reads one JSON job from
standard input and prints lines: `stage NAME TOTAL`, then `tick` for each unit done, and `end`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

POLL_S = 0.5


def line(text: str) -> None:
    """Send one line to the parent."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def stage(name: str, total: int, done: Callable[[], int]) -> Iterator[None]:
    """Announce a stage of `total` units and report, while it runs, those that `done` counts."""
    line(f"stage {name} {total}")
    finished, told = threading.Event(), 0

    def watch() -> None:
        nonlocal told
        ended = False
        while not ended:
            ended = finished.wait(POLL_S)
            with contextlib.suppress(sqlite3.Error):
                now = min(done(), total)
                for _ in range(now - told):
                    line("tick")
                told = max(told, now)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
    line("end")


def rows(database: Path, table: str) -> int:
    """Count the rows of a COLMAP table while COLMAP writes to it."""
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=1)) as link:
        return link.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 (names are ours)


def features(work: Path, job: dict[str, Any]) -> None:
    """Extract SIFT features; pictures of one group share a camera. Starts over if it was interrupted."""
    import pycolmap

    database, finished = work / "database.db", work / "features.done"
    if finished.exists():
        return
    for old in work.glob("database.db*"):
        old.unlink()
    pycolmap.Database.open(database).close()
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = job["max_side_px"]
    options.sift.max_num_features = job["max_features"]
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = job["camera_model"]
    with stage("features", sum(map(len, job["groups"])), lambda: rows(database, "keypoints")):
        for group in job["groups"]:
            # Ids in the order of the names, not in the order in which threads finish.
            pycolmap.import_images(database, work / "images", pycolmap.CameraMode.SINGLE, group, reader)
        for group in job["groups"]:
            pycolmap.extract_features(
                database, work / "images", group, pycolmap.CameraMode.SINGLE, reader, options, pycolmap.Device.cpu
            )
    finished.touch()


def matches(work: Path, job: dict[str, Any]) -> None:
    """Match pictures; pairs that an interrupted run has matched are kept."""
    import pycolmap

    database, n = work / "database.db", sum(map(len, job["groups"]))
    options, geometry = pycolmap.FeatureMatchingOptions(), pycolmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = job["seed"]
    if job["exhaustive"]:
        with stage("matches", n * (n - 1) // 2, lambda: rows(database, "two_view_geometries")):
            pycolmap.match_exhaustive(database, options, verification_options=geometry, device=pycolmap.Device.cpu)
        return
    pairing = pycolmap.SequentialPairingOptions()
    pairing.overlap = job["overlap"]
    with stage("matches", n * 2 * job["overlap"], lambda: rows(database, "two_view_geometries")):
        pycolmap.match_sequential(database, options, pairing, geometry, pycolmap.Device.cpu)


def models(work: Path, job: dict[str, Any]) -> None:
    """Build all models and write them below `models`, the one with most pictures as `models/0`."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size, options.random_seed = job["min_pictures"], job["seed"]
    options.mapper.random_seed = options.triangulation.random_seed = job["seed"]
    # With more threads the first pair is the one whose trial ends first, and with it the world's frame.
    options.num_threads = options.mapper.num_threads = 1
    registered = [2]

    def count() -> None:
        registered[0] += 1

    (work / "raw").mkdir(exist_ok=True)
    with stage("poses", sum(map(len, job["groups"])), lambda: registered[0]):
        found = pycolmap.incremental_mapping(
            work / "database.db", work / "images", work / "raw", options, next_image_callback=count
        )
    order = sorted(found.values(), key=lambda m: (-m.num_reg_images(), -m.num_points3D()))
    for index, model in enumerate(order):
        folder = work / "models" / str(index)
        folder.mkdir(parents=True, exist_ok=True)
        model.write_binary(folder)
    about = [{"pictures": m.num_reg_images(), "error_px": m.compute_mean_reprojection_error()} for m in order]
    (work / "models.json").write_text(json.dumps(about))


def main() -> None:
    """Do the job on standard input."""
    import pycolmap

    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)
    job = json.load(sys.stdin)
    work = Path(job["work"])
    pycolmap.set_random_seed(job["seed"])
    for step in (features, matches, models):
        step(work, job)


if __name__ == "__main__":
    main()
