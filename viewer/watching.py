"""A run that is still training, seen through the snapshots it leaves: read only, from a process of its own."""

from __future__ import annotations

import time
from pathlib import Path

from langfield.artefacts import read_json
from langfield.errors import FormatError
from langfield.field.ply import read_ply
from langfield.field.types import Field
from langfield.progress import say
from langfield.run import MANIFEST, SNAPSHOT, Run, open_run

WAIT_S = 2.0


def open_anything(path: Path) -> Run:
    """Open what a person wants to look at: a run, finished or not yet, or Gaussians alone.

    For a run without a finished state this waits for its first snapshot.

    Raises:
        FormatError: it is neither, or damaged.
    """
    if path.suffix.lower() == ".ply":
        return splats_alone(path)
    if not is_training(path):
        return open_run(path)
    watch = Snapshots(path)
    said = False
    while (run := watch.newer()) is None:
        if not is_training(path):
            return open_run(path)
        if not said:
            say("the run has no snapshot yet; waiting for its first one")
            said = True
        time.sleep(WAIT_S)
    return run


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
