"""Checks every reader shares: paths that stay inside, numbers that are numbers, poses that are rigid."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from langfield.capture.types import Camera, Frame
from langfield.errors import FormatError

MAX_SIDE_PX = 65_535
ROTATION_TOLERANCE = 5e-3
MIN_FRAMES = 2


def inside(root: Path, text: Any, allow_outside: bool, where: object) -> Path:
    """Give the file that `text` names below `root`, following symbolic links to see where it really is.

    Args:
        root: the scene's folder.
        text: a path as written in a scene file; relative to `root`, or absolute.
        allow_outside: accept files that are not below `root`.
        where: what to name in an error.

    Raises:
        FormatError: not a usable path, or it leaves the scene.
    """
    if not isinstance(text, str) or not text or "\0" in text:
        raise FormatError(f"{text!r:.80} is not a file path", where)
    path = root / text
    try:
        outside = not path.resolve().is_relative_to(root.resolve())
        path.is_file()  # says here that a name is too long, not where the file is used
    except (OSError, ValueError, RuntimeError) as error:
        raise FormatError(f"{text!r:.80} is not a usable file path", where) from error
    if outside and not allow_outside:
        raise FormatError(
            f"'{text:.200}' points outside the scene folder",
            where,
            "move the file into the scene, or pass --allow-outside if you trust this scene",
        )
    return path


def number(value: Any, name: str, where: object) -> float:
    """Give a JSON value as a finite float.

    Raises:
        FormatError: it is no number, or NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise FormatError(f"{name} is not a number: {value!r:.60}", where)
    try:
        result = float(value)
    except OverflowError:
        result = math.inf
    if not math.isfinite(result):
        raise FormatError(f"{name} is not finite", where)
    return result


def side(value: Any, name: str, where: object) -> int:
    """Give a picture's declared width or height in whole pixels.

    Raises:
        FormatError: not a whole number between 1 and 65,535.
    """
    pixels = number(value, name, where)
    if pixels != int(pixels) or not 1 <= pixels <= MAX_SIDE_PX:
        raise FormatError(f"{name} is not a picture size: {value!r:.60}", where)
    return int(pixels)


def intrinsics(fx: float, fy: float, cx: float, cy: float, where: object) -> Float[Tensor, "3 3"]:
    """Give K in pixels, float64.

    Raises:
        FormatError: a focal length is not positive, or a value is not finite.
    """
    for name, value in (("fx", fx), ("fy", fy), ("cx", cx), ("cy", cy)):
        number(value, name, where)
        if name in ("fx", "fy") and value <= 0:
            raise FormatError(f"focal length {name} is not positive: {value}", where)
    return torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], dtype=torch.float64)


def pose(T: Float[Tensor, "4 4"], where: object) -> Float[Tensor, "4 4"]:
    """Check a rigid transform and give it with its rotation made exactly orthonormal.

    Args:
        T: camera to world or the reverse, float64; rounding up to 0.005 per entry of R^T R is forgiven.
        where: what to name in an error.

    Raises:
        FormatError: NaN or infinite, scaled, sheared or mirrored, or the last row is not 0 0 0 1.
    """
    if not torch.isfinite(T).all():
        raise FormatError("camera pose holds NaN or infinite numbers", where, "remove this frame or repair its pose")
    if (T[3] - torch.tensor([0.0, 0, 0, 1], dtype=T.dtype)).abs().max() > 1e-6:
        raise FormatError("camera pose does not end with the row 0 0 0 1", where)
    R = T[:3, :3]
    off = float((R.T @ R - torch.eye(3, dtype=T.dtype)).abs().max())
    if off > ROTATION_TOLERANCE:
        raise FormatError(
            f"camera pose is not a rotation and a translation (R^T R is off by {off:.3g})",
            where,
            "remove scale and shear from the poses",
        )
    if torch.linalg.det(R) < 0:
        raise FormatError("camera pose is mirrored (its rotation has determinant -1)", where)
    U, _, Vh = torch.linalg.svd(R)
    result = T.clone()
    result[:3, :3] = U @ Vh
    return result


def names_below_common_folder(paths: Sequence[str]) -> list[str]:
    """Give each picture's name relative to `images/`, or else to the deepest folder they all share.

    Args:
        paths: file paths as a scene file writes them, with forward slashes.
    """
    parts = [tuple(p for p in text.split("/") if p not in ("", ".")) for text in paths]
    depth = 0
    if all(p[0] == "images" and len(p) > 1 for p in parts if p):
        depth = 1
    else:
        while parts and all(len(p) > depth + 1 and p[depth] == parts[0][depth] for p in parts):
            depth += 1
    return ["/".join(p[depth:]) for p in parts]


def check_frames(frames: Sequence[Frame], where: Path) -> tuple[Frame, ...]:
    """Check what no single frame shows, and give the frames sorted by name.

    Raises:
        FormatError: fewer than two frames, names that occur twice, or files that are not there.
    """
    if not frames:
        raise FormatError("the capture has no pictures", where)
    if len(frames) < MIN_FRAMES:
        raise FormatError(f"the capture has one picture; at least {MIN_FRAMES} are needed", where)
    twice = [name for name, count in Counter(f.name for f in frames).items() if count > 1]
    if twice:
        raise FormatError(f"{_some(twice)} named more than once", where)
    for kind in ("path", "mask_path", "depth_path"):
        files = [getattr(f, kind) for f in frames]
        missing = [f.name for f, file in zip(frames, files, strict=True) if file is not None and not file.is_file()]
        if missing:
            what = {"path": "picture", "mask_path": "mask of", "depth_path": "depth map of"}[kind]
            count = f"{len(missing)} of {len(frames)}"
            raise FormatError(f"{what} {_some(missing)} not found ({count} missing)", where)
    return tuple(sorted(frames, key=lambda f: f.name))


def check_size(camera: Camera, stored: tuple[int, int], where: object) -> None:
    """Check a declared picture size against the file's, either way up.

    Args:
        camera: with the declared width and height.
        stored: width and height of the pixel data in the file.
        where: what to name in an error.

    Raises:
        FormatError: they differ by more than a quarter turn.
    """
    declared = (camera.width, camera.height)
    if declared not in (stored, stored[::-1]):
        raise FormatError(
            f"picture is {stored[0]}x{stored[1]} but its camera is for {declared[0]}x{declared[1]}",
            where,
            "use the pictures the cameras were made for",
        )


def _some(names: Sequence[str], most: int = 3) -> str:
    """Give the first few names as text."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"'{n:.120}'" for n in names[:most]) + more
