"""A run's folder: what `ns-train langsplat` leaves behind, and how everything after it opens one."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, Any

import torch

from langfield.artefacts import file_key, plain, read_json, write_json
from langfield.capture.checks import number, side
from langfield.capture.key import capture_key
from langfield.capture.types import Camera, Capture, Distortion, Frame
from langfield.embed import FrameFeatures
from langfield.errors import FormatError, LangfieldError, QueryError
from langfield.field.at_time import at_time
from langfield.field.ply import write_ply
from langfield.field.shard_index import is_sharded
from langfield.field.shards import load_shards
from langfield.field.store import load_field, save_field
from langfield.field.types import Field
from langfield.field.world import World
from langfield.query.event import EventAsker
from langfield.query.states import with_states
from langfield.settings import RunSettings
from langfield.suite.captions.store import Captions, read_captions, write_captions
from langfield.suite.sentences import DEFAULT_SENTENCE_ENCODER, SentenceEncoder, sentence_encoder
from langfield.suite.types import ImageEncoder, TextEncoder

MANIFEST = "manifest.json"
MANIFEST_VERSION = 1
MAX_MANIFEST_BYTES = 2**24
CAPTIONS = "captions.json"
"""What was said of things over time, where the scene moves and captions were had."""
SNAPSHOT = "snapshot"
"""Folder inside a run that still trains: its state at the last checkpoint, for whoever looks at it meanwhile."""


@dataclass(frozen=True)
class Run:
    """A finished run, opened."""

    path: Path
    manifest: dict[str, Any]
    field: Field
    frames: tuple[Frame, ...]
    """All views, training and held out."""

    @property
    def views(self) -> dict[str, Camera]:
        """Camera of every view by its name."""
        return {f.name: f.camera for f in self.frames}

    @property
    def training_names(self) -> set[str]:
        """Names of the frames the field was trained on."""
        return set(self.manifest["training_views"])

    def features(self, frame: Frame) -> FrameFeatures | None:
        """Give the 2D features of a frame where the run has them."""
        stem = self.path / "segments" / frame.name
        found = FrameFeatures(stem.with_name(stem.name + ".npz"), stem.with_name(stem.name + ".safetensors"))
        return found if found.segments.is_file() and found.embeddings.is_file() else None

    def text_encoder(self, spec: str | None = None) -> TextEncoder:
        """Load the text encoder the run names, or another of the same space."""
        from langfield.suite import text_encoder

        return text_encoder(spec or self.manifest["settings"]["text_encoder"])

    def image_encoder(self) -> ImageEncoder:
        """Load the image encoder the run was made with."""
        from langfield.suite import image_encoder

        return image_encoder(self.manifest["settings"]["image_encoder"])

    def captions(self) -> Captions | None:
        """Read what was said of the field's things over time; None where nothing was.

        Raises:
            FormatError: the file is damaged.
        """
        file = self.path / CAPTIONS
        return read_captions(file) if file.is_file() else None

    @property
    def times_s(self) -> list[float]:
        """Times of the frames, rising, seconds; none where the scene stands still."""
        return sorted({f.camera.time_s for f in self.frames if f.camera.time_s is not None})

    def event_asker(self, states: str = "") -> EventAsker:
        """Give what answers when something is so.

        Args:
            states: which tell: tracks or net; empty takes what there is (see `langfield.query.states.with_states`).

        Raises:
            QueryError: the run knows no states of things, or none of this kind.
            EnvironmentProblem: the encoder of the captions is not on this machine.
        """
        captions = self.captions()
        if captions is None or (self.field.status_tracks is None and self.field.status_net is None):
            raise QueryError("this run knows no states of things", self.path, "train langsplat-4d with captions")
        return EventAsker(with_states(self.field, self.times_s, states), captions, self.sentence_encoder())

    def sentence_encoder(self) -> SentenceEncoder:
        """Load the encoder that the captions were embedded with.

        Raises:
            EnvironmentProblem: its weights are not on this machine.
        """
        captions = self.captions()
        about = captions.provenance.get("encoder") if captions is not None else None
        name = about.get("name") if isinstance(about, dict) else None
        return sentence_encoder(name if isinstance(name, str) else DEFAULT_SENTENCE_ENCODER)


def find_run(path: Path) -> Path:
    """Give the run's folder for a run, its config.yml, or a folder with runs below it (the newest finished one).

    Raises:
        FormatError: there is no finished run.
    """
    path = path.parent if path.name in ("config.yml", MANIFEST) else path
    if (path / MANIFEST).is_file():
        return path
    done = [p.parent for p in runs_below(path) if _manifest(p).get("state") == "finished"]
    if not done:
        raise FormatError("no finished run here", path, "train one with: ns-train langsplat --data DIR")
    return done[-1]


def runs_below(path: Path) -> list[Path]:
    """Give the manifests of the runs below a folder, finished or not, the newest last."""
    below = sorted(path.glob(f"**/{MANIFEST}"), key=lambda p: p.stat().st_mtime) if path.is_dir() else []
    # What the viewer saves inside a run (edited scenes, snapshots) is opened by its own name only.
    return [p for p in below if not any((folder / MANIFEST).is_file() for folder in p.parent.parents)]


def open_run(path: Path) -> Run:
    """Open a finished run for questions.

    Raises:
        FormatError: it is not a run, is unfinished, or a file of it is damaged.
    """
    folder, manifest = read_manifest(path)
    field = load_shards(folder) if is_sharded(folder) else load_field(folder)
    return Run(folder, manifest, field, frames_from_json(read_json(folder / "capture.json"), folder))


def read_manifest(path: Path) -> tuple[Path, dict[str, Any]]:
    """Give folder and manifest of a finished run; FormatError where it is none."""
    folder = find_run(path)
    manifest = _manifest(folder / MANIFEST)
    if manifest.get("version") != MANIFEST_VERSION:
        found = str(manifest.get("version"))[:20]
        raise FormatError(f"manifest version {found} is not {MANIFEST_VERSION}", folder / MANIFEST)
    if manifest.get("state") != "finished":
        raise FormatError("run not finished", folder, "to go on: ns-train as before, or langfield online --resume RUN")
    names, settings = manifest.get("training_views"), manifest.get("settings")
    listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if not listed or not isinstance(settings, dict) or not isinstance(settings.get("text_encoder"), str):
        raise FormatError("manifest lacks training views or the text encoder", folder / MANIFEST, "train the run again")
    return folder, manifest


def _manifest(path: Path) -> dict[str, Any]:
    found = read_json(path, MAX_MANIFEST_BYTES)
    if not isinstance(found, dict):
        raise FormatError("the manifest is no JSON object", path, "train the run again")
    return found


def write_results(
    folder: Path, field: Field, capture: Capture, features: dict[str, FrameFeatures], captions: Captions | None = None
) -> None:
    """Write everything a query needs into the run's folder; features by frame name.

    Splats for other viewers are those of the first time where they move.
    """
    if captions is not None:
        write_captions(folder / CAPTIONS, captions)
    save_field(folder, field)
    write_ply(folder / "point_cloud.ply", at_time(field, None).gaussians)
    write_json(folder / "capture.json", frames_to_json(capture))
    for name, found in features.items():
        for source in (found.segments, found.embeddings):
            _link(source, folder / "segments" / (name + source.suffix))


def write_snapshot(folder: Path, field: Field, capture: Capture, head: ManifestHead, training: Sequence[str]) -> None:
    """Write the state of a run that still trains as a run to look at; the manifest comes last.

    Args:
        folder: RUN/snapshot.
        field: as it is now, with its codec only where it has codes.
        capture: the views.
        head: of the run's manifest.
        training: names of the training views.

    Raises:
        StorageError: the disk is full or read-only.
    """
    save_field(folder, field)
    write_json(folder / "capture.json", frames_to_json(capture))
    write_manifest(folder, head, "finished", {}, {"training_views": list(training)})


@dataclass(frozen=True)
class ManifestHead:
    """What a run's manifest says from its first moment on."""

    settings_key: str
    """By which the same command finds its unfinished run."""
    settings: RunSettings
    data: Path
    """The capture."""


def write_manifest(
    folder: Path, head: ManifestHead, state: str, seconds: Mapping[str, float], about: Mapping[str, Any]
) -> None:
    """Write a run's manifest.

    Args:
        folder: the run's.
        head: what does not change.
        state: "running" or "finished".
        seconds: by stage.
        about: quality, training_views, held_out_views and notes, once it is finished.
    """
    manifest = {
        "version": MANIFEST_VERSION, "state": state, "settings_key": head.settings_key,
        "settings": head.settings.result_settings(), "data": str(head.data), "versions": package_versions(),
        "seconds": dict(seconds), **about,
    }  # fmt: skip
    write_json(folder / MANIFEST, manifest)


def package_versions() -> dict[str, str]:
    """Give the versions that decide a run's numbers."""
    found = {"python": platform.python_version()}
    for name in ("langfield", "torch", "numpy", "gsplat", "nerfstudio", "onnxruntime", "open_clip_torch"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def provenance_of(capture: Capture, features: Mapping[str, FrameFeatures], settings: RunSettings) -> dict[str, Any]:
    """Say what a field was made from and how, for its manifest.

    Args:
        capture: the frames, as prepared.
        features: 2D features of the training frames by name.
        settings: the run's.

    Returns:
        image_encoder (with its preprocessing), text_encoder, world, seeds, inputs (SHA-256 of each frame, content keys
        of its masks and embeddings), settings, versions.
    """
    first = next(iter(features.values()), None)
    frames = {f.name: file_key(f.path) for f in capture.frames}
    made = {name: {"segments": f.segments.stem, "embeddings": f.embeddings.stem} for name, f in features.items()}
    return {
        "image_encoder": first.encoder() if first else {},
        "text_encoder": settings.text_encoder,
        "world": plain(World(capture.world, capture.unit)),
        "seeds": {"run": settings.seed, "autoencoder": settings.codec.seed, "codebook": settings.codebook.seed},
        "inputs": {"capture": capture_key(capture), "frames": frames, "features": made},
        "settings": settings.result_settings(),
        "versions": package_versions(),
    }


def _link(source: Path, target: Path) -> None:
    """Put `source` at `target` without a second copy where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def frames_to_json(capture: Capture) -> dict[str, Any]:
    """Give frames and cameras as JSON data."""
    frames = [
        {"name": f.name, "path": str(f.path), "camera": camera_json(f.camera),
         "source": f.source and camera_json(f.source)}
        for f in capture.frames
    ]  # fmt: skip
    return {"version": 1, "world": capture.world, "unit": capture.unit, "notes": capture.notes, "frames": frames}


def camera_json(camera: Camera) -> dict[str, Any]:
    """Give a camera as JSON data."""
    return {
        "K": camera.K, "width": camera.width, "height": camera.height, "T_world_camera": camera.T_world_camera,
        "distortion": camera.distortion, "time_s": camera.time_s,
    }  # fmt: skip


def frames_from_json(data: Any, where: Path) -> tuple[Frame, ...]:
    """Give the frames back.

    Raises:
        FormatError: a field is missing or of the wrong kind.
    """
    try:
        return tuple(_frame(entry, where) for entry in data["frames"])
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError, AttributeError) as error:
        raise FormatError(f"capture.json lacks or garbles {str(error)[:100]}", where) from error


def _frame(data: Any, where: Path) -> Frame:
    name, path = data["name"], data["path"]
    if not isinstance(name, str) or not isinstance(path, str):
        raise FormatError("a frame's name or path is no text", where)
    return Frame(
        name,
        Path(path),
        camera_from_json(data["camera"], where),
        data["source"] and camera_from_json(data["source"], where),
    )


def camera_from_json(data: Any, where: Path) -> Camera:
    """Give a camera back.

    Raises:
        FormatError: a number is not finite or of no sense.
        KeyError, TypeError: something is missing or of the wrong kind.
    """
    lens, time_s = data["distortion"], data["time_s"]
    width, height = side(data["width"], "a frame's width", where), side(data["height"], "a frame's height", where)
    distortion = None
    if lens:
        distortion = Distortion(str(lens["model"]), tuple(number(v, "a lens", where) for v in lens["coefficients"]))
    return Camera(
        _matrix(data["K"], 3, where), width, height, _matrix(data["T_world_camera"], 4, where), distortion,
        None if time_s is None else number(time_s, "a frame's time", where),
    )  # fmt: skip


def _matrix(data: Any, side_: int, where: Path) -> torch.Tensor:
    rows = [[number(value, "a camera", where) for value in row] for row in data]
    if [len(row) for row in rows] != [side_] * side_:
        raise FormatError(f"a camera's matrix is not {side_} by {side_}", where)
    return torch.tensor(rows, dtype=torch.float64)


class RunLock:
    """Holds a run's folder for one process; the system lets go of it when the process ends, however it ends."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = (folder / ".lock").open("wb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise LangfieldError(
                "another process is training in this folder", folder, "wait for it or use --fresh True"
            ) from error

    def release(self) -> None:
        """Let go of the folder."""
        self._file.close()


def is_busy(folder: Path) -> bool:
    """Tell whether a live process holds the run's folder."""
    try:
        RunLock(folder).release()
    except LangfieldError:
        return True
    return False


def unfinished_runs(method_folder: Path, settings_key: str) -> Sequence[Path]:
    """Give the folders of unfinished, unheld runs with these settings, oldest first."""
    found = []
    for manifest in sorted(method_folder.glob(f"*/{MANIFEST}")):
        try:
            data = read_json(manifest)
        except FormatError:
            continue
        same = data.get("settings_key") == settings_key and data.get("state") == "running"
        if same and not is_busy(manifest.parent):
            found.append(manifest.parent)
    return found
