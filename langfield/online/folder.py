"""A run's folder while its map grows: pictures of keyframes, states to look at, and the finished run."""

from __future__ import annotations

import shutil
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from jaxtyping import UInt8

from langfield.artefacts import atomic_path, plain, write_bytes
from langfield.capture.images import SUFFIXES
from langfield.capture.stream import RgbdFrame
from langfield.capture.types import Capture, Frame, Points
from langfield.errors import StorageError
from langfield.field.types import Field
from langfield.field.world import World
from langfield.online.types import OnlineSettings
from langfield.run import (
    SNAPSHOT,
    ManifestHead,
    RunLock,
    package_versions,
    write_manifest,
    write_results,
    write_snapshot,
)
from langfield.settings import RunSettings

METHOD = "online"
WORLD = "online"
"""Name of the world frame: where the first frame's pose says it is, or at its camera."""
STATE = "online"
"""Folder inside a run whose map still grows: all that a resume needs."""


@dataclass(frozen=True)
class About:
    """What a run's manifest says from its first moment on."""

    settings: OnlineSettings
    features: RunSettings
    """Segmenter and encoders."""
    source: str
    """Name of the stream."""
    data: Path
    """Where it came from."""
    unit: str = "metre"

    def head(self) -> ManifestHead:
        """Give the head of the manifest."""
        return ManifestHead(self.settings.key(), self.features, self.data)


class OnlineFolder:
    """Writes a run that grows; holds its folder for this process.

    Args:
        path: the run's folder.
        about: what does not change.

    Raises:
        LangfieldError: another process holds it.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path, about: About) -> None:
        self.path, self.about = path, about
        try:
            self._lock = RunLock(path)
        except OSError as error:
            said = f"could not make the run's folder: {error.strerror or error}"
            raise StorageError(said, path, "choose another folder") from error
        self._manifest("running", {}, {})

    def provenance(self, encoder: Mapping[str, Any], inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Say what a map is made from and how, for the field's manifest."""
        return {
            "image_encoder": dict(encoder),
            "text_encoder": self.about.features.text_encoder,
            "world": plain(World(WORLD, self.about.unit)),
            "seeds": {"run": self.about.settings.seed},
            "inputs": dict(inputs or {}),
            "settings": {**self.about.features.result_settings(), "online": self.about.settings.result_settings()},
            "versions": package_versions(),
        }

    def _manifest(self, state: str, seconds: Mapping[str, float], facts: Mapping[str, Any]) -> None:
        told = {"online": {"settings": plain(self.about.settings), "source": self.about.source}, **facts}
        write_manifest(self.path, self.about.head(), state, seconds, told)

    def picture(self, frame: RgbdFrame, taken: Container[str], source: Path | None) -> Path:
        """Keep a keyframe's picture as it came; gives its file.

        Args:
            frame: as it came.
            taken: names of other pictures.
            source: its file, which is copied; None to write one.

        Raises:
            StorageError: the disk is full or read-only.
        """
        path = self.path / "frames" / picture_name(frame, taken, source.suffix if source else ".png")
        if source is None:
            write_bytes(path, png(frame.image))
        else:
            with atomic_path(path) as temporary:
                shutil.copyfile(source, temporary)
        return path

    def forget(self, name: str) -> None:
        """Remove the files of a keyframe that has gone."""
        for path in (self.path / "frames" / name, *(self.path / "segments").glob(f"{name}.*")):
            path.unlink(missing_ok=True)

    def show(self, field: Field, frames: Sequence[Frame]) -> None:
        """Write a state for whoever looks at the map meanwhile.

        Raises:
            StorageError: the disk is full or read-only.
        """
        capture, names = self._capture(frames), [f.name for f in frames]
        write_snapshot(self.path / SNAPSHOT, field, capture, self.about.head(), names)

    def finish(self, field: Field, frames: Sequence[Frame], others: Sequence[Frame], told: dict[str, Any]) -> None:
        """Write the finished run, in place of its states in between.

        Args:
            field: the map.
            frames: the keyframes.
            others: tracked frames besides, with their cameras.
            told: "seconds" by stage, "path" in TUM's format, and facts for the manifest.

        Raises:
            StorageError: the disk is full or read-only.
        """
        write_results(self.path, field, self._capture([*frames, *others]), {})
        write_bytes(self.path / "trajectory.txt", told.pop("path").encode())
        seconds = told.pop("seconds")
        names = {"training_views": [f.name for f in frames], "held_out_views": [f.name for f in others]}
        self._manifest("finished", seconds, {**names, "notes": ["mapped online"], **told})
        for rest in (self.path / SNAPSHOT, self.path / STATE):
            shutil.rmtree(rest, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Let go of the folder."""
        self._lock.release()

    def _capture(self, frames: Sequence[Frame]) -> Capture:
        points = Points(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.uint8))
        return Capture(self.path, tuple(frames), points, WORLD, self.about.unit, ("mapped online",))


def picture_name(frame: RgbdFrame, taken: Container[str], suffix: str) -> str:
    """Give a name for a frame's picture that is a file name of its own, whatever the stream calls it.

    Args:
        frame: as it came.
        taken: names of other pictures.
        suffix: of the file, with its dot.
    """
    name = Path(frame.name).name
    usable = bool(name) and name == frame.name and name.isprintable() and len(name) <= 120 and name[0] != "."
    stem = name[: -len(Path(name).suffix)] if name.lower().endswith(SUFFIXES) else name
    found = stem + suffix
    return found if usable and stem and found not in taken else f"frame{frame.index:06d}{suffix}"


def png(image: UInt8[Any, "H W 3"]) -> bytes:
    """Give a picture as a PNG file."""
    fine, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    if not fine:  # cannot be for 8-bit RGB
        raise RuntimeError("a picture could not be coded")
    return data.tobytes()
