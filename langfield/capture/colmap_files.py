"""COLMAP's model files, binary and text, read with distrust: sizes are checked before memory is taken.

Layouts: https://colmap.github.io/format.html. pycolmap reads them too, but aborts the whole process
on some malformed files, so it only serves as the twin in the tests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from langfield.errors import FormatError

MAX_NAME_BYTES = 4096
MODELS = (
    ("SIMPLE_PINHOLE", 3), ("PINHOLE", 4), ("SIMPLE_RADIAL", 4), ("RADIAL", 5), ("OPENCV", 8), ("OPENCV_FISHEYE", 8),
    ("FULL_OPENCV", 12), ("FOV", 5), ("SIMPLE_RADIAL_FISHEYE", 4), ("RADIAL_FISHEYE", 5), ("THIN_PRISM_FISHEYE", 12),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16), ("SIMPLE_DIVISION", 4), ("DIVISION", 5), ("SIMPLE_FISHEYE", 3), ("FISHEYE", 4),
    ("EUCM", 6), ("EQUIRECTANGULAR", 2),
)  # fmt: skip
"""Name and number of parameters; the place in this list is the id in binary files."""


@dataclass(frozen=True)
class ColmapCamera:
    """A camera as COLMAP writes it."""

    model: str
    width: int
    height: int
    params: tuple[float, ...]


@dataclass(frozen=True)
class ColmapImage:
    """A registered picture as COLMAP writes it."""

    name: str
    camera_id: int
    quat_wxyz: tuple[float, ...]
    """World to camera."""
    translation: tuple[float, ...]


class Bytes:
    """A cursor over a file's bytes that refuses to read past the end."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, layout: str) -> tuple:
        """Unpack little-endian values."""
        size = struct.calcsize("<" + layout)
        self.need(size)
        values = struct.unpack_from("<" + layout, self.data, self.at)
        self.at += size
        return values

    def need(self, size: int) -> None:
        """Raise FormatError unless `size` more bytes are there."""
        if size > len(self.data) - self.at:
            raise FormatError("COLMAP file is cut short or damaged", self.path, "export the model again")

    def count(self, least: int) -> int:
        """Read an element count; each element takes at least `least` bytes."""
        (n,) = self.take("Q")
        self.need(n * least)
        return n

    def skip_list(self, stride: int) -> None:
        """Read a count and pass over that many elements of `stride` bytes."""
        n = self.count(stride)
        self.at += n * stride

    def name(self) -> str:
        """Read a NUL-terminated name."""
        end = self.data.find(b"\0", self.at, self.at + MAX_NAME_BYTES)
        if end < 0:
            raise FormatError("picture name in COLMAP file does not end", self.path, "export the model again")
        raw = self.data[self.at : end]
        self.at = end + 1
        return _utf8(raw, self.path)


def read_cameras(folder: Path) -> dict[int, ColmapCamera]:
    """Read cameras.bin or cameras.txt, by camera id.

    Raises:
        FormatError: missing, cut short, or a camera model unknown to COLMAP 4.
    """
    path, binary = _pick(folder, "cameras")
    pairs = list(_cameras_bin(Bytes(path)) if binary else _guarded(_camera_line, _lines(path), path))
    return dict(pairs)


def read_images(folder: Path) -> list[ColmapImage]:
    """Read images.bin or images.txt; the pictures' 2D points are skipped.

    Raises:
        FormatError: missing or cut short.
    """
    path, binary = _pick(folder, "images")
    if binary:
        return list(_images_bin(Bytes(path)))
    return list(_guarded(_image_line, _lines(path, every_second=True), path))


def read_points(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read points3D.bin or points3D.txt; tracks are skipped.

    Returns:
        xyz float64 [P, 3] in world units and rgb uint8 [P, 3]; both empty where there is no such file.

    Raises:
        FormatError: cut short.
    """
    if not any((folder / f"points3D.{s}").is_file() for s in ("bin", "txt")):
        return np.zeros((0, 3)), np.zeros((0, 3), np.uint8)
    path, binary = _pick(folder, "points3D")
    rows = list(_points_bin(Bytes(path)) if binary else _guarded(_point_line, _lines(path), path))
    table = np.array(rows, dtype=np.float64).reshape(-1, 6)
    return table[:, :3], table[:, 3:].clip(0, 255).astype(np.uint8)


def _pick(folder: Path, stem: str) -> tuple[Path, bool]:
    """Give the file and whether it is binary."""
    for suffix in ("bin", "txt"):
        if (folder / f"{stem}.{suffix}").is_file():
            return folder / f"{stem}.{suffix}", suffix == "bin"
    raise FormatError(f"COLMAP model has no {stem}.bin or {stem}.txt", folder)


def _cameras_bin(data: Bytes) -> Iterator[tuple[int, ColmapCamera]]:
    for _ in range(data.count(24)):
        camera_id, model, width, height = data.take("IiQQ")
        if not 0 <= model < len(MODELS):
            raise FormatError(f"unknown COLMAP camera model {model}", data.path)
        name, n_params = MODELS[model]
        yield camera_id, ColmapCamera(name, width, height, data.take(f"{n_params}d"))


def _images_bin(data: Bytes) -> Iterator[ColmapImage]:
    for _ in range(data.count(73)):
        _, *numbers, camera_id = data.take("I7dI")
        name = data.name()
        data.skip_list(24)
        yield ColmapImage(name, camera_id, tuple(numbers[:4]), tuple(numbers[4:]))


def _points_bin(data: Bytes) -> Iterator[tuple[float, ...]]:
    for _ in range(data.count(51)):
        _, x, y, z, r, g, b, _ = data.take("Q3d3Bd")
        data.skip_list(8)
        yield x, y, z, r, g, b


def _camera_line(words: list[str]) -> tuple[int, ColmapCamera]:
    model, params = words[1], tuple(float(w) for w in words[4:])
    if dict(MODELS)[model] != len(params):
        raise ValueError(model)
    return int(words[0]), ColmapCamera(model, int(words[2]), int(words[3]), params)


def _image_line(words: list[str]) -> ColmapImage:
    numbers = tuple(float(w) for w in words[1:8])
    return ColmapImage(" ".join(words[9:]) or words[9], int(words[8]), numbers[:4], numbers[4:])


def _point_line(words: list[str]) -> tuple[float, ...]:
    x, y, z, r, g, b = (float(w) for w in words[1:7])
    return x, y, z, r, g, b


def _guarded(parse: Callable, lines: Iterator[tuple[int, str]], path: Path) -> Iterator:
    """Parse lines; whatever goes wrong becomes one error that names the line."""
    for number, line in lines:
        try:
            yield parse(line.split())
        except (ValueError, IndexError, KeyError, OverflowError) as error:
            raise FormatError(f"line {number} of a COLMAP file is not understood", path) from error


def _lines(path: Path, every_second: bool = False) -> Iterator[tuple[int, str]]:
    """Give numbered lines without comments; with `every_second`, skip the (possibly empty) line after each."""
    skip = False
    for number, line in enumerate(_utf8(path.read_bytes(), path).split("\n"), start=1):
        text = line.strip()
        if skip:
            skip = False
        elif text and not text.startswith("#"):
            skip = every_second
            yield number, text


def _utf8(raw: bytes, path: Path) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError("COLMAP file holds text that is not UTF-8", path) from error
