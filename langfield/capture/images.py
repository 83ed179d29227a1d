"""Pictures from files: any common format to upright 8-bit RGB, with limits and honest errors.

Which way up? Poses and intrinsics may refer to the pixels as stored, or as shown after the EXIF
rotation. The declared size decides: if it is the stored size, the pixels stay as stored; if it is
the rotated size only, they are rotated; where both fit (squares, half turns) they stay as stored.
"""

from __future__ import annotations

import io
import mmap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from langfield.errors import FormatError

SUFFIXES = (".png", ".jpg", ".jpeg", ".heic", ".heif", ".webp", ".tif", ".tiff", ".bmp", ".avif")
MAX_PIXELS = 150_000_000
"""Below the limit at which Pillow itself refuses (179 million)."""
ORIENTATION_TAG = 0x0112
QUARTER_TURNS = {1: 0, 6: 1, 3: 2, 8: 3}
"""EXIF orientation to clockwise quarter turns that make the picture upright; mirrored ones are not here."""

_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "TIFF", "BMP", "HEIF", "AVIF")
_DECODE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, RuntimeError, TypeError, KeyError, IndexError,
                  OverflowError, ArithmeticError, MemoryError, Image.DecompressionBombError)  # fmt: skip
"""What Pillow raises on damaged bytes; memory runs out where a part of a file claims to be larger than there is."""


@contextmanager
def opened(path: Path, data: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture's header; errors while it is open become FormatError.

    Args:
        path: where it lies, or what to name in errors where `data` is given.
        data: the file's bytes, if they are here already.
    """
    if data is None and not path.is_file():
        raise FormatError("picture not found", path)
    if path.suffix.lower() in (".heic", ".heif"):
        from pillow_heif import register_heif_opener

        register_heif_opener()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.init()
            source = path if data is None else io.BytesIO(data)
            with Image.open(source, formats=[name for name in _FORMATS if name in Image.OPEN]) as image:
                if image.width * image.height > MAX_PIXELS:
                    size = f"{image.width}x{image.height}"
                    raise FormatError(f"picture of {size} pixels exceeds the limit of {MAX_PIXELS:,}", path)
                yield image
    except FormatError:
        raise
    except _DECODE_ERRORS as error:
        raise FormatError(
            f"picture cannot be decoded or is cut short: {error}", path, "copy the file again or leave this picture out"
        ) from error


def picture_size(path: Path) -> tuple[int, int]:
    """Give width and height of the pixels as stored, without decoding.

    Raises:
        FormatError: not a picture, or above the pixel limit.
    """
    with opened(path) as image:
        return image.width, image.height


def quarter_turns(path: Path) -> int:
    """Give the clockwise quarter turns that EXIF asks for; 0 where none or mirrored."""
    with opened(path) as image:
        return QUARTER_TURNS.get(image.getexif().get(ORIENTATION_TAG, 1), 0)


def read_picture(
    path: Path, size: tuple[int, int] | None = None, data: bytes | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Decode a picture to RGB: 16 bit reduced to 8, grey repeated, transparency laid over white.

    Args:
        path: PNG, JPEG, HEIC, WebP, TIFF, BMP or AVIF.
        size: declared width and height; given, it decides the orientation (see the module's head),
            otherwise the EXIF rotation is applied.
        data: the file's bytes, if they are here already; `path` then only names it.

    Raises:
        FormatError: not a picture, cut short, above the pixel limit, or of another size than `size`.
    """
    with opened(path, data) as image:
        if size is not None and size not in (image.size, image.size[::-1]):
            stored = f"{image.width}x{image.height}"
            raise FormatError(f"picture is {stored} but its camera is for {size[0]}x{size[1]}", path)
        image.load()
        if size is None or (size != image.size and size == image.size[::-1]):
            upright = ImageOps.exif_transpose(image)
        else:
            upright = image
        if size is not None and upright.size != size:
            stored = f"{image.width}x{image.height}"
            raise FormatError(f"picture is {stored} but its camera is for {size[0]}x{size[1]}", path)
        return _rgb(upright)


def read_gray(path: Path) -> np.ndarray:
    """Decode a mask or depth map as stored, one channel, 8 or 16 bit (uint8 or uint16 [H, W]).

    Raises:
        FormatError: not a picture or cut short.
    """
    with opened(path) as image:
        image.load()
        if image.mode.startswith("I"):
            return np.asarray(image).astype(np.uint16)
        return np.asarray(image.convert("L"))


def check_picture(path: Path) -> tuple[int, int]:
    """Give the stored size, having looked for the file's end; only a suspicious file is decoded.

    Raises:
        FormatError: not a picture, cut short, or above the pixel limit.
    """
    with opened(path) as image:
        size, kind = image.size, image.format
    end = {"PNG": b"IEND", "JPEG": b"\xff\xd9", "MPO": b"\xff\xd9"}.get(kind or "")
    if end is not None and not _ends_with(path, end):
        read_picture(path)
    return size


def stored_size(path: Path, name: str, damaged: dict[str, str] | None) -> tuple[int, int] | None:
    """Check a picture as `check_picture` does; None where it is damaged and damaged ones are to be left out.

    Args:
        path: the picture.
        name: of its frame.
        damaged: what is wrong with frames, by name; grows. None: nothing may be.

    Raises:
        FormatError: it is damaged, and `damaged` is None.
    """
    try:
        return check_picture(path)
    except FormatError as error:
        if damaged is None:
            raise
        damaged[name] = str(error)
        return None


def _ends_with(path: Path, mark: bytes) -> bool:
    """Say whether `mark` stands in the last bytes; phones append data after it, so look far enough."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.rfind(mark, max(0, len(data) - 2**24)) >= 0


def _rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    """Give an opened picture as RGB over white."""
    if image.mode.startswith("I"):
        gray = (np.asarray(image).astype(np.int64) + 128) // 257
        return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        over = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(over, image.convert("RGBA"))
    return np.asarray(image.convert("RGB")).copy()
