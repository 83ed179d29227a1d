"""Read and write Gaussians as the PLY files that splat viewers exchange.

Binary little-endian float32 with `x y z nx ny nz f_dc_0..2 f_rest_* opacity scale_0..2 rot_0..3`: harmonics above
degree 0 channel by channel (all red, all green, all blue), opacity as logit, scales as log, quaternion w first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from langfield.artefacts import write_bytes
from langfield.errors import FormatError
from langfield.raster.types import Gaussians

MAX_HEADER_BYTES = 64 * 1024
TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip


def _names(sh_rest: int) -> list[str]:
    """Give the columns of a file with `sh_rest` coefficients per colour above degree 0."""
    rest = [f"f_rest_{i}" for i in range(3 * sh_rest)]
    tail = ["opacity", *(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    return ["x", "y", "z", "nx", "ny", "nz", *(f"f_dc_{i}" for i in range(3)), *rest, *tail]


def write_ply(path: Path, gaussians: Gaussians) -> None:
    """Write Gaussians as a PLY, atomically.

    Args:
        path: should end in .ply.
        gaussians: any float dtype and device; written as float32.

    Raises:
        StorageError: the file cannot be written; what stood there before is untouched.
    """
    means, quats, log_scales, logits, sh = (t.detach().float().cpu() for t in gaussians.tensors())
    n, k = len(means), sh.shape[1]
    rest = sh[:, 1:].transpose(1, 2).reshape(n, 3 * (k - 1))
    columns = [means, torch.zeros(n, 3), sh[:, 0], rest, logits[:, None], log_scales, quats]
    table = torch.cat(columns, 1).numpy().astype("<f4")
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {n}"]
    lines += [f"property float {name}" for name in _names(k - 1)]
    write_bytes(path, ("\n".join([*lines, "end_header"]) + "\n").encode() + table.tobytes())


@dataclass(frozen=True)
class _Header:
    count: int
    """Rows of the vertex element."""
    dtype: np.dtype
    """Of one row."""
    size: int
    """Bytes of the header itself."""


def read_ply(path: Path) -> Gaussians:
    """Read Gaussians from a PLY; columns it does not know are ignored.

    Raises:
        FormatError: missing, not such a PLY, or shorter than it says.
    """
    if not path.is_file():
        raise FormatError("file not found", path)
    header = _header(path)
    room = path.stat().st_size - header.size
    if header.count * header.dtype.itemsize > room:
        need = header.count * header.dtype.itemsize
        raise FormatError(f"{header.count} Gaussians need {need} bytes and only {room} are there", path)
    with path.open("rb") as file:
        file.seek(header.size)
        rows = np.fromfile(file, dtype=header.dtype, count=header.count)
    return _gaussians(rows, path)


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        start = file.read(MAX_HEADER_BYTES)
    end = start.find(b"end_header\n")
    if not start.startswith(b"ply") or end < 0:
        raise FormatError("not a PLY file, or its header does not end", path)
    lines = [line.split() for line in start[:end].decode("ascii", errors="replace").splitlines()[1:]]
    lines = [words for words in lines if words and words[0] not in ("comment", "obj_info")]
    if not lines or lines[0] != ["format", "binary_little_endian", "1.0"]:
        raise FormatError("only binary little-endian PLY files are read", path, "export it as binary")
    if len(lines) < 2 or lines[1][:2] != ["element", "vertex"] or len(lines[1]) != 3 or not lines[1][2].isdecimal():
        raise FormatError("the first element of the PLY is not vertex with a count", path)
    fields = []
    for words in lines[2:]:
        if words[0] == "element":
            break
        if words[0] != "property" or len(words) != 3 or words[1] not in TYPES:
            raise FormatError(f"the PLY header has a line that is not understood: {' '.join(words)[:60]}", path)
        fields.append((words[2], "<" + TYPES[words[1]]))
    if not fields or len({name for name, _ in fields}) != len(fields):
        raise FormatError("the PLY has no vertex properties, or one of them twice", path)
    if len(lines[1][2]) > 12:
        raise FormatError("the PLY says it has more Gaussians than any file can hold", path)
    return _Header(int(lines[1][2]), np.dtype(fields), end + len(b"end_header\n"))


def _gaussians(rows: np.ndarray, path: Path) -> Gaussians:
    here = rows.dtype.names or ()
    rest = sum(name.startswith("f_rest_") for name in here)
    if rest not in (0, 9, 24, 45):
        raise FormatError(f"the PLY has {rest} f_rest columns, not 0, 9, 24 or 45", path)
    missing = [name for name in _names(rest // 3) if name not in here and name not in ("nx", "ny", "nz")]
    if missing:
        raise FormatError(f"the PLY does not hold Gaussians: {', '.join(missing[:4])} missing", path)

    def columns(*names: str) -> Tensor:
        if not names:
            return torch.zeros(len(rows), 0)
        return torch.from_numpy(np.stack([rows[name].astype(np.float32) for name in names], axis=1))

    n = len(rows)
    first = columns(*(f"f_dc_{i}" for i in range(3)))[:, None]
    higher = columns(*(f"f_rest_{i}" for i in range(rest))).reshape(n, 3, rest // 3).transpose(1, 2)
    return Gaussians(
        means=columns("x", "y", "z"),
        quats=columns(*(f"rot_{i}" for i in range(4))),
        log_scales=columns(*(f"scale_{i}" for i in range(3))),
        logit_opacities=columns("opacity")[:, 0],
        sh=torch.cat([first, higher], 1).contiguous(),
    )
