"""Taught names beside the scene: RUN/heads, one file each, the same that `langfield teach` writes."""

from __future__ import annotations

from pathlib import Path

from langfield.errors import FormatError
from langfield.suite.head import Head, read_head, write_head
from langfield.viewer.keep import file_name, inside

FOLDER = "heads"
MOST_FILES = 200
MOST_BYTES = 64 * 2**20
REMEDY = "delete the file or teach it again"


def path_of(run: Path, head: Head) -> Path:
    """Give the file of a head.

    Raises:
        LangfieldError: a link leads out of the run.
    """
    return inside(run, FOLDER, file_name("\n".join(head.names)))


def save_head(run: Path, head: Head) -> Path:
    """Write a head, in place of one of the same names.

    Raises:
        StorageError: the disk is full or read-only; what stood there is untouched.
    """
    path = path_of(run, head)
    write_head(path, head)
    return path


def load_heads(run: Path, dim: int) -> tuple[dict[str, Head], list[str]]:
    """Read all of a run's heads; gives them by what they are called, and a sentence for each that could not be read.

    Args:
        run: the run's folder.
        dim: width of the field's vectors; heads of another width are left out.
    """
    folder, found, problems = run / FOLDER, dict[str, Head](), list[str]()
    for path in sorted(folder.glob("*.safetensors"))[:MOST_FILES] if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            head = _read(path, dim)
            found[called(head) if called(head) not in found else f"{called(head)}, {path.stem}"[-120:]] = head
        except FormatError as error:
            problems.append(str(error))
    return found, problems


def _read(path: Path, dim: int) -> Head:
    if path.is_file() and path.stat().st_size > MOST_BYTES:
        raise FormatError("a head's file is far too large", path, REMEDY)
    head = read_head(path)
    if head.dim != dim:
        raise FormatError(f"a head reads vectors of width {head.dim}, the field holds width {dim}", path, REMEDY)
    return head


def called(head: Head) -> str:
    """Give a head's names and method in a line."""
    method = dict(head.about).get("method", "")
    names = ", ".join(head.names)
    return f"{names if len(names) <= 60 else names[:59] + '…'}{f' ({method})' if method else ''}"


def forget_head(run: Path, head: Head) -> None:
    """Delete a head's file where there is one."""
    path_of(run, head).unlink(missing_ok=True)
