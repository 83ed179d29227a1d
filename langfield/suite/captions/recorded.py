"""Captions from a file instead of a model, so that a run can be repeated anywhere, by anyone, for nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from langfield.artefacts import content_key, file_key, read_json, write_bytes
from langfield.errors import EnvironmentProblem, FormatError
from langfield.suite.captions.kept import MAX_BYTES, check_record, question_key

MAX_FILE_BYTES = 256 * 2**20


class Recorded:
    """Captioner that answers from a file: JSON lines, or one JSON list, of records as `kept` writes them.

    Args:
        path: the file.

    Raises:
        FormatError: damaged, above 256 MiB, or two records answer one question differently.
    """

    parallel = 1

    def __init__(self, path: Path) -> None:
        self._path, self._texts = path, dict[str, str]()
        makers: dict[str, Any] = {}
        for where, record in _records(path):
            check_record(record, where)
            makers[content_key(record["by"])] = record["by"]
            if self._texts.setdefault(record["question"], record["text"]) != record["text"]:
                raise FormatError("two records answer one question differently", where, "keep one of them")
        self.name = f"recorded:{path.name}"
        self.identity: dict[str, Any] = {"captioner": "recorded", "sha256": file_key(path)}
        self.provenance: dict[str, Any] = {**self.identity, "file": path.name, "made_by": list(makers.values())}

    def caption(self, images: Sequence[UInt8[np.ndarray, "h w 3"]], prompt: str) -> str:
        """Give the recorded words.

        Raises:
            EnvironmentProblem: this question is not among the records.
        """
        text = self._texts.get(question_key(images, prompt))
        if text is None:
            remedy = "use the pictures, masks and prompts it was recorded with, or a model"
            raise EnvironmentProblem(
                f"no recorded caption for {len(images)} pictures and this prompt", self._path, remedy
            )
        return text


def write_recorded(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Write records, such as `kept.kept_records` gives, as JSON lines, atomically."""
    write_bytes(path, "".join(json.dumps(record, sort_keys=True) + "\n" for record in records).encode())


def _records(path: Path) -> Iterable[tuple[str, Any]]:
    if not path.is_file() or path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"recorded captions must be a file of at most {MAX_FILE_BYTES} bytes", path)
    if path.suffix == ".json":
        data = read_json(path, MAX_FILE_BYTES)
        if not isinstance(data, list):
            raise FormatError("recorded captions must be a JSON list, or JSON lines in a file named .jsonl", path)
        return [(f"{path}, record {i}", record) for i, record in enumerate(data, 1)]
    return _json_lines(path)


def _json_lines(path: Path) -> Iterable[tuple[str, Any]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(MAX_BYTES + 1):
            number += 1
            where = f"{path}, line {number}"
            if len(line) > MAX_BYTES:
                raise FormatError(f"a line has more than {MAX_BYTES} bytes", where)
            if not line.strip():
                continue
            try:
                yield where, json.loads(line)
            except (ValueError, RecursionError) as error:
                raise FormatError(f"not readable as JSON: {str(error)[:100]}", where) from error


def load(where: str) -> Recorded:
    """Make the captioner from a file; see `Recorded`."""
    return Recorded(Path(where))
