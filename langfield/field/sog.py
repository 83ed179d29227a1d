"""Read Gaussians from a SOG version 2 folder: a meta.json beside WebP pictures whose pixels are the numbers.

Pixel i of each picture belongs to Gaussian i. Positions are 16 bits an axis on a logarithmic scale, scales and
colours are indices into codebooks, a quaternion is its three smaller components, higher harmonics are shared palette
entries (PlayCanvas, "The SOG format", version 2).
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8

from langfield.artefacts import read_json
from langfield.capture.images import opened
from langfield.errors import FormatError
from langfield.field.ply import read_ply
from langfield.raster.types import Gaussians

MAX_META_BYTES = 4 * 2**20
MAX_COUNT = 100_000_000
SMALL = 2**16
"""Gaussians, and pixels, that a file may have whatever its size; above, a Gaussian takes at least a byte (written by
PlayCanvas' tools it takes fifteen or more), and a picture is not much larger than its Gaussians need."""
MAX_NUMBER = 1e30
"""Every number stays finite as float32."""
PALETTE_ROW = 64
"""Palette entries in one row of the centroids' picture."""
COEFFICIENTS = {1: 3, 2: 8, 3: 15}
"""Harmonic coefficients above degree 0, by bands."""
OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""Which of w x y z the three stored components are, by the one left out."""


def read_splats(path: Path) -> Gaussians:
    """Read Gaussians from what a person has: a PLY file, a SOG folder or its meta.json.

    Raises:
        FormatError: it is neither, or damaged.
    """
    return read_sog(path) if path.is_dir() or path.suffix == ".json" else read_ply(path)


def read_sog(path: Path) -> Gaussians:
    """Read Gaussians from a SOG version 2 folder.

    Args:
        path: the folder, or the meta.json in it.

    Raises:
        FormatError: missing, not SOG version 2, cut short, or pointing outside its folder.
    """
    path = path / "meta.json" if path.is_dir() else path
    meta = read_json(path, MAX_META_BYTES)
    if not isinstance(meta, dict) or meta.get("version") != 2:
        raise FormatError("not a SOG file of version 2", path, "convert it to PLY")
    n = _whole(path, meta, "count", MAX_COUNT)
    held = sum(picture.stat().st_size for picture in path.parent.glob("*.webp"))
    if n > SMALL + held:
        raise FormatError(f"{n} Gaussians cannot lie in pictures of {held} bytes", path, "copy the folder again")
    sh0, logits = _colours(path, meta, n)
    floats = (_means(path, meta, n), _quats(path, meta, n), _scales(path, meta, n), logits)
    sh = np.concatenate([sh0[:, None], _harmonics(path, meta, n)], axis=1)
    return Gaussians(*(torch.from_numpy(np.ascontiguousarray(a, dtype=np.float32)) for a in (*floats, sh)))


def _whole(path: Path, part: dict[str, Any], name: str, most: int) -> int:
    """Give a whole number from 0 to `most`."""
    found = part.get(name)
    if type(found) is not int or not 0 <= found <= most:
        raise FormatError(f"{name} in the SOG file must be a whole number up to {most}", path)
    return found


def _part(path: Path, meta: dict[str, Any], name: str) -> dict[str, Any]:
    part = meta.get(name)
    if not isinstance(part, dict):
        raise FormatError(f"the SOG file has no {name}", path)
    return part


def _numbers(path: Path, part: dict[str, Any], name: str, many: int) -> Float[np.ndarray, " M"]:
    """Give a list of finite numbers of the length it must have."""
    found = part.get(name)
    numbers = [v for v in found if type(v) in (int, float)] if isinstance(found, list) else []
    if len(numbers) != many or numbers != found or not all(abs(v) <= MAX_NUMBER for v in numbers):  # NaN fails too
        raise FormatError(f"{name} in the SOG file must be {many} finite numbers", path)
    return np.array(numbers, dtype=np.float64)


def _pixels(path: Path, part: dict[str, Any], which: int, least: tuple[int, int]) -> UInt8[np.ndarray, "H W 4"]:
    """Decode one picture of a part, its size checked against `least` (width, pixels) beforehand."""
    names = part.get("files")
    name = names[which] if isinstance(names, list) and len(names) > which else None
    if not isinstance(name, str) or Path(name).name != name or "\\" in name or not name.endswith(".webp"):
        raise FormatError("a picture named in the SOG file must be a WebP file beside it", f"{path}: {name!r}"[:300])
    with opened(path.parent / name) as image:
        pixels = image.width * image.height
        if image.format != "WEBP" or image.width < least[0] or not least[1] <= pixels <= 4 * least[1] + SMALL:
            size = f"{image.format} of {image.width}x{image.height} pixels"
            raise FormatError(f"{size} cannot hold what the SOG file says", path.parent / name)
        return np.asarray(image.convert("RGBA"))


def _rows(path: Path, part: dict[str, Any], which: int, n: int) -> UInt8[np.ndarray, "N 4"]:
    return _pixels(path, part, which, (1, n)).reshape(-1, 4)[:n]


def _means(path: Path, meta: dict[str, Any], n: int) -> Float[np.ndarray, "N 3"]:
    part = _part(path, meta, "means")
    low, high = (_numbers(path, part, name, 3) for name in ("mins", "maxs"))
    if max(np.abs(low).max(), np.abs(high).max()) > math.log(1e30):
        raise FormatError("the SOG file's positions are too large for 32-bit numbers", path)
    fine, coarse = (_rows(path, part, which, n)[:, :3].astype(np.float64) for which in (0, 1))
    on_scale = low + (high - low) * (256 * coarse + fine) / 65535
    return np.sign(on_scale) * np.expm1(np.abs(on_scale))


def _quats(path: Path, meta: dict[str, Any], n: int) -> Float[np.ndarray, "N 4"]:
    pixels = _rows(path, _part(path, meta, "quats"), 0, n)
    left_out = pixels[:, 3].astype(np.int64) - 252
    if (left_out < 0).any():
        raise FormatError("a quaternion in the SOG file does not say which component it leaves out", path)
    three = (pixels[:, :3] / 255.0 - 0.5) * math.sqrt(2)
    quats = np.zeros((n, 4))
    np.put_along_axis(quats, OTHERS[left_out], three, axis=1)
    largest = np.sqrt(np.maximum(0, 1 - (three**2).sum(1)))
    np.put_along_axis(quats, left_out[:, None], largest[:, None], axis=1)
    return quats


def _scales(path: Path, meta: dict[str, Any], n: int) -> Float[np.ndarray, "N 3"]:
    part = _part(path, meta, "scales")
    return _numbers(path, part, "codebook", 256)[_rows(path, part, 0, n)[:, :3]]


def _colours(path: Path, meta: dict[str, Any], n: int) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, " N"]]:
    """Give harmonics of degree 0 and opacity logits; an opacity of 0 or 1 is half a step away from it."""
    part = _part(path, meta, "sh0")
    pixels = _rows(path, part, 0, n)
    opacity = (pixels[:, 3] / 255.0).clip(0.5 / 255, 1 - 0.5 / 255)
    return _numbers(path, part, "codebook", 256)[pixels[:, :3]], np.log(opacity / (1 - opacity))


def _harmonics(path: Path, meta: dict[str, Any], n: int) -> Float[np.ndarray, "N K 3"]:
    """Give harmonics above degree 0; none where the file has none."""
    if meta.get("shN") is None:
        return np.zeros((n, 0, 3))
    part = _part(path, meta, "shN")
    k, entries = COEFFICIENTS.get(_whole(path, part, "bands", 3), 0), _whole(path, part, "count", 65536)
    if not k:
        raise FormatError("harmonics in the SOG file need 1 to 3 bands", path)
    width, rows = PALETTE_ROW * k, -(-entries // PALETTE_ROW)
    palette = _pixels(path, part, 0, (width, width * rows))[:, :width, :3].reshape(-1, k, 3)
    label = _rows(path, part, 1, n).astype(np.int64)
    label = label[:, 0] + 256 * label[:, 1]
    if n and label.max() >= entries:
        raise FormatError("a Gaussian in the SOG file points past the palette of harmonics", path)
    return _numbers(path, part, "codebook", 256)[palette[label]]
