"""Taught names beside the scene: RUN/heads, one file each, the same that `langfield teach` writes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from langfield.errors import FormatError
from langfield.suite.head import HEADS, Head, head_file, read_head, write_head
from langfield.viewer.keep import inside

MOST_FILES = 200
MOST_BYTES = 64 * 2**20
REMEDY = "delete the file or teach it again"


def path_of(run: Path, head: Head) -> Path:
    """Give the file of a head.

    Raises:
        LangfieldError: a link leads out of the run.
    """
    return inside(run, HEADS, head_file(head.names))


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
    folder, found, problems = run / HEADS, dict[str, Head](), list[str]()
    for path in sorted(folder.glob("*.safetensors"))[:MOST_FILES] if folder.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            head = _read(path, dim)
            found[called(head) if called(head) not in found else f"{called(head)}, {path.stem}"[-120:]] = head
        except FormatError as error:
            problems.append(str(error))
    return found, problems


def changed_at(run: Path) -> int:
    """Give when a head was last written or deleted, 0 where there never was one."""
    folder = run / HEADS
    return folder.stat().st_mtime_ns if folder.is_dir() else 0


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
    """Delete the files of heads of the same names, whatever they are called."""
    path_of(run, head).unlink(missing_ok=True)
    for path in sorted((run / HEADS).glob("*.safetensors"))[:MOST_FILES]:
        with suppress(FormatError):
            if _read(path, head.dim).names == head.names:
                path.unlink(missing_ok=True)
