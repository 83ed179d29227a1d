"""TUM RGB-D's layout: rgb.txt, depth.txt and groundtruth.txt list files and poses by time; camera.json holds the lens.

Depth maps and poses are matched to pictures by time here, also where a file with associations lies beside.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64

from langfield.artefacts import read_json
from langfield.capture import checks
from langfield.capture.images import picture_size
from langfield.capture.rgbd import MAX_FRAMES, Recorded, Shot, SourceSettings, recorded
from langfield.capture.types import Camera, Distortion
from langfield.errors import FormatError

DEPTH_SCALE = 5000.0
MAX_LIST_BYTES = 128 * 2**20
SIZE = (640, 480)
PUBLISHED: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "fr1": ((517.3, 516.5, 318.6, 255.3), (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    "fr2": ((520.9, 521.0, 325.1, 249.7), (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    "fr3": ((535.4, 539.2, 320.1, 247.6), ()),
}
"""fx fy cx cy in pixels (the first pixel's centre is 0 there, 0.5 here) and k1 k2 p1 p2 k3 of the three cameras."""


def find(path: Path) -> Path | None:
    """Give `path` where it holds a TUM sequence."""
    return path if (path / "rgb.txt").is_file() else None


def read(folder: Path, settings: SourceSettings) -> Recorded:
    """Read a sequence's lists; pictures listed but not there are left out, with a note.

    Args:
        folder: what `find` gave.
        settings: see `SourceSettings`; `tolerance_s` is how far a depth map or pose may be from its picture.

    Raises:
        FormatError: a list is damaged, no listed picture is there, or the lens is not known.
    """
    times, pictures, missing = _existing(folder, "rgb.txt")
    depths: list[Path | None] = [None] * len(pictures)
    if (folder / "depth.txt").is_file():
        depth_times, files, _ = _existing(folder, "depth.txt")
        pair = match(times, depth_times, settings.tolerance_s)
        depths = [files[k] if k >= 0 else None for k in pair]
    poses: list[np.ndarray | None] = [None] * len(pictures)
    if (folder / "groundtruth.txt").is_file():
        poses = poses_at(times, *_trajectory(folder / "groundtruth.txt"), settings.tolerance_s)
    if not pictures:
        raise FormatError("none of the listed pictures is there", folder / "rgb.txt", "copy the rgb folder as well")
    camera, scale = _camera(folder, settings, pictures[0])
    shots = [Shot(*shot) for shot in zip(times.tolist(), pictures, depths, poses, strict=True)]
    notes = (f"{missing} of {len(shots) + missing} listed pictures are not there",) if missing else ()
    return replace(recorded(folder.resolve().name, shots, camera, scale, settings), notes=notes)


def match(
    times: Float[np.ndarray, " A"], others: Float[np.ndarray, " B"], tolerance_s: float
) -> Int64[np.ndarray, " A"]:
    """Match each time with the nearest other one, where each is the other's nearest and both are close.

    Args:
        times, others: ascending, seconds.
        tolerance_s: no match is further apart.

    Returns:
        for each time the place of its match in `others`, -1 for none; no place occurs twice.
    """
    if len(times) == 0 or len(others) == 0:
        return np.full(len(times), -1)
    there, back = _nearest(times, others), _nearest(others, times)
    good = (back[there] == np.arange(len(times))) & (np.abs(others[there] - times) <= tolerance_s)
    return np.where(good, there, -1)


def poses_at(
    times: Float[np.ndarray, " A"], known: Float[np.ndarray, " P"], poses: Float[np.ndarray, "P 7"], tolerance_s: float
) -> list[Float[np.ndarray, "4 4"] | None]:
    """Give camera to world at each time, between the two poses around it; None where the nearer one is too far.

    Args:
        times, known: seconds, `known` ascending without doubles.
        poses: tx ty tz (metres) qx qy qz qw at `known`.
        tolerance_s: how far the nearer of the two poses may be; so far apart may they be at most, twice.
    """
    from scipy.spatial.transform import Rotation, Slerp

    if len(known) == 0:
        return [None] * len(times)
    nearest = _nearest(times, known)
    close = np.abs(known[nearest] - times) <= tolerance_s
    at = np.where(_gap(times, known) <= 2 * tolerance_s, times.clip(known[0], known[-1]), known[nearest])
    T = np.tile(np.eye(4), (len(times), 1, 1))
    several = len(known) > 1
    turns = Slerp(known, Rotation.from_quat(poses[:, 3:]))(at) if several else Rotation.from_quat(poses[nearest, 3:])
    T[:, :3, :3] = turns.as_matrix()
    T[:, :3, 3] = np.stack([np.interp(at, known, poses[:, k]) for k in range(3)], axis=1)
    return [t if good else None for t, good in zip(T, close, strict=True)]


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Give the place of the nearest of `others` (ascending, not empty) for each time; the earlier one of two."""
    right = np.searchsorted(others, times).clip(1, max(1, len(others) - 1))
    left = right - 1
    right = right.clip(0, len(others) - 1)
    return np.where(times - others[left] <= others[right] - times, left, right)


def _gap(times: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Give how far apart the two poses around each time are, seconds; 0 outside them all."""
    right = np.searchsorted(known, times)
    inside = (right > 0) & (right < len(known))
    return np.where(inside, known[right.clip(0, len(known) - 1)] - known[(right - 1).clip(0)], 0.0)


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """Give the words of each line that is not empty or a comment, with its number."""
    if file.stat().st_size > MAX_LIST_BYTES:
        raise FormatError(f"list is larger than {MAX_LIST_BYTES >> 20} MiB", file)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise FormatError("list cannot be read as text", file) from error
    rows = [(i + 1, line.split()) for i, line in enumerate(lines) if line.strip() and not line.lstrip().startswith("#")]
    if len(rows) > MAX_FRAMES:
        raise FormatError(f"{len(rows)} lines exceed the limit of {MAX_FRAMES}", file)
    return rows


def _numbers(words: list[str], where: str) -> list[float]:
    """Give words as finite floats."""
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise FormatError(f"not numbers: {' '.join(words)!r:.80}", where) from error
    return [checks.number(value, "a number", where) for value in values]


def _existing(folder: Path, name: str) -> tuple[Float[np.ndarray, " F"], list[Path], int]:
    """Give time and path of the listed files that are there, in order of time, and how many are not there."""
    rows = _rows(folder / name)
    found: list[tuple[float, Path]] = []
    for line, words in rows:
        where = f"{folder / name}, line {line}"
        if len(words) < 2:
            raise FormatError("line does not hold a time and a file name", where)
        path = checks.inside(folder, words[1], False, where)
        if path.is_file():
            found.append((_numbers(words[:1], where)[0], path))
    found.sort(key=lambda pair: pair[0])
    return np.array([t for t, _ in found], np.float64), [path for _, path in found], len(rows) - len(found)


def _trajectory(file: Path) -> tuple[Float[np.ndarray, " P"], Float[np.ndarray, "P 7"]]:
    """Give times, ascending without doubles, and poses with unit quaternions."""
    values = []
    for line, words in _rows(file):
        where = f"{file}, line {line}"
        if len(words) != 8:
            raise FormatError(f"line holds {len(words)} numbers, not time, place and quaternion (8)", where)
        values.append(_numbers(words, where))
        length = float(np.linalg.norm(values[-1][4:]))
        if abs(length - 1) > 0.05:
            raise FormatError(f"quaternion has length {length:.3g}, not 1", where, "remove this line or repair it")
    table = np.array(values, np.float64).reshape(-1, 8)
    _, first = np.unique(table[:, 0], return_index=True)
    return table[first, 0], table[first, 1:]


def _camera(folder: Path, settings: SourceSettings, picture: Path) -> tuple[Camera, float]:
    """Give the camera of the pictures and the units of depth in a metre."""
    if settings.camera != "auto":
        return _published(settings.camera, picture), DEPTH_SCALE
    if (folder / "camera.json").is_file():
        return read_camera(folder / "camera.json")
    if (folder / "calibration.txt").is_file():
        return _calibration(folder / "calibration.txt", picture), DEPTH_SCALE
    named = re.search(r"(?:^|[^a-z])fr(?:eiburg)?([123])(?![0-9])", folder.resolve().name.lower())
    if named is None:
        advice = "put a camera.json beside rgb.txt, or say --camera fr1, fr2 or fr3"
        raise FormatError("the lens of this sequence is not known", folder, advice)
    return _published(f"fr{named.group(1)}", picture), DEPTH_SCALE


def _published(name: str, picture: Path) -> Camera:
    """Give one of TUM's three cameras."""
    if name not in PUBLISHED:
        raise FormatError(f"no published camera {name!r:.40}", picture, f"choose one of {', '.join(PUBLISHED)}")
    size = picture_size(picture)
    if size != SIZE:
        what = f"picture is {size[0]}x{size[1]} but camera {name} is for {SIZE[0]}x{SIZE[1]}"
        raise FormatError(what, picture, "put a camera.json beside rgb.txt")
    (fx, fy, cx, cy), lens = PUBLISHED[name]
    K = checks.intrinsics(fx, fy, cx + 0.5, cy + 0.5, name)
    return Camera(K, *SIZE, torch.eye(4, dtype=torch.float64), Distortion("opencv", lens) if lens else None)


def _calibration(file: Path, picture: Path) -> Camera:
    """Read "fx fy cx cy" and, where there are, "k1 k2 p1 p2 k3"; the first pixel's centre is 0 in such files."""
    words = [word for _, row in _rows(file) for word in row]
    if len(words) not in (4, 8, 9):
        raise FormatError(f"calibration holds {len(words)} numbers, not 4, 8 or 9", file)
    fx, fy, cx, cy, *lens = _numbers(words, str(file))
    distortion = Distortion("opencv", tuple(lens)) if any(lens) else None
    K = checks.intrinsics(fx, fy, cx + 0.5, cy + 0.5, file)
    return Camera(K, *picture_size(picture), torch.eye(4, dtype=torch.float64), distortion)


def read_camera(file: Path) -> tuple[Camera, float]:
    """Read camera.json: fx fy cx cy (the first pixel's centre is 0.5) width height in pixels, depth_scale, distortion.

    Returns:
        the camera at the identity, and the units of depth in a metre (5000 where not said).

    Raises:
        FormatError: a number is missing, not finite or out of range.
    """
    data: Any = read_json(file, 2**20)
    if not isinstance(data, dict):
        raise FormatError("camera.json is no JSON object", file)
    fx, fy, cx, cy = (checks.number(data.get(k), k, file) for k in ("fx", "fy", "cx", "cy"))
    width, height = (checks.side(data.get(k), k, file) for k in ("width", "height"))
    scale = checks.number(data.get("depth_scale", DEPTH_SCALE), "depth_scale", file)
    if scale <= 0:
        raise FormatError("depth_scale is not positive", file)
    lens = data.get("distortion") or []
    if not isinstance(lens, list) or len(lens) > 8:
        raise FormatError("distortion is not a list of k1 k2 p1 p2 k3 k4 k5 k6", file)
    values = tuple(checks.number(v, "distortion", file) for v in lens)
    distortion = Distortion("opencv", values) if any(values) else None
    K = checks.intrinsics(fx, fy, cx, cy, file)
    return Camera(K, width, height, torch.eye(4, dtype=torch.float64), distortion), scale
