"""Where workers leave artefacts: a folder that all of them see, or any store that fsspec reaches."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from langfield.artefacts import atomic_path, file_key
from langfield.cache import Cache, open_cache
from langfield.errors import EnvironmentProblem, FormatError, SettingsError, StorageError


@dataclass(frozen=True)
class Store:
    """A cache folder, and where one is named the store behind it, in which everything has the same name.

    Without a URL the folder is shared (one machine, or a network file system) and is all there is.
    """

    root: Path
    """The cache folder on this machine."""
    url: str | None = None
    """Such as s3://BUCKET/PREFIX, gs://..., file:///mnt/...: needs fsspec's driver for it on every machine."""
    redo: tuple[str, ...] = ()
    scratch: Path | None = None
    """With a URL: the folder that workers use on their own machines; their user's cache folder where None."""

    def at_worker(self) -> Store:
        """Give the store as a worker sees it."""
        return self if self.url is None else replace(self, root=self.scratch or open_cache(None).root)

    @property
    def cache(self) -> Cache:
        """The folder as stages know it."""
        return Cache(self.root, self.redo)

    def has(self, stage: str, path: Path) -> bool:
        """Tell whether an artefact can be used, bringing it here where only the store has it.

        Raises:
            StorageError: the disk here is full.
        """
        if self.cache.has(stage, path):
            return True
        if self.url is None or stage in self.redo or not self._files.exists(self._name(path)):
            return False
        with atomic_path(path) as temporary:
            self._files.get_file(self._name(path), str(temporary))
        return True

    def keep(self, path: Path) -> None:
        """Put a finished artefact into the store; nobody ever sees half of it.

        Raises:
            StorageError: the store does not take it.
        """
        if self.url is not None:
            self._put(path, self._name(path))

    def _put(self, path: Path, name: str) -> None:
        unfinished = f"{name}.{uuid.uuid4().hex}.tmp"
        try:
            self._files.makedirs(name.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), unfinished)
            self._files.mv(unfinished, name)
        except OSError as error:
            raise StorageError(f"the store did not take a file: {error}", self.url, "see that it has room") from error

    def send(self, path: Path) -> Path:
        """Make an input of a stage one that workers can `bring`: as it is where they see the same folders.

        With a URL it goes to inputs/ by its content, unless it is there.

        Raises:
            StorageError: the store does not take it.
        """
        if self.url is None:
            return path
        key = file_key(path)
        name = Path("inputs") / key[:2] / f"{key}{path.suffix}"
        if not self._files.exists(f"{self._folder}/{name.as_posix()}"):
            self._put(path, f"{self._folder}/{name.as_posix()}")
        return name

    def bring(self, path: Path) -> Path:
        """Give an input that was sent as a file here.

        Raises:
            FormatError: the store does not have it.
            StorageError: the disk here is full.
        """
        return path if self.url is None else self.fetch("inputs", path)

    def fetch(self, stage: str, path: Path) -> Path:
        """Give an artefact, named below the root, as a file here.

        Raises:
            FormatError: there is none.
            StorageError: the disk here is full.
        """
        if not replace(self, redo=()).has(stage, self.root / path):
            raise FormatError("a worker's artefact is not where it should be", self.url or self.root / path,
                              "see that all machines use the same folder, or name a store")  # fmt: skip
        return self.root / path

    def _name(self, path: Path) -> str:
        return f"{self._folder}/{path.relative_to(self.root).as_posix()}"

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        import fsspec

        try:
            files, folder = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            raise EnvironmentProblem(
                f"fsspec's driver is missing: {error}", self.url, "install it on every machine"
            ) from error
        except ValueError as error:
            raise SettingsError(f"not a store that fsspec knows: {error}", self.url) from error
        return files, folder.rstrip("/")

    @property
    def _files(self) -> Any:
        return self._opened[0]

    @property
    def _folder(self) -> str:
        return self._opened[1]
