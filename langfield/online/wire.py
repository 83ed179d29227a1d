"""A frame as one message: a JSON header whose every size is checked before memory is taken, then picture and depth."""

from __future__ import annotations

import io
import json
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image

from langfield.capture import checks
from langfield.capture.images import read_picture
from langfield.capture.rgbd import RgbdFrame, known_depth, read_depth
from langfield.capture.types import Camera, Distortion
from langfield.errors import FormatError

Encoding = Literal["raw", "png", "jpeg"]
MAX_HEADER_BYTES = 16 * 1024
MAX_SIDE_PX = 4096
MAX_NAME = 200
MAX_INDEX = 2**53
SLACK = 64 * 1024
"""Bytes a compressed picture may have beyond the raw one."""
CHUNK = 2**20
PIXEL_BYTES = {"raw": 3, "png": 3, "jpeg": 3}
DEPTH_BYTES = {"float32": 4, "uint16": 2, "png": 2}

Receive = Callable[[int], bytes]
"""Gives exactly so many bytes, at most `CHUNK`, or raises."""


@dataclass(frozen=True)
class Head:
    """A frame's header, checked."""

    index: int
    time_s: float
    name: str
    camera: Camera
    has_pose: bool
    image: str
    """Encoding: "raw" (RGB rows), "png" or "jpeg"."""
    image_bytes: int
    depth: str | None
    """Encoding: "float32" (metres, little-endian), "uint16" or "png" (16 bit, `depth_scale` to the metre), or None."""
    depth_bytes: int
    depth_scale: float


def pack(header: dict[str, Any]) -> bytes:
    """Give a header with its length before it (4 bytes, big-endian)."""
    data = json.dumps(header, allow_nan=False).encode()
    return struct.pack(">I", len(data)) + data


def read_header(receive: Receive) -> dict[str, Any]:
    """Read one header.

    Raises:
        FormatError: longer than `MAX_HEADER_BYTES`, or no JSON object.
    """
    (length,) = struct.unpack(">I", receive(4))
    if length > MAX_HEADER_BYTES:
        raise FormatError(f"header of {length} bytes exceeds {MAX_HEADER_BYTES}", "message")
    try:
        header = json.loads(receive(length))
    except (ValueError, RecursionError) as error:
        raise FormatError("header is not readable as JSON", "message") from error
    if not isinstance(header, dict):
        raise FormatError("header is no JSON object", "message")
    return header


def message(frame: RgbdFrame, encoding: Encoding = "raw") -> bytes:
    """Give a frame as one message; everything but "jpeg" gives the picture back bit for bit, depth always.

    Args:
        frame: of at most 4096 pixels a side.
        encoding: of the picture; depth goes as float32.

    Raises:
        FormatError: its time or camera is not finite.
    """
    height, width = frame.image.shape[:2]
    image = np.ascontiguousarray(frame.image).tobytes() if encoding == "raw" else _encoded(frame.image, encoding)
    depth = None if frame.depth_m is None else np.ascontiguousarray(frame.depth_m, "<f4").tobytes()
    lens = frame.camera.distortion
    header = {
        "index": frame.index, "time_s": frame.time_s, "name": frame.name, "width": width, "height": height,
        "K": frame.camera.K.double().flatten().tolist(),
        "pose": frame.camera.T_world_camera.double().flatten().tolist() if frame.has_pose else None,
        "distortion": None if lens is None else {"model": lens.model, "coefficients": list(lens.coefficients)},
        "image": {"encoding": encoding, "bytes": len(image)},
        "depth": None if depth is None else {"encoding": "float32", "bytes": len(depth)},
    }  # fmt: skip
    try:
        return pack(header) + image + (depth or b"")
    except ValueError as error:
        raise FormatError("time or camera of a frame is not finite", frame.name) from error


def _encoded(image: np.ndarray, encoding: Encoding) -> bytes:
    out = io.BytesIO()
    options = {"compress_level": 1} if encoding == "png" else {"quality": 95}
    Image.fromarray(image).save(out, encoding.upper(), **options)
    return out.getvalue()


def checked(header: dict[str, Any]) -> Head:
    """Check a frame's header: types, ranges, finite numbers, a rigid pose, and byte counts that fit the size.

    Raises:
        FormatError: anything is missing or wrong; nothing of the frame has been read yet.
    """
    where = "message"
    index = checks.number(header.get("index"), "index", where)
    if index != int(index) or not 0 <= index <= MAX_INDEX:
        raise FormatError("index is not a whole number", where)
    name = header.get("name")
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not name.isprintable() or set(name) & set("/\\"):
        raise FormatError("name is not a plain file name", where)
    width, height = (checks.side(header.get(k), k, where) for k in ("width", "height"))
    if max(width, height) > MAX_SIDE_PX:
        raise FormatError(f"{width}x{height} exceeds {MAX_SIDE_PX} pixels a side", where)
    image, image_bytes, _ = _part(header.get("image"), "image", PIXEL_BYTES, width * height)
    depth, depth_bytes, scale = None, 0, 1.0
    if header.get("depth") is not None:
        depth, depth_bytes, scale = _part(header["depth"], "depth", DEPTH_BYTES, width * height)
    time_s = checks.number(header.get("time_s"), "time_s", where)
    camera = _camera(header, width, height, time_s)
    has_pose = header.get("pose") is not None
    return Head(int(index), time_s, name, camera, has_pose, image, image_bytes, depth, depth_bytes, scale)


def _part(part: Any, what: str, kinds: dict[str, int], pixels: int) -> tuple[str, int, float]:
    """Give encoding, byte count and scale of a picture or depth map whose byte count fits its size."""
    if not isinstance(part, dict) or part.get("encoding") not in list(kinds):
        raise FormatError(f"{what} has no encoding out of {', '.join(kinds)}", "message")
    encoding, count = part["encoding"], checks.number(part.get("bytes"), f"bytes of {what}", "message")
    whole = pixels * kinds[encoding]
    packed = encoding in ("png", "jpeg")
    if count != int(count) or not (0 < count <= whole + SLACK if packed else count == whole):
        raise FormatError(f"{count:.12g} bytes of {what} do not fit its size", "message")
    scale = (
        checks.number(part.get("scale", 1.0 if encoding == "float32" else None), "scale of depth", "message")
        if what == "depth"
        else 1.0
    )
    if not 1e-3 <= scale <= 1e9:
        raise FormatError("scale of depth is out of range", "message")
    return encoding, int(count), scale


def _camera(header: dict[str, Any], width: int, height: int, time_s: float) -> Camera:
    """Give the camera of a header."""
    K = _matrix(header.get("K"), 3, "K")
    K = checks.intrinsics(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), "message")
    T = torch.eye(4, dtype=torch.float64)
    if header.get("pose") is not None:
        T = checks.pose(_matrix(header["pose"], 4, "pose"), "message")
    lens = header.get("distortion")
    if lens is None:
        return Camera(K, width, height, T, None, time_s)
    values = lens.get("coefficients") if isinstance(lens, dict) else None
    if not isinstance(values, list) or len(values) > 8 or lens.get("model") not in ("opencv", "fisheye"):
        raise FormatError("distortion is no model with at most 8 coefficients", "message")
    numbers = tuple(checks.number(v, "distortion", "message") for v in values)
    return Camera(K, width, height, T, Distortion(lens["model"], numbers), time_s)


def _matrix(values: Any, side: int, name: str) -> torch.Tensor:
    """Give a square matrix from its rows in one list."""
    if not isinstance(values, list) or len(values) != side * side:
        raise FormatError(f"{name} is not {side * side} numbers", "message")
    numbers = [checks.number(v, name, "message") for v in values]
    return torch.tensor(numbers, dtype=torch.float64).reshape(side, side)


def read_parts(head: Head, receive: Receive) -> tuple[bytes, bytes]:
    """Read picture and depth, memory growing only with what arrives."""
    parts = []
    for count in (head.image_bytes, head.depth_bytes):
        data = bytearray()
        for _ in range(math.ceil(count / CHUNK)):
            data += receive(min(CHUNK, count - len(data)))
        parts.append(bytes(data))
    return parts[0], parts[1]


def decoded(head: Head, image: bytes, depth: bytes) -> RgbdFrame:
    """Give the frame that a message holds; depth that is no positive finite number is 0.

    Raises:
        FormatError: a picture cannot be decoded, or is not of the size in the header.
    """
    where, size = Path(head.name), (head.camera.width, head.camera.height)
    shape = size[::-1]
    if head.image == "raw":
        picture = np.frombuffer(image, np.uint8).reshape(*shape, 3).copy()
    else:
        picture = read_picture(where, size, image)
    depth_m = None
    if head.depth == "png":
        depth_m = read_depth(where, head.depth_scale, size, depth)
    elif head.depth is not None:
        kind = "<f4" if head.depth == "float32" else "<u2"
        with np.errstate(over="ignore", invalid="ignore"):
            depth_m = np.frombuffer(depth, kind).astype(np.float32).reshape(shape) / np.float32(head.depth_scale)
    depth_m = None if depth_m is None else known_depth(depth_m)
    return RgbdFrame(head.index, head.time_s, picture, depth_m, head.camera, head.has_pose, head.name)
