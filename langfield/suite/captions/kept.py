"""Captions that are paid for once: each is written, under what was asked, before anything else happens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8

from langfield.artefacts import content_key, plain, read_json, write_json
from langfield.errors import FormatError
from langfield.suite.captions.types import Captioner, Speechless, tidy

VERSION = 1  # of the files
MAX_BYTES = 2**18


class Kept:
    """A captioner that asks another one only what is in no file of a folder yet.

    A kill between a reply and its file costs that one reply; threads that ask the same at once ask once.

    Args:
        captioner: who is asked.
        folder: where captions lie, one file each; several captioners and runs may share it.
    """

    def __init__(self, captioner: Captioner, folder: Path) -> None:
        self._captioner, self._folder = captioner, folder
        self.name, self.parallel = captioner.name, captioner.parallel
        self.identity, self.provenance = captioner.identity, captioner.provenance
        self._guard, self._locks = Lock(), dict[str, Lock]()

    def caption(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
        """Give the caption that was kept, or ask for it and keep it.

        Raises:
            FormatError: a file is damaged; it says which, to be deleted.
        """
        question = question_key(images, prompt)
        path = self.path(question)
        with self._lock(question):
            if path.is_file():
                return read_kept(path, question)["text"]
            text = self._captioner.caption(images, prompt)
            write_json(path, self._record(question, prompt, text))
        return text

    def path(self, question: str) -> Path:
        """Give the place of the answer to a question."""
        key = content_key("caption", VERSION, self.identity, question)
        return self._folder / key[:2] / f"{key}.json"

    def _record(self, question: str, prompt: str, text: str) -> dict[str, Any]:
        by = plain(self.identity)
        return {"version": VERSION, "question": question, "by": by, "prompt": prompt, "text": text}

    def _lock(self, question: str) -> Lock:
        with self._guard:
            return self._locks.setdefault(question, Lock())


def question_key(images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
    """Hash what is asked: the pixels of all pictures in their order, and the prompt."""
    pictures = [[*image.shape, hashlib.sha256(image.tobytes()).hexdigest()] for image in images]
    return content_key("question", pictures, prompt)


def read_kept(path: Path, question: str | None = None) -> dict[str, Any]:
    """Read one kept caption.

    Args:
        path: its file.
        question: what it must be the answer to; None for any.

    Raises:
        FormatError: damaged, of another version, or the answer to another question.
    """
    return check_record(read_json(path, MAX_BYTES), path, question)


def check_record(record: Any, where: object, question: str | None = None) -> dict[str, Any]:
    """Give a record back if it is one.

    Raises:
        FormatError: it is not.
    """
    again = "delete it to have the caption made again"
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise FormatError(f"not a kept caption of version {VERSION}", where, again)
    if not all(isinstance(record.get(k), str) for k in ("question", "prompt", "text")):
        raise FormatError("a kept caption lacks its question, prompt or text", where, again)
    if not isinstance(record.get("by"), dict) or question not in (None, record["question"]):
        raise FormatError("a kept caption is the answer to another question or of nobody", where, again)
    try:
        usable = tidy(record["text"]) == record["text"]
    except Speechless:
        usable = False
    if not usable:
        raise FormatError("a kept caption has no usable words", where, again)
    return record


def kept_records(folder: Path) -> Iterator[dict[str, Any]]:
    """Walk through all captions of a folder, in the order of their names.

    Raises:
        FormatError: one of them is damaged.
    """
    for path in sorted(folder.glob("??/*.json")):
        yield read_kept(path)
