"""Things through a video: one id map per picture, and one vector per thing; cached by content.

Pictures of several cameras are several videos: things are followed through each, and those of different cameras that
look most alike are one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int16, Int32, Int64
from torch import Tensor

from langfield.artefacts import content_key, file_key, read_arrays, read_tensors, write_arrays, write_tensors
from langfield.cache import Cache
from langfield.capture.images import read_picture
from langfield.capture.types import Frame
from langfield.embed import FrameFeatures
from langfield.errors import FormatError
from langfield.field.instance_build import agree
from langfield.progress import say
from langfield.segment.flow import pixels_of, shared_pixels
from langfield.segment.track import Shot, Tracker, TrackSettings, tracker, tracker_identity
from langfield.segment.tubes import best_pairs

VERSION = 1
STAGE = "tracks"
MAX_MAP_BYTES = 2**28
MEMBER = 0.5
"""Intersection over union of a segment with a thing from which its vector counts for the thing."""
REMEDY = "delete it, and run the stage again"


@dataclass(frozen=True)
class Tracks:
    """O things of the T pictures of a moving scene."""

    names: tuple[str, ...]
    """Of the pictures, in the order of the frames that were given."""
    times_s: tuple[float, ...]
    """Of the same."""
    maps: tuple[Path, ...]
    """Where the id map of each picture lies."""
    vectors: Float[Tensor, "O D"]
    """What the segments of each thing agree on, unit vectors in the space of the embeddings."""
    views: Int32[Tensor, " O"]
    """How many pictures have such a segment."""
    reliability: Float[Tensor, " O"]
    """How far these agree, times how many there are (`Instances.reliability`)."""
    members: Int32[Tensor, "S 3"]
    """Thing, number of the picture, segment (a row of that picture's table), in rising order."""
    number: Int16[Tensor, " R+1"]
    """What numbers in maps stand for: thing + 1, 0 for none."""
    key: str
    """Content key."""
    about: dict[str, Any]
    """The tracker."""

    def __len__(self) -> int:
        return len(self.vectors)

    def ids(self, picture: int) -> Int16[np.ndarray, "H W"]:
        """Read the id map of a picture: thing + 1, 0 where there is none.

        Raises:
            FormatError: its file is missing or damaged, or names things that are not there.
        """
        path = self.maps[picture]
        ids = read_arrays(path, MAX_MAP_BYTES).get("ids")
        if ids is None or ids.dtype != np.int16 or ids.ndim != 2:
            raise FormatError("no map of things", path, REMEDY)
        if ids.min(initial=0) < 0 or ids.max(initial=0) >= len(self.number):
            raise FormatError(f"a map names things that are not among {len(self)}", path, REMEDY)
        return self.number.numpy()[ids]


def make_tracks(
    frames: Sequence[Frame], features: Sequence[FrameFeatures], settings: TrackSettings, cache: Cache
) -> Tracks:
    """Follow every thing through the video, or read it back.

    Args:
        frames: with times, in any order.
        features: of the same frames: masks and embeddings.
        settings: how.
        cache: where tracks are kept.

    Raises:
        FormatError: a frame has no time, or a file is damaged.
        SettingsError: no such tracker, or a setting lies outside its range.
    """
    times = [f.camera.time_s for f in frames]
    if not frames or any(t is None for t in times):
        raise FormatError("things cannot be followed through pictures without times", remedy="give every frame a time")
    source = [
        (f.name, f.camera.time_s, file_key(f.path), x.segments.stem, x.embeddings.stem)
        for f, x in zip(frames, features, strict=True)
    ]
    about = tracker_identity(settings)
    folder = cache.path(STAGE, content_key(STAGE, VERSION, source, about), "")
    maps = [folder / f"{i:05d}.npz" for i in range(len(frames))]
    path = folder / "tracks.safetensors"
    if not cache.has(STAGE, path):
        write_tensors(path, _make(frames, features, settings, maps))
    names = tuple(f.name for f in frames)
    found = Tracks(names, tuple(float(t or 0) for t in times), tuple(maps), **_read(path), key=folder.name, about=about)
    say(f"tracks: {len(found)} things in {len(frames)} pictures")
    return found


def sequences(frames: Sequence[Frame]) -> list[list[int]]:
    """Give the numbers of the frames of each camera's video, each in the order of time.

    Frames of different folders are of different cameras, and so are frames of one folder and time.
    """
    found: dict[tuple[str, int], list[int]] = {}
    taken: dict[tuple[str, float], int] = {}
    for i in sorted(range(len(frames)), key=lambda i: frames[i].camera.time_s or 0.0):
        folder, time_s = str(PurePosixPath(frames[i].name).parent), frames[i].camera.time_s or 0.0
        turn = taken.get((folder, time_s), 0)
        taken[folder, time_s] = turn + 1
        found.setdefault((folder, turn), []).append(i)
    return [found[name] for name in sorted(found)]


class _Video(Sequence[Shot]):
    """Pictures, segments and vectors of one camera, read as they are asked for."""

    def __init__(self, frames: Sequence[Frame], features: Sequence[FrameFeatures]) -> None:
        self._frames, self._features = frames, features

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, row: Any) -> Any:
        segments, vectors = self._features[row].load()
        return Shot(read_picture(self._frames[row].path), segments, vectors.numpy())


@dataclass(frozen=True)
class _Raw:
    """Things as the cameras' videos gave them, before those of several cameras are joined."""

    likes: Float[np.ndarray, "S 4"]
    """Thing, picture, segment, intersection over union."""
    video: Int64[np.ndarray, " R"]
    """The video of each thing."""


def _make(
    frames: Sequence[Frame], features: Sequence[FrameFeatures], settings: TrackSettings, maps: Sequence[Path]
) -> dict[str, Tensor]:
    """Follow every camera's video, write its maps, and give the table of all things."""
    raw = _follow(frames, features, tracker(settings), maps)
    table = [f.load()[1] for f in features]
    number = np.arange(len(raw.video))
    members = _members(raw.likes, number)
    vectors = _agreed(members, table, len(number))["vectors"].numpy().astype(float)
    number = join_videos(vectors, raw.video, settings.likeness)
    members = _members(raw.likes, number)
    things = int(number.max(initial=-1)) + 1
    return {
        "number": torch.from_numpy(np.concatenate([[0], number + 1]).astype(np.int16)),
        "members": torch.from_numpy(members[:, :3].astype(np.int32)),
        **_agreed(members, table, things),
    }


def _follow(
    frames: Sequence[Frame], features: Sequence[FrameFeatures], follower: Tracker, maps: Sequence[Path]
) -> _Raw:
    likes, video = [np.zeros((0, 4))], list[int]()
    for number, rows in enumerate(sequences(frames)):
        clip = _Video([frames[i] for i in rows], [features[i] for i in rows])
        before = len(video)
        for i, ids in zip(rows, follower.track(clip), strict=True):
            shifted = np.where(ids > 0, ids + np.int16(before), 0).astype(np.int16)
            video += [number] * (int(shifted.max(initial=0)) - len(video))
            write_arrays(maps[i], {"ids": shifted})
            likes.append(_likes(shifted, features[i].load()[0].ids, i))
    return _Raw(np.concatenate(likes), np.array(video, np.int64))


def _likes(
    ids: Int16[np.ndarray, "H W"], segments: Int16[np.ndarray, "L H W"], picture: int
) -> Float[np.ndarray, "S 4"]:
    """Give thing, picture, segment and intersection over union of all that overlap."""
    flat, own = segments.reshape(len(segments), -1), (ids.reshape(1, -1) - 1).astype(np.int16)
    sizes = int(own.max(initial=-1)) + 1, int(flat.max(initial=-1)) + 1
    shared = shared_pixels(own, flat, sizes)
    union = pixels_of(own, sizes[0])[:, None] + pixels_of(flat, sizes[1]) - shared
    thing, segment = np.nonzero(shared)
    return np.stack([thing, np.full(len(thing), picture), segment, (shared / np.maximum(union, 1))[thing, segment]], 1)


def _members(likes: Float[np.ndarray, "S 4"], number: Int64[np.ndarray, " R"]) -> Float[np.ndarray, "S 4"]:
    """Give the segments that are most of a thing and little else; where a thing has none, its best one."""
    table = likes.copy()
    table[:, 0] = number[likes[:, 0].astype(int)]
    best = np.zeros(int(number.max(initial=-1)) + 1)
    np.maximum.at(best, table[:, 0].astype(int), table[:, 3])
    kept = table[table[:, 3] >= np.minimum(best, MEMBER)[table[:, 0].astype(int)]]
    return kept[np.lexsort(kept[:, 2::-1].T)]


def _agreed(members: Float[np.ndarray, "S 4"], table: Sequence[Float[Tensor, "M D"]], many: int) -> dict[str, Tensor]:
    """Average the vectors of each thing's segments, one vote a picture."""
    thing, picture, segment = members[:, :3].astype(np.int64).T
    rows = [table[p][s] for p, s in zip(picture, segment, strict=True)]
    vectors = torch.stack(rows) if rows else torch.zeros(0, table[0].shape[1])
    found = agree(vectors, thing, picture, members[:, 3], many)
    return {"vectors": found.vectors, "views": found.views.int(), "reliability": found.reliability}


def join_videos(
    vectors: Float[np.ndarray, "R D"], video: Int64[np.ndarray, " R"], least: float
) -> Int64[np.ndarray, " R"]:
    """Give things of several videos common numbers: of two videos those most alike are one, from a cosine on.

    Args:
        vectors: unit vector of each thing.
        video: of each thing, from 0.
        least: the cosine.
    """
    number = np.full(len(vectors), -1)
    many = 0
    for one in range(int(video.max(initial=-1)) + 1):
        own = np.flatnonzero(video == one)
        known = np.array([vectors[number == k].mean(axis=0) for k in range(many)]).reshape(many, vectors.shape[1])
        for a, b in best_pairs(vectors[own] @ known.T, least):
            number[own[a]] = b
        fresh = own[number[own] < 0]
        number[fresh] = many + np.arange(len(fresh))
        many += len(fresh)
    return number


def _read(path: Path) -> dict[str, Tensor]:
    """Read the table of things, distrusting it.

    Raises:
        FormatError: damaged, or its tensors do not fit each other.
    """
    found, _ = read_tensors(path)
    kinds = {
        "number": (torch.int16, 1), "members": (torch.int32, 2), "vectors": (torch.float32, 2),
        "views": (torch.int32, 1), "reliability": (torch.float32, 1),
    }  # fmt: skip
    if set(found) != set(kinds) or any((found[n].dtype, found[n].ndim) != kind for n, kind in kinds.items()):
        raise FormatError("no table of tracks", path, REMEDY)
    many, members, number = len(found["vectors"]), found["members"], found["number"]
    fits = members.shape[1] == 3 and len(found["views"]) == len(found["reliability"]) == many and len(number) > 0
    inside = not len(members) or (int(members.min()) >= 0 and int(members[:, 0].max()) < many)
    if not fits or not inside or int(number.min()) < 0 or int(number.max()) > many:
        raise FormatError("a table of tracks does not fit itself", path, REMEDY)
    return found
