"""Photos to frames, masks and embeddings on workers: what `stages` and `embed` do, a photo an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from langfield.artefacts import content_key, file_key
from langfield.capture.images import read_picture
from langfield.capture.normalize import normalize_frame
from langfield.capture.types import Capture, Frame
from langfield.cluster.store import Store
from langfield.cluster.types import Outcome, Tally, Work, Workers
from langfield.device import model_device, moved
from langfield.embed import FrameFeatures, crops_of, embed_frame, embeddings_path, imported_embeddings, join_crops
from langfield.errors import FormatError
from langfield.interchange import import_features
from langfield.progress import say, track
from langfield.segment import save_segments, segmenter
from langfield.segment.types import Segmenter
from langfield.settings import RunSettings
from langfield.stages import segments_path
from langfield.suite import image_encoder
from langfield.suite.types import ImageEncoder

VERSION = 1
T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True)
class FrameWork:
    """A photo to an upright pinhole picture; gives the frame, its files named below the store's root."""

    store: Store
    settings: RunSettings

    def open(self) -> Callable[[Frame], Frame]:
        """See `langfield.cluster.types.Work`."""
        return self._frame

    def _frame(self, frame: Frame) -> Frame:
        store = self.store.at_worker()
        frame = replace(frame, **{kind: store.bring(path) for kind, path in _files(frame).items()})
        key = content_key("photo", VERSION, [file_key(p) for p in _files(frame).values()], frame.camera,
                          self.settings.frames)  # fmt: skip
        out = store.root / "photos" / key[:2]
        for folder in ("frames", "masks", "depth"):
            store.has("photos", out / folder / f"{key}.png")
        made = normalize_frame(frame, out, f"{key}.png", self.settings.frames)
        for path in _files(made).values():
            store.keep(path)
        return replace(made, **{kind: path.relative_to(store.root) for kind, path in _files(made).items()})


@dataclass(frozen=True)
class FeatureWork:
    """A frame to masks and embeddings; gives their files, named below the store's root."""

    store: Store
    settings: RunSettings

    def open(self) -> Callable[[Frame], FrameFeatures]:
        """See `langfield.cluster.types.Work`."""
        return _Features(self).features


class _Features:
    """Models of a worker, loaded when the first frame needs them."""

    def __init__(self, work: FeatureWork) -> None:
        self.settings, self.store = work.settings, work.store.at_worker()

    @cached_property
    def finder(self) -> Segmenter:
        return moved(segmenter(self.settings.segmenter, self.settings.segment), model_device(self.settings.device))

    @cached_property
    def encoder(self) -> ImageEncoder:
        return moved(image_encoder(self.settings.image_encoder), model_device(self.settings.device))

    def features(self, frame: Frame) -> FrameFeatures:
        store = self.store
        frame = replace(frame, path=store.bring(frame.path))
        found = self._import(frame) if self.settings.language_features is not None else self._make(frame)
        return FrameFeatures(found.segments.relative_to(store.root), found.embeddings.relative_to(store.root))

    def _import(self, frame: Frame) -> FrameFeatures:
        (segments,) = import_features([frame], self.settings, self.store.cache)
        found = FrameFeatures(segments, imported_embeddings(segments, self.settings, self.store.cache))
        for path in (found.segments, found.embeddings):
            self.store.keep(path)
        return found

    def _make(self, frame: Frame) -> FrameFeatures:
        store, settings = self.store, self.settings
        segments = segments_path(frame.path, settings, store.cache)
        if not store.has("segments", segments):
            save_segments(segments, self.finder.segment(read_picture(frame.path)))
            store.keep(segments)
        parts = []
        for crop in crops_of(settings):
            path = embeddings_path(crop, segments, settings, store.cache)
            if not store.has("embeddings", path):
                embed_frame((crop, settings.context_grow), frame, segments, path, self.encoder)
                store.keep(path)
            parts.append(path)
        found = join_crops(segments, parts, store.cache)
        if len(parts) > 1:
            store.keep(found.embeddings)
        return found


def make_frames(pool: Workers, capture: Capture, store: Store, settings: RunSettings, tally: Tally) -> dict[str, Frame]:
    """Give the frames of a capture that can be read, by name, in the capture's order.

    Those that cannot are said and listed in the tally.

    Raises:
        FormatError: fewer than two can.
        LangfieldError: a problem of all photos, see `Pool.map`.
    """
    sent = (replace(f, **{kind: store.send(path) for kind, path in _files(f).items()}) for f in capture.frames)
    names = [f.name for f in capture.frames]
    made = collect(pool, FrameWork(store, settings), sent, names, tally)
    if len(made) < 2:
        raise FormatError(f"{len(names) - len(made)} of {len(names)} photos cannot be used", capture.root, "see above")
    return {
        names[i]: replace(frame, **{kind: store.fetch("photos", path) for kind, path in _files(frame).items()})
        for i, frame in made.items()
    }


def make_features(
    pool: Workers, frames: Sequence[Frame], store: Store, settings: RunSettings, tally: Tally
) -> dict[str, FrameFeatures]:
    """Give the masks and embeddings of frames, by name, in the order of the frames.

    Those that have none because of their file are said and listed in the tally.

    Raises:
        LangfieldError: a problem of all frames, see `Pool.map`.
    """
    sent = (replace(f, path=store.send(f.path), mask_path=None, depth_path=None) for f in frames)
    made = collect(pool, FeatureWork(store, settings), sent, [f.name for f in frames], tally)
    return {frames[i].name: _at(store, found) for i, found in made.items()}


def _at(store: Store, found: FrameFeatures) -> FrameFeatures:
    return FrameFeatures(store.fetch("segments", found.segments), store.fetch("embeddings", found.embeddings))


def collect(pool: Workers, work: Work[T, V], items: Iterable[T], names: Sequence[str], tally: Tally) -> dict[int, V]:
    """Do all items behind a bar and give the values that came, by index and in order; failures go to the tally.

    Args:
        pool: what works.
        work: what to do with each.
        items: drawn as workers have room.
        names: of the items, for people.
        tally: grows.
    """
    found: dict[int, V] = {}
    outcomes: Iterator[Outcome[V]] = track(pool.map(work, items, tally), tally.stage, len(names), tally.line)
    for outcome in outcomes:
        if outcome.problem is not None:
            fail(tally, names[outcome.index], str(outcome.problem.error()))
        elif outcome.value is not None:
            found[outcome.index] = outcome.value
    tally.failed.sort(key=lambda entry: entry["name"])
    return dict(sorted(found.items()))


def fail(tally: Tally, name: str, why: str) -> None:
    """Say and list what could not be used."""
    say(f"{tally.stage}: {name} is left out: {why}")
    tally.failed.append({"name": name, "why": why})


def _files(frame: Frame) -> dict[str, Any]:
    """Give the frame's files that there are, by field."""
    paths = {"path": frame.path, "mask_path": frame.mask_path, "depth_path": frame.depth_path}
    return {kind: path for kind, path in paths.items() if path is not None}
