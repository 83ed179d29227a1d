"""Files that a page sends: no more bytes than it announced, few at once, and pictures only."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from langfield.capture.images import opened, read_picture
from langfield.errors import FormatError

MOST_PIXELS = 50_000_000
MOST_PARTS = 4096
REMEDY = "upload a PNG, JPEG, HEIC, WebP, TIFF, BMP or AVIF of the thing"


class Uploads:
    """The unfinished uploads of one connection; what viser would gather without end is refused here.

    Args:
        limit: bytes of all of them together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._sizes: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._missing: dict[str, set[int]] = {}

    def begins(self, message: Mapping[str, Any]) -> bool:
        """Tell whether an announced upload may come."""
        name, size, parts = (message.get(key) for key in ("transfer_uuid", "size_bytes", "part_count"))
        if type(size) is not int or type(parts) is not int or not isinstance(name, str) or name in self._sizes:
            return False
        if not 0 < size <= self._limit - sum(self._sizes.values()) or not 0 < parts <= MOST_PARTS:
            return False
        self._sizes[name] = self._left[name] = size
        self._missing[name] = set(range(parts))
        return True

    def takes(self, message: Mapping[str, Any]) -> bool:
        """Tell whether a part belongs to an announced upload; the last one ends it."""
        name, index, content = (message.get(key) for key in ("transfer_uuid", "part_index", "content"))
        if not isinstance(name, str) or type(index) is not int or not isinstance(content, bytes):
            return False
        if index not in self._missing.get(name, ()) or len(content) > self._left[name]:
            return False
        self._missing[name].remove(index)
        self._left[name] -= len(content)
        if not self._missing[name]:
            del self._sizes[name], self._left[name], self._missing[name]
        return True


def uploaded_picture(name: str, content: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an uploaded picture.

    Raises:
        FormatError: it is none, or has too many pixels.
    """
    shown, suffix = Path(name).name[:80], Path(name).suffix.lower()[:6]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"upload{suffix if suffix[1:].isalnum() else ''}"
        path.write_bytes(content)
        try:
            with opened(path) as image:
                pixels = image.width * image.height
            if pixels <= MOST_PIXELS:
                return read_picture(path)
        except FormatError as error:
            raise FormatError("what was uploaded is not a picture that can be read", shown, REMEDY) from error
    raise FormatError(f"a picture of more than {MOST_PIXELS:,} pixels was uploaded", shown, "make it smaller")
