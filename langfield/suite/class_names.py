"""Names of classes in many languages, and forms of words to say them in, as Babel-ImageNet's files have them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from langfield.artefacts import read_json
from langfield.errors import FormatError

MAX_BYTES = 64 * 2**20
MAX_LABELS, MAX_TEXT = 10_000, 400
Labels = Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]]
"""By language: numbers of classes, and a name of each."""


def read_labels(path: Path) -> dict[str, tuple[tuple[int, ...], tuple[str, ...]]]:
    """Read names of classes by language, {"DE": [[0, 5], ["Schleie", "Seestern"]], ...} as Babel-ImageNet has them.

    Raises:
        FormatError: the file is missing or is no such table.
    """
    table, found = read_json(path, MAX_BYTES), dict[str, tuple[tuple[int, ...], tuple[str, ...]]]()
    for code, entry in table.items() if isinstance(table, dict) else [("", None)]:
        if not isinstance(entry, list) or len(entry) != 2 or not _numbers(entry[0]) or not _texts(entry[1]):
            raise FormatError("a labels file gives each language a list of class numbers and one of names", path)
        classes, names = entry
        if len(names) != len(classes) or len(set(classes)) != len(classes):
            raise FormatError(f"{str(code)[:40]!r} has not one name for each of its classes", path)
        found[code.lower()] = tuple(classes), tuple(names)
    return found


def read_forms(path: Path) -> dict[str, tuple[str, ...]]:
    """Read forms of words by language, {"DE": ["ein Foto von {}", ...], ...} as Babel-ImageNet's translated prompts.

    Raises:
        FormatError: the file is missing or is no such table.
    """
    table = read_json(path, MAX_BYTES)
    if not isinstance(table, dict) or not all(_texts(forms) and forms for forms in table.values()):
        raise FormatError("a file of forms gives each language a list of texts", path)
    return {code.lower(): tuple(form if "{}" in form else form + " {}" for form in table[code]) for code in table}


def _texts(given: Any) -> bool:
    return isinstance(given, list) and all(isinstance(t, str) and 0 < len(t) <= MAX_TEXT for t in given)


def _numbers(given: Any) -> bool:
    return isinstance(given, list) and all(type(c) is int and 0 <= c < MAX_LABELS for c in given)
