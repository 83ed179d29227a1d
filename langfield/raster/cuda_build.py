"""What the CUDA sources hold, and how they become code for one GPU."""

from __future__ import annotations

import re
from pathlib import Path

from langfield.raster.build import source_folder

_BOUNDS = r"(?:__launch_bounds__\([^)]*\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+{_BOUNDS}void\s+{_BOUNDS}(\w+)\s*\(([^)]*)\)")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


def sources() -> list[Path]:
    """Give the CUDA files."""
    return sorted(source_folder().glob("*.cu"))


def signatures(files: list[Path]) -> dict[str, list[str]]:
    """Give the types of every kernel's arguments, such as "const float*" or "int64_t", by the kernel's name."""
    found = {}
    for path in files:
        for name, arguments in _KERNEL.findall(_COMMENT.sub(" ", path.read_text())):
            found[name] = [_type_of(a) for a in arguments.split(",") if a.strip()]
    return found


def _type_of(argument: str) -> str:
    words = argument.replace("*", " * ").replace("__restrict__", " ").split()
    return " ".join(words[:-1]).replace(" *", "*")
