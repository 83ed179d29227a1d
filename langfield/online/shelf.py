"""A folder of tensors that is brought up to date often: only groups that changed are written, and all of it at once.

`state.json` says which file each group lies in and is replaced last, by rename; files it does not name are rubbish of
a write that was cut short, and go with the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from langfield.artefacts import plain, read_json, read_tensors, write_json, write_tensors
from langfield.errors import FormatError

STATE = "state.json"
VERSION = 1
MAX_STATE_BYTES = 2**26
Groups = Mapping[str, Mapping[str, Tensor]]


class Shelf:
    """Groups of tensors and JSON data on disk.

    A group whose tensors are the same objects as at the last write is not written again, so tensors that were handed
    over must never be changed in place.

    Args:
        folder: made with the first write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._written: dict[str, tuple[str, dict[str, Tensor]]] = {}
        self._count = 0

    def write(self, groups: Groups, about: Mapping[str, Any]) -> int:
        """Put groups and data in place of what is there; gives the bytes of the tensors that had to be written.

        Raises:
            StorageError: the disk is full or read-only; what was there is untouched.
        """
        written, size = dict[str, tuple[str, dict[str, Tensor]]](), 0
        for name, tensors in groups.items():
            known = self._written.get(name)
            if known is not None and _same(known[1], tensors):
                written[name] = known
                continue
            self._count += 1
            file = f"{self._count:08d}.safetensors"
            write_tensors(self.folder / file, tensors)
            written[name] = (file, dict(tensors))
            size += sum(t.numel() * t.element_size() for t in tensors.values())
        files = {name: file for name, (file, _) in written.items()}
        write_json(self.folder / STATE, {"version": VERSION, "count": self._count, "groups": files, "about": about})
        self._written = written
        self._sweep()
        return size

    def read(self) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
        """Read what the last whole write left.

        Raises:
            FormatError: there is nothing, or a file is missing or damaged.
        """
        where = self.folder / STATE
        data = read_json(where, MAX_STATE_BYTES)
        files, about = (data.get("groups"), data.get("about")) if isinstance(data, dict) else (None, None)
        if not isinstance(files, dict) or not isinstance(about, dict) or data.get("version") != VERSION:
            raise FormatError("not the state of a map", where, "start anew in another folder")
        if not isinstance(data.get("count"), int) or not all(_is_own(file) for file in files.values()):
            raise FormatError("the state of a map names files that are not its own", where, "start anew")
        try:
            about = plain(about)
        except RecursionError as error:
            raise FormatError("the state of a map is nested too deeply", where, "start anew") from error
        self._count = data["count"]
        found = {name: read_tensors(self.folder / file)[0] for name, file in files.items()}
        self._written = {name: (files[name], tensors) for name, tensors in found.items()}
        return {name: dict(tensors) for name, tensors in found.items()}, about

    def _sweep(self) -> None:
        kept = {file for file, _ in self._written.values()}
        for path in self.folder.glob("*.safetensors"):
            if path.name not in kept:
                with suppress(OSError):
                    path.unlink()


def _same(known: Mapping[str, Tensor], now: Mapping[str, Tensor]) -> bool:
    return known.keys() == now.keys() and all(known[name] is tensor for name, tensor in now.items())


def _is_own(file: object) -> bool:
    return isinstance(file, str) and file.endswith(".safetensors") and file[: -len(".safetensors")].isdigit()
