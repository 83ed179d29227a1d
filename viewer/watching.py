"""A run that is still training, seen through the snapshots it leaves: read only, from a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

from langfield.artefacts import read_json
from langfield.errors import FormatError
from langfield.field.ply import read_ply
from langfield.field.types import Field
from langfield.progress import say
from langfield.run import MANIFEST, SNAPSHOT, Run, open_run, runs_below

WAIT_S = 2.0


def open_anything(path: Path, watch: Snapshots | None = None) -> Run:
    """Open what a person wants to look at: a run, finished or not yet, or Gaussians alone.

    For a run without a finished state this waits for its first snapshot.

    Args:
        path: a run's folder or a .ply.
        watch: what follows the run afterwards, so that it does not give the same state again.

    Raises:
        FormatError: it is neither, or damaged.
    """
    if path.suffix.lower() == ".ply":
        return splats_alone(path)
    if not is_training(path):
        return open_run(path)
    watch = watch or Snapshots(path)
    said = False
    while (run := watch.newer()) is None:
        if not is_training(path):
            return open_run(path)
        if not said:
            say("the run has no snapshot yet; waiting for its first one")
            said = True
        time.sleep(WAIT_S)
    return run


def locate(path: Path) -> Path:
    """Give the run that is meant by its config.yml or by a folder above runs: the newest, also one that still trains.

    A run without anything to show yet, new or broken off, gives way to a finished one.
    """
    path = path.parent if path.name in ("config.yml", MANIFEST) else path
    if path.suffix.lower() == ".ply" or not path.is_dir() or (path / MANIFEST).is_file():
        return path
    runs = {run: run.stat().st_mtime for run in runs_below(path)}
    shown = [run for run in runs if not is_training(run.parent) or (run.parent / SNAPSHOT / MANIFEST).is_file()]
    newest = max(shown or runs, key=lambda run: runs[run], default=None)
    return path if newest is None else newest.parent


def splats_alone(path: Path) -> Run:
    """Give Gaussians as a run without views and language; selections and exports lie beside the file."""
    field = Field(read_ply(path), None, None, {})
    folder = path.with_name(path.stem + ".langfield")
    return Run(folder, {"settings": {}, "training_views": []}, field, ())


def is_training(path: Path) -> bool:
    """Tell whether a folder is a run that has not finished."""
    manifest = path / MANIFEST
    return manifest.is_file() and read_json(manifest).get("state") == "running"


class Snapshots:
    """Gives each new state of a run once; what cannot be read, because it is just being replaced, is tried again."""

    def __init__(self, path: Path) -> None:
        self._path, self._seen, self._done = path, 0.0, False

    def newer(self) -> Run | None:
        """Give the newest state where it was not given before: a snapshot, or the finished run, which ends it."""
        if self._done:
            return None
        try:
            if not is_training(self._path):
                run = open_run(self._path)
                self._done = True
                return run
            stamp = (self._path / SNAPSHOT / MANIFEST).stat().st_mtime
            if stamp == self._seen:
                return None
            run = open_run(self._path / SNAPSHOT)
            self._seen = stamp
            return run
        except (FormatError, OSError):
            return None
