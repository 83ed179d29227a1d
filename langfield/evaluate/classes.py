"""Labels that give every pixel or point a class: pictures of ids, names of ids, and the frames they belong to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int32

from langfield.artefacts import read_json
from langfield.capture.images import opened
from langfield.capture.lens import project, unproject
from langfield.capture.types import Camera, Frame
from langfield.errors import FormatError
from langfield.evaluate.labels import index_frames, stem_of
from langfield.field.types import Field
from langfield.query.image import language_of, relevancy_maps
from langfield.query.relevancy import check_text, encode_phrases
from langfield.suite.types import TextEncoder

MAX_CLASSES = 2_000
MAX_NAMES_BYTES = 2**24
CLASSES_AT_ONCE = 8
ALIKE = 1e-6
"""Where all classes score within this, nothing is known: the pixel has no class."""
NO_CLASS = -1


def read_lines(path: Path) -> list[str]:
    """Read a short text file's lines that are not empty.

    Raises:
        FormatError: missing, too large, or not text.
    """
    if not path.is_file() or path.stat().st_size > MAX_NAMES_BYTES:
        raise FormatError("file of class names is missing or too large", path)
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except ValueError as error:
        raise FormatError("file of class names is not text", path) from error


def read_class_names(folder: Path) -> dict[int, str]:
    """Read the name of every class id.

    Args:
        folder: holds names.json ({"1": "mug"}), info_semantic.json (Replica's: {"classes": [{"id": 1, "name": ...}]})
            or classes.txt (a line "1 mug" per class, or names alone, counted from 0).

    Raises:
        FormatError: none of them is there, or it is damaged.
    """
    for name in ("names.json", "info_semantic.json"):
        if (folder / name).is_file():
            return _checked(_pairs(read_json(folder / name, MAX_NAMES_BYTES)), folder / name)
    return _checked(_numbered(read_lines(folder / "classes.txt")), folder / "classes.txt")


def _pairs(data: object) -> list[tuple[object, object]]:
    entries = data.get("classes") if isinstance(data, dict) else None
    if isinstance(entries, list):
        return [(e.get("id"), e.get("name")) if isinstance(e, dict) else (None, None) for e in entries]
    return list(data.items()) if isinstance(data, dict) else []


def _numbered(lines: Sequence[str]) -> list[tuple[object, object]]:
    split = [re.fullmatch(r"(\d{1,6})\s+(.+)", line) for line in lines]
    if lines and all(split):
        return [(m[1], m[2]) for m in split if m]
    return list(enumerate(lines))


def _checked(pairs: Sequence[tuple[object, object]], path: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for key, name in pairs:
        known = isinstance(key, int) or (isinstance(key, str) and re.fullmatch(r"\d{1,6}", key) is not None)
        if not known or not isinstance(name, str) or not name.strip() or not -1 < int(str(key)) < 10**6:
            raise FormatError("a class has no number or no name", path, 'write {"1": "mug", ...}')
        names[int(str(key))] = check_text(name)
    if not names or len(names) > MAX_CLASSES:
        raise FormatError(f"{len(names)} classes are named; 1 to {MAX_CLASSES} can be", path)
    return names


def match_frames(stems: Sequence[str], frames: Sequence[Frame]) -> dict[str, Frame]:
    """Give the frame of each label: by name or stem, else by the number a name ends in where that is unambiguous."""
    by_name = index_frames(frames)
    numbers = [_number(stem_of(f.name)) for f in frames]
    by_number = {n: f for n, f in zip(numbers, frames, strict=True) if n is not None and numbers.count(n) == 1}
    found = {stem: by_name.get(stem) or by_name.get(stem_of(stem)) for stem in stems}
    if not any(found.values()):
        found = {stem: by_number.get(_number(stem)) for stem in stems}  # pyright: ignore
    return {stem: frame for stem, frame in found.items() if frame is not None}


def _number(stem: str) -> int | None:
    digits = re.search(r"(\d{1,9})$", stem)
    return int(digits[1]) if digits else None


def read_id_picture(path: Path) -> Int32[np.ndarray, "H W"]:
    """Read a picture whose values are ids: 8 or 16 bit grey, or palette indices.

    Raises:
        FormatError: not a picture, too large, or in colours.
    """
    with opened(path) as image:
        if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B", "I;16L"):
            raise FormatError(f"label picture holds colours ({image.mode:.8}), not ids", path, "write one id a pixel")
        return np.asarray(image).astype(np.int32)


def fit_to_frame(picture: np.ndarray, frame: Frame, empty: int, where: Path) -> np.ndarray:
    """Carry a label picture over to the normalised frame, nearest pixel; `empty` where the label does not reach.

    Args:
        picture: [h, w] of the original picture, at its size or a multiple of it.
        frame: as normalised.
        empty: value of pixels the label picture does not show.
        where: what to name in an error.

    Raises:
        FormatError: the label picture has another shape than the photo.
    """
    source, (height, width) = frame.source or frame.camera, picture.shape
    if abs(width * source.height - height * source.width) > max(source.width, source.height):
        raise FormatError(
            f"label picture of {width}x{height} does not fit the photo of {source.width}x{source.height}", where
        )
    x, y = _places(frame)
    column = np.floor(x * (width / source.width)).astype(np.int64)
    row = np.floor(y * (height / source.height)).astype(np.int64)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    taken = picture[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.where(inside, taken, np.array(empty, picture.dtype))


def _places(frame: Frame) -> tuple[np.ndarray, np.ndarray]:
    """Give, for every pixel of the frame, where its centre lies in the original picture."""
    camera = frame.camera
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    if frame.source is None:
        return x, y
    turn = frame.source.T_world_camera[:3, :3].double().T @ camera.T_world_camera[:3, :3].double()
    rays = unproject(camera, np.stack([x.ravel(), y.ravel()], axis=1)) @ turn.numpy().T
    seen = np.full((len(rays), 2), -1.0)
    ahead = rays[:, 2] > 1e-6
    seen[ahead] = project(frame.source, rays[ahead])
    return seen[:, 0].reshape(x.shape), seen[:, 1].reshape(x.shape)


@torch.no_grad()
def classify_pixels(
    field: Field, camera: Camera, classes: Sequence[str], encoder: TextEncoder
) -> tuple[Int32[np.ndarray, "H W"], Float32[np.ndarray, "H W"]]:
    """Give every pixel the class that is most relevant at its best level, and that relevancy.

    Args:
        field: one with a language part.
        camera: where it is seen from.
        classes: the vocabulary; of equals the first wins.
        encoder: text encoder.

    Returns:
        index into `classes`, -1 where nothing with a code is seen; the relevancy of that class.
    """
    dim, running = language_of(field)[1].dim, RunningBest()
    for start in range(0, len(classes), CLASSES_AT_ONCE):
        part = encode_phrases(encoder, classes[start : start + CLASSES_AT_ONCE], dim)
        running.add(relevancy_maps(field, camera, part).amax(dim=1).float().cpu().numpy())
    return running.classes(), running.best


class RunningBest:
    """The best class of every place, fed a few classes at a time, so that memory does not grow with the vocabulary."""

    def __init__(self) -> None:
        self._count = 0
        self.best = self._low = np.zeros(0, np.float32)
        self._index = np.zeros(0, np.int32)

    def add(self, scores: Float32[np.ndarray, " C *P"]) -> None:
        """Take the scores of the next classes, in their order."""
        high, low, index = scores.max(axis=0), scores.min(axis=0), scores.argmax(axis=0) + self._count
        if self._count == 0:
            self.best, self._low, self._index = high, low, index.astype(np.int32)
        else:
            better = high > self.best
            self._index = np.where(better, index, self._index).astype(np.int32)
            self.best, self._low = np.maximum(self.best, high), np.minimum(self._low, low)
        self._count += len(scores)

    def classes(self) -> Int32[np.ndarray, " *P"]:
        """Give the best class of every place; -1 where all classes score alike."""
        known = self._count == 1 or self.best - self._low > ALIKE
        return np.where(known, self._index, NO_CLASS).astype(np.int32)


def vocabulary(names: Mapping[int, str]) -> tuple[list[str], dict[int, int]]:
    """Give the distinct class names in the order of their ids, and the place of every id in them."""
    texts = list(dict.fromkeys(names[i] for i in sorted(names)))
    return texts, {i: texts.index(name) for i, name in names.items()}
